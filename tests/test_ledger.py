"""The experiment log: one row a run, whatever else runs or breaks."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import run as command_line
from tests.made_up_run import columns, make, quality
from wgan_jax.config import flat, resolve
from wgan_jax.errors import UserError
from wgan_jax.files import locked
from wgan_jax.history import History
from wgan_jax.record import ledger
from wgan_jax.record.wandb import read_run
from wgan_jax.record.workdir import read
from wgan_jax.settings import Settings

ROOT = Path(__file__).parent.parent


def history(n: int = 400, measure: bool = True) -> History:
    made = columns(n)
    extras = quality(n) if measure else {}
    return History.from_rows(
        {"epoch": i, **{k: float(v[i]) for k, v in made.items()}, **extras.get(i, {})}
        for i in range(n)
    )


def summarise(workdir: Path, **changes: Any) -> dict[str, Any]:
    workdir.mkdir(parents=True, exist_ok=True)
    arguments = {"status": "finished", "verdict": "healthy", "encoder": "inception"} | changes
    return ledger.write_summary(workdir, flat(Settings(epochs=400)), history(), **arguments)


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / ledger.TABLE).open() as file:
        return {row["run"]: row for row in csv.DictReader(file)}


def test_a_run_becomes_a_row_in_both_tables(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "wandb_run.json").write_text('{"id": "x", "url": "https://wandb.ai/e/p/x"}')
    summarise(tmp_path / "a")
    row = table(tmp_path)["a"]
    made = history()
    wanted = {
        "batch": "512", "epochs": "400", "done": "400", "critic_lr": "5e-05", "n_critic": "5",
        "clip": "0.01", "seed": "42", "stability": "stable", "wandb": "https://wandb.ai/e/p/x",
        "d_loss": str(np.median(made["d_loss"][-101:])), "fid": str(made["fid_score"][399]),
        "encoder": "inception",
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    page = (tmp_path / ledger.PAGE).read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("| a |")]
    for part in ("[View](https://wandb.ai/e/p/x)", "✅ stable", "5e-05 / 5e-05", "| 400 |"):
        assert part in line


def test_each_column_is_of_its_own_setting_and_number(tmp_path: Path) -> None:
    rates = {"critic_optimizer": 1e-3, "generator_optimizer": 2e-3}
    settings = flat(resolve({name: {"learning_rate": rate} for name, rate in rates.items()}))
    found = [(9.0, 2.0, 0.1), (5.0, 4.0, 0.2), (7.0, 3.0, 0.3)]
    names = ("fid_score", "inception_score_mean", "inception_score_std")
    made = History.from_rows(
        {"epoch": 10 * i, **dict(zip(names, row, strict=True))} for i, row in enumerate(found)
    )
    (tmp_path / "a").mkdir()
    arguments = {"status": "finished", "verdict": "healthy"}
    ledger.write_summary(tmp_path / "a", settings, made, encoder="digits", **arguments)
    # A start that resumes it and measures nothing leaves what it was measured by.
    summary = ledger.write_summary(tmp_path / "a", settings, made, **arguments)
    wanted = {
        "critic_lr": 1e-3, "generator_lr": 2e-3, "fid": 7.0, "best_fid": 5.0,
        "best_fid_epoch": 10, "is": 3.0, "done": 21, "encoder": "digits",
    }  # fmt: skip
    assert {name: summary[name] for name in wanted} == wanted
    row = table(tmp_path)["a"]
    assert (row["critic_lr"], row["generator_lr"], row["best_fid"]) == ("0.001", "0.002", "5.0")


def test_a_run_that_was_not_judged_is_not_called_stable(tmp_path: Path) -> None:
    summarise(tmp_path / "a", verdict="not judged")
    assert table(tmp_path)["a"]["stability"] == "not judged"
    assert "| – not judged |" in (tmp_path / ledger.PAGE).read_text()


def test_status_progress_encoder_and_what_is_wrong_show_in_the_row(tmp_path: Path) -> None:
    half = {
        "status": "running",
        "verdict": "failing",
        "finding": "dead critic",
        "encoder": "digits",
    }
    summarise(tmp_path / "a")
    ledger.write_summary(tmp_path / "a", flat(Settings(epochs=800)), history(), **half)
    ledger.render(tmp_path)
    (line,) = [x for x in (tmp_path / ledger.PAGE).read_text().splitlines() if "| a |" in x]
    for part in ("❌ collapsed (running)", "400 of 800", "(digits)", "dead critic"):
        assert part in line


def test_notes_and_the_first_date_stay(tmp_path: Path) -> None:
    first = summarise(tmp_path / "a")
    ledger.write_note(tmp_path / "a", "Baseline | with a pipe")
    path = tmp_path / "a" / ledger.SUMMARY
    path.write_text(path.read_text().replace(first["date"], "2026-01-07 09:00"))
    summarise(tmp_path / "a", finding="slow")
    row = table(tmp_path)["a"]
    assert (row["date"], row["notes"]) == ("2026-01-07 09:00", "Baseline | with a pipe; slow")
    assert r"Baseline \| with a pipe" in (tmp_path / ledger.PAGE).read_text()


def test_a_run_is_called_and_lies_as_its_folder_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a larger disk, say; or the folder that one is in."""
    make(tmp_path / "scratch" / "real", 3)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "nice").symlink_to(tmp_path / "scratch" / "real")
    assert summarise(tmp_path / "runs" / "nice")["run"] == "nice"
    assert list(table(tmp_path / "runs")) == ["nice"]
    assert read(tmp_path / "runs" / "nice").name == "nice"
    assert not (tmp_path / "scratch" / ledger.TABLE).exists()
    monkeypatch.chdir(tmp_path / "scratch" / "real")
    assert summarise(Path("."))["run"] == "real"
    assert read(Path(".")).name == "real"


