"""Bad input ends in exit code 2 and one line that names thing and remedy, and changes nothing.

The table is `bad_input.txt`; what its commands are given is made by `bad_things.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from stat import S_ISDIR

import pytest

import run
from tests import bad_things
from wgan_jax.errors import UserError, apart, first_line, kind_and_line, one_line, shorten

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops

RUN = Path("run.py").resolve()
TABLE = [
    tuple(part.strip() for part in line.split("=> "))
    for line in Path("tests/bad_input.txt").read_text().splitlines()
    if line and not line.startswith("# ")
]
COMMANDS = {"evaluate", "sample", "diagnose", "triage", "report", "log", "weights"}
# How a line says what to do: by a colon and more, by what is allowed, by a flag, by a question.
REMEDY = re.compile(
    r": \w+ \w+|must be|n?one of|neither|takes KEY|it has: |needs|Did you mean|--[a-z]|"
    r"\b(See|Make|Give|Name|Choose|Mend|Set|Change|Resize|Stream|Say) "
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    bad_things.make(folder)
    return folder


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("WGAN_JAX_CACHE", str(place / "cache"))


def everything(place: Path) -> dict[str, tuple[object, ...]]:
    """Each file and folder, with what would tell that it was written."""
    found: dict[str, tuple[object, ...]] = {}
    for path in place.rglob("*"):
        stat = path.lstat()
        folder = S_ISDIR(stat.st_mode)  # its time may change: what was begun is taken back
        found[str(path)] = (stat.st_mode,) if folder else (stat.st_size, stat.st_mtime_ns)
    return found


def refusal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command is refused by."""
    code = run.main(argv)
    line = capsys.readouterr().err.removesuffix("\n")
    assert code == 2
    assert line.startswith("run.py: ")
    assert line.isprintable()
    assert len(line) <= 200
    return line


def test_the_table_is_as_large_as_promised() -> None:
    assert len(TABLE) == len(set(TABLE)) >= 60
    assert {command.split()[0] for command, _ in TABLE if command} >= COMMANDS


@pytest.mark.parametrize(("command", "says"), TABLE, ids=[command for command, _ in TABLE])
def test_bad_input(
    command: str, says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(place)
    line = refusal(shlex.split(command), capsys)
    assert says in line
    assert REMEDY.search(line), "it says what is wrong, but not what to do"
    assert everything(place) == before


@pytest.mark.parametrize(
    "command", ["trian", "--config syntax.py", "diagnose none.csv", "sample --workdir badconfig"]
)
def test_bad_input_to_a_process(command: str, place: Path) -> None:
    before = everything(place)
    argv = [sys.executable, str(RUN), *shlex.split(command)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert dict(TABLE)[command] in done.stderr
    assert everything(place) == before


NAMES = {
    "long": "x" * 240,
    "too long": "x" * 3000,
    "deep": "/".join(["folder"] * 100),
    "escapes": "\x1b[2J\x1b]0;owned\x07",
    "lines": "a\nrun.py: all is well\r",
    "right to left": "\u202egpj.exe",
    "not text": "\udcff\udcfe",
    "spaces": "a b " * 60,
}


@pytest.mark.parametrize(
    "command",
    [
        "--config {}",
        "--config digits.py --config.data.name=folder:{}",
        "--config digits.py --config.{}=3",
        "--config digits.py --config.objective={}",
        "--config digits.py --workdir file/{}",
        "--config digits.py --config.init_from={} --workdir fresh",
        "evaluate --workdir {}",
        "evaluate --images {} --reference pictures",
        "sample --workdir run --checkpoint {}",
        "sample --workdir run --n 1 --out file/{}",
        "diagnose {}",
        "diagnose good.csv --map d_loss={}",
        "triage --config {}",
        "triage --config digits.py --seeds {}",
        "report --workdir {}",
        "log --runs {}",
        "log --runs . --sort {}",
        "log --runs . --note {} text",
        "weights --from-file {}",
        "weights --url {}",
        "weights --name {}",
        "{}",
    ],
)
def test_no_name_breaks_the_line(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(place)
    for name in NAMES.values():
        refusal([part.format(name) for part in shlex.split(command)], capsys)
    assert everything(place) == before


def test_a_line_keeps_both_ends_of_what_is_long() -> None:
    line = one_line(f"/first/{'x' * 500}/last.csv is empty: give another.")
    assert len(line) == 192
    assert line.startswith("/first/")
    assert line.endswith("/last.csv is empty: give another.")
    assert str(UserError("\x1b[31mred\n")) == "\\x1b[31mred"


def test_names_are_listed_whole_as_far_as_they_fit_and_the_rest_is_counted() -> None:
    names = ["fid_score", "d_loss", "g_loss"]
    assert shorten(names) == "fid_score, d_loss, g_loss"
    assert shorten(names, 24) == "fid_score and 2 more"
    assert shorten([*names, "lr"], 28) == "fid_score, d_loss and 2 more"
    assert shorten(["x" * 50], 10) == "xxxxxxxxx…"
    assert shorten([]) == "none"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["short", "a_name_that_is_long"], ["short", "a_name_that…"]),
        (["wgan_batch_64_lr_1", "wgan_batch_64_lr_2"], ["wg…h_64_lr_1", "wg…h_64_lr_2"]),
        (["lr_1_of_a_wgan_at_64", "lr_2_of_a_wgan_at_64"], ["lr_1_of_a_w…", "lr_2_of_a_w…"]),
        (["of_a_wgan_lr_1_on_64", "of_a_wgan_lr_2_on_64"], ["of…r_1_on_64", "of…r_2_on_64"]),
        (["the_same_name_twice"] * 2, ["the_same_na…"] * 2),
        ([], []),
    ],
)
def test_names_that_are_cut_are_told_apart(names: list[str], shown: list[str]) -> None:
    assert apart(names, 12) == shown


def test_an_error_is_told_by_its_first_line_or_else_its_kind() -> None:
    assert first_line(ValueError("\n  no such thing: x\nat line 3"), 13) == "no such thing"
    assert kind_and_line(ValueError("no such thing\n")) == "ValueError: no such thing"
    for silent in (ValueError(), ValueError(""), ValueError(" \n\x85\n")):
        assert first_line(silent) == kind_and_line(silent) == "ValueError"


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} {RUN} --fields | head -n 1; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