def test_a_copied_run_is_called_as_its_folder(tmp_path: Path) -> None:
    summarise(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    ledger.render(tmp_path)
    assert sorted(table(tmp_path)) == ["a", "b"]


def test_a_damaged_summary_is_named_and_costs_no_other_row(tmp_path: Path) -> None:
    for name in "abc":
        summarise(tmp_path / name)
    (tmp_path / "b" / ledger.SUMMARY).write_text('{"run": "b", "da')
    (tmp_path / "c" / ledger.SUMMARY).write_text("[]")
    ledger.render(tmp_path)
    assert list(table(tmp_path)) == ["a"]
    assert "damaged: `b`, `c`" in (tmp_path / ledger.PAGE).read_text()


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000], ids=["cut", "list", "deep"])
def test_the_commands_bear_a_damaged_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    summarise(make(tmp_path / "a", 20, grids=0))
    path = tmp_path / "a" / ledger.SUMMARY
    path.write_text(text)
    assert "a: its summary.json is damaged and was left out." in show(
        capsys, "--runs", str(tmp_path)
    )
    assert command_line.main(["report", "--workdir", str(path.parent)]) == 0
    assert "summary.json is damaged" in (path.parent / "report.md").read_text()
    show(capsys, "--runs", str(tmp_path), "--note", "a", "mended")
    assert table(tmp_path)["a"]["notes"] == "mended"


def test_a_damaged_file_of_the_wandb_run_costs_its_address_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "wandb_run.json").write_text("[" * 100_000)
    assert summarise(tmp_path / "a")["wandb"] == ""
    assert read_run(tmp_path / "a") == {}


def test_deleted_or_damaged_tables_come_back(tmp_path: Path) -> None:
    summarise(tmp_path / "a")
    (tmp_path / ledger.PAGE).write_bytes(b"\xff\x00")
    (tmp_path / ledger.TABLE).unlink()
    summarise(tmp_path / "b")
    assert sorted(table(tmp_path)) == ["a", "b"]
    assert "| a |" in (tmp_path / ledger.PAGE).read_text()


def test_rendering_waits_its_turn(tmp_path: Path) -> None:
    with locked(tmp_path / ".experiments.lock"):
        writer = threading.Thread(target=summarise, args=(tmp_path / "a",))
        writer.start()
        writer.join(0.5)
        assert (tmp_path / "a" / ledger.SUMMARY).exists()
        assert not (tmp_path / ledger.TABLE).exists()
    writer.join(10)
    assert list(table(tmp_path)) == ["a"]


@pytest.mark.parametrize("note_first", [True, False])
def test_a_note_and_the_end_of_the_run_keep_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note_first: bool
) -> None:
    """Though one comes between the other's reading and writing."""
    place, write = tmp_path / "a", ledger._write
    summarise(place, status="running")
    updates: list[Callable[[], object]] = [
        lambda: ledger.write_note(place, "look here"),
        lambda: summarise(place),
    ]
    first, second = updates if note_first else updates[::-1]
    between = threading.Thread(target=second)

    def late(*arguments: Any) -> None:
        if threading.current_thread() is not between:
            between.start()
            between.join(0.5)
        write(*arguments)

    monkeypatch.setattr(ledger, "_write", late)
    first()
    between.join(10)
    found = json.loads((place / ledger.SUMMARY).read_text())
    assert (found["status"], found["notes"]) == ("finished", "look here")


def test_a_summary_is_written_though_its_lock_is_not_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)
    summarise(tmp_path / "a", status="running")
    with locked(tmp_path / "a" / ".summary.lock"):  # by a suspended process, say
        ledger.write_note(tmp_path / "a", "look here")
        summarise(tmp_path / "a")
    (tmp_path / "b" / ".summary.lock").mkdir(parents=True)
    summarise(tmp_path / "b")
    rows = table(tmp_path)
    assert {name: rows[name]["status"] for name in rows} == {"a": "finished", "b": "finished"}
    assert rows["a"]["notes"] == "look here"


def test_who_is_kept_waiting_leaves_the_log_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)
    said: list[str] = []
    with locked(tmp_path / ".experiments.lock"):  # by a suspended process, say
        for status in ("running", "finished"):
            summarise(tmp_path / "a", status=status, say=said.append)
        assert json.loads((tmp_path / "a" / ledger.SUMMARY).read_text())["status"] == "finished"
        with pytest.raises(UserError, match="another process, perhaps a suspended one, holds"):
            ledger.write_note(tmp_path / "a", "kept all the same")
    assert len(said) == 2
    assert len(set(said)) == 1  # which a run says once
    assert "training goes on without it: another process" in said[0]
    assert not (tmp_path / ledger.TABLE).exists()
    summarise(tmp_path / "b", status="running")
    assert table(tmp_path)["a"]["notes"] == "kept all the same"


def test_runs_that_train_render_now_and_then_and_ends_at_once(tmp_path: Path) -> None:
    summarise(tmp_path / "a", status="running")
    summarise(tmp_path / "b", status="running")
    assert list(table(tmp_path)) == ["a"]
    summarise(tmp_path / "c", status="stopped")
    assert sorted(table(tmp_path)) == ["a", "b", "c"]
    for when in (time.time() - 31, time.time() + 3600):  # half a minute ago; by a clock set back
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        os.utime(tmp_path / ledger.TABLE, (when, when))
        summarise(tmp_path / "d", status="running")
        assert sorted(table(tmp_path)) == ["a", "b", "d"]
        shutil.rmtree(tmp_path / "d")


def test_a_system_without_locks_trains_and_renders_all_the_same(tmp_path: Path) -> None:
    script = """
import sys
sys.modules["fcntl"] = None  # as on Windows
from pathlib import Path
import wgan_jax.training
from wgan_jax.record import claim, ledger
folder = Path(sys.argv[1])
with claim.claimed(folder / "run"):
    ledger.render(folder)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=ROOT)
    assert (tmp_path / ledger.PAGE).exists()


def test_ten_processes_at_once_lose_no_row(tmp_path: Path) -> None:
    script = """
import sys
import threading
from pathlib import Path
from wgan_jax.config import flat
from wgan_jax.settings import Settings
from wgan_jax.history import History
from wgan_jax.record import ledger
workdir = Path(sys.argv[1])
workdir.mkdir()
for epochs in range(5):
    rows = [{"epoch": i, "d_loss": float(i)} for i in range(epochs + 1)]
    made = History.from_rows(rows)
    ledger.write_summary(workdir, flat(Settings()), made, status="finished", verdict="healthy")
"""
    names = [f"run{i}" for i in range(10)]
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / name)], cwd=ROOT)
        for name in names
    ]
    assert [process.wait(60) for process in processes] == [0] * 10
    rows = table(tmp_path)
    assert sorted(rows) == names
    assert {row["done"] for row in rows.values()} == {"5"}
    assert (tmp_path / ledger.PAGE).read_text().count("| run") == 10
    assert not list(tmp_path.glob(".*.md.*")), "half-written files are left behind"


def test_a_run_without_numbers_has_a_row_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    settings = flat(Settings(objective="nsgan"))
    ledger.write_summary(tmp_path / "a", settings, History(), status="running", verdict="healthy")
    row = table(tmp_path)["a"]
    assert (row["done"], row["fid"], row["clip"]) == ("0", "", "")


def test_a_loss_that_is_not_a_number_is_shown_as_such(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    made = History()
    made.extend(np.arange(2), {"d_loss": np.array([1.0, np.nan]), "g_loss": np.array([1, np.inf])})
    settings = flat(Settings())
    ledger.write_summary(tmp_path / "a", settings, made, status="failed", verdict="failing")
    row = table(tmp_path)["a"]
    assert (row["d_loss"], row["g_loss"]) == ("NaN", "Infinity")
    assert json.loads((tmp_path / "a" / ledger.SUMMARY).read_text())["d_loss"] == "NaN"


def test_rows_sort_by_numbers_with_the_unmeasured_last() -> None:
    rows: list[dict[str, Any]] = [
        {"run": str(i), "fid": v} for i, v in enumerate([30, None, 4, "NaN"])
    ]
    assert [row["run"] for row in ledger.order(rows, "fid")] == ["2", "0", "1", "3"]
    assert [row["run"] for row in ledger.order(rows, "fid", reverse=True)] == ["0", "2", "1", "3"]


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command_line.main(["log", *arguments]) == 0
    return capsys.readouterr().out


def test_last_and_best_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    made = History.from_rows(
        {"epoch": epoch, "d_loss": 1.0, "fid_score": fid, "inception_score_mean": 3.0}
        for epoch, fid in ((10, 90.0), (20, 30.0), (30, 60.0))
    )
    said = ledger.write_summary(
        tmp_path / "a", flat(Settings()), made, status="finished", verdict="healthy"
    )
    wanted = {"done": 31, "fid": 60.0, "best_fid": 30.0, "best_fid_epoch": 20, "is": 3.0}
    assert {key: said[key] for key in wanted} == wanted


def test_each_learning_rate_is_its_own_networks(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    settings = flat(Settings()) | {"generator_optimizer.learning_rate": 2e-4}
    ledger.write_summary(tmp_path / "a", settings, History(), status="finished", verdict="healthy")
    row = table(tmp_path)["a"]
    assert (row["critic_lr"], row["generator_lr"]) == ("5e-05", "0.0002")
    assert "| 5e-05 / 0.0002 |" in (tmp_path / ledger.PAGE).read_text()


def test_a_resumed_run_that_measures_nothing_more_keeps_its_encoder(tmp_path: Path) -> None:
    summarise(tmp_path / "a", encoder="digits")
    assert summarise(tmp_path / "a", encoder="")["encoder"] == "digits"


def test_the_table_on_the_terminal_is_80_columns_wide_and_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name, encoder in (("b_run_with_a_very_long_name", "inception"), ("a", "digits")):
        summarise(tmp_path / name, encoder=encoder)
    lines = show(capsys, "--runs", str(tmp_path), "--sort", "run").splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert [line.split()[0] for line in lines[2:4]] == ["a", "b_run_with_…"]
    assert "do not compare with Inception's" in lines[-1]
    assert "critic_lr" in show(capsys, "--runs", str(tmp_path), "--sort", "critic_lr")


@pytest.mark.parametrize(
    ("width", "names"),
    [
        ("80", ["ba…28_seed_0", "ba…28_seed_1", "ba…64_seed_0"]),
        ("83", ["ba…h_128_seed_0", "ba…h_128_seed_1", "batch_64_seed_0"]),
        ("140", ["batch_128_seed_0", "batch_128_seed_1", "batch_64_seed_0"]),
    ],
)
def test_the_runs_of_a_grid_are_told_apart_and_whole_where_there_is_room(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: str,
    names: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for name in ("batch_128_seed_0", "batch_128_seed_1", "batch_64_seed_0"):
        summarise(tmp_path / name)
    lines = show(capsys, "--runs", str(tmp_path), "--sort", "run").splitlines()
    assert [line.split()[0] for line in lines[2:]] == names
    assert max(map(len, lines)) <= int(width)


def test_folders_with_runs_of_their_own_are_named_with_the_command_that_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    summarise(tmp_path / "runs" / "triage_b" / "batch_64_seed_0")
    assert command_line.main(["log"]) == 2
    assert "with --runs, e.g. --runs runs/triage_b." in capsys.readouterr().err
    summarise(tmp_path / "runs" / "alone")
    said = "More runs in triage_b: python run.py log --runs runs/triage_b"
    assert show(capsys).splitlines()[3:] == [said]
    summarise(tmp_path / "runs" / "triage a" / "batch_64_seed_0")
    said = "More runs in triage a, triage_b: python run.py log --runs 'runs/triage a'"
    assert show(capsys).splitlines()[3:] == [said]
    assert "More" not in show(capsys, "--runs", "runs/triage_b")


def test_the_table_on_the_terminal_says_what_is_done_and_what_is_not_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    made = History.from_rows({"epoch": i, "g_loss": -2.68e-05} for i in range(240))
    settings = flat(Settings(epochs=10000))
    ledger.write_summary(tmp_path / "b", settings, made, status="stopped", verdict="healthy")
    summarise(tmp_path / "a")
    lines = show(capsys, "--runs", str(tmp_path), "--sort", "run").splitlines()
    assert [line.split()[3] for line in lines[2:4]] == ["400", "240"]
    assert "-2.68e-05" in lines[3]
    assert lines[4:] == ["Not finished: b, stopped after 240 of 10000."]


def test_two_runs_stand_side_by_side_with_their_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, n in (("a", 300), ("b", 200)):
        make(tmp_path / name, n)
        settings = flat(Settings(epochs=n))
        ledger.write_summary(
            tmp_path / name, settings, history(n), status="finished", verdict="healthy"
        )
    text = show(capsys, "--runs", str(tmp_path), "--compare", "a", "b")
    assert any(line.split() == ["epochs", "300", "200"] for line in text.splitlines())
    assert "n_critic" not in text  # the same in both
    assert max(map(len, text.splitlines()[:-1])) <= 80
    with Image.open(tmp_path / "compare-a-b.png") as picture:
        assert picture.width == 1500


def test_two_runs_whose_long_names_differ_at_their_ends_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"cifar_wgan_batch_256_learning_rate_{rate}" for rate in ("0.001", "0.002")]
    for name in names:
        make(tmp_path / name, 60)
    head, *lines = show(capsys, "--runs", str(tmp_path), "--compare", *names).splitlines()[:-1]
    assert head.split() == ["cifa…56_learning_rate_0.001", "cifa…56_learning_rate_0.002"]
    assert max(map(len, [head, *lines])) <= 80


def test_of_two_runs_what_differs_is_told_and_what_is_the_same_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, n, dropout in (("a", 300, 0.1), ("b", 200, 0.2)):
        summarise(make(tmp_path / name, n, grids=0))
        config = json.loads((tmp_path / name / "config.json").read_text())
        config["critic"]["dropout"] = dropout
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    text = show(capsys, "--runs", str(tmp_path), "--compare", "a", "b")
    lines = [line.split() for line in text.splitlines()]
    assert ["critic.dropout", "0.1", "0.2"] in lines
    assert not {"seed", "batch", "epochs"} & {word for line in lines for word in line[:1]}
    assert ["stability", "stable", "stable"] in lines  # though the same


def test_runs_of_one_name_in_two_folders_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, verdict in (("runs", "healthy"), ("other", "failing")):
        summarise(make(tmp_path / folder / "a", 50, grids=0), verdict=verdict)
    runs, other = tmp_path / "runs", str(tmp_path / "other" / "a")
    lines = show(capsys, "--runs", str(runs), "--compare", "a", other).splitlines()
    assert lines[0].split() == ["runs/a", "other/a"]
    assert ["stability", "stable", "collapsed"] in [line.split() for line in lines]


def test_a_note_is_set_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summarise(tmp_path / "a")
    show(capsys, "--runs", str(tmp_path), "--note", "a", "Baseline")
    assert table(tmp_path)["a"]["notes"] == "Baseline"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sort", "fud"], "Did you mean fid?"),
        (["--compare", "ab", "a"], "no run 'ab'"),
        (["--note", "z", "text"], "no run 'z'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    summarise(tmp_path / "a")
    assert command_line.main(["log", "--runs", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_folder_without_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["log", "--runs", str(tmp_path)]) == 2
    assert "no runs in" in capsys.readouterr().err
