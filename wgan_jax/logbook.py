"""The experiment log on the terminal: a table of runs, two runs side by side, a note on one."""

from __future__ import annotations

import difflib
import shlex
import shutil
import textwrap
from pathlib import Path
from typing import Any

from wgan_jax.errors import UserError, apart, printable, shorten
from wgan_jax.files import absolute
from wgan_jax.keys import encoder_mark
from wgan_jax.record import ledger
from wgan_jax.record.workdir import read

WIDTH = 80
# Column -> (heading, width, kept to the right): `WIDTH` with the spaces between.
SHOWN = {
    "run": ("Run", 12, False),
    "date": ("Date", 10, False),
    "batch": ("Batch", 5, True),
    "done": ("Epochs", 6, True),
    "stability": ("Stability", 10, False),
    "d_loss": ("D", 9, True),
    "g_loss": ("G", 9, True),
    "fid": ("FID", 6, True),
    "is": ("IS", 5, True),
}
CURVES = (
    "wasserstein_distance", "d_loss", "g_loss", "dg_ratio", "clip_ratio", "generator_grad_norm",
    "fid_score", "inception_score_mean", "pixel_variance",
)  # fmt: skip


def show(folder: Path, sort: str = "date", reverse: bool = False) -> str:
    """The log of a folder of runs as a table, sorted by any column of the CSV.

    It has 80 columns, or more for longer names of runs where the terminal has them.
    """
    if sort not in ledger.COLUMNS:
        near = difflib.get_close_matches(sort, ledger.COLUMNS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(ledger.COLUMNS)}."
        raise UserError(f"no column {sort!r} to sort by. {hint}")
    rows, damaged = _rows(folder)
    columns = SHOWN | {"run": ("Run", _run_width(rows), False)}
    if sort not in columns:  # shown in the date's place
        columns = {sort if name == "date" else name: head for name, head in columns.items()}
        columns[sort] = (sort, 10, False)
    lines = [_line({name: head[0] for name, head in columns.items()}, columns)]
    lines.append("─" * len(lines[0]))
    ordered = ledger.order(rows, sort, reverse)
    runs = apart([printable(row["run"]) for row in ordered], columns["run"][1])
    for run, row in zip(runs, ordered, strict=True):
        cells = {name: ledger.cell(row, name) for name in columns}
        lines.append(_line(cells | {"run": run, "date": ledger.cell(row, "date")[:10]}, columns))
    unfinished = [_standing(row) for row in rows if row.get("status") not in ("finished", None)]
    if unfinished:
        lines += textwrap.wrap(f"Not finished: {'; '.join(unfinished)}.", len(lines[0]))
    others = sorted({str(row["encoder"]) for row in rows if encoder_mark(row.get("encoder"))})
    if others:
        lines.append(f"FID and IS by {', '.join(others)} do not compare with Inception's.")
    named = map(printable, damaged)
    lines += [f"{name}: its {ledger.SUMMARY} is damaged and was left out." for name in named]
    if deeper := _folders_of_runs(folder):
        command = f"python run.py log --runs {shlex.quote(str(deeper[0]))}"
        names = shorten(path.name for path in deeper)
        lines.append(f"More runs in {names}: {printable(command)}")
    return "\n".join(lines)


def _run_width(rows: list[dict[str, Any]]) -> int:
    """Of the column Run: the longest name's, as far as the terminal has room for it."""
    least = SHOWN["run"][1]
    longest = max((len(printable(row["run"])) for row in rows), default=0)
    return max(least, min(longest, least + shutil.get_terminal_size().columns - WIDTH))


def _folders_of_runs(folder: Path) -> list[Path]:
    """Folders in this one that hold runs of their own, as a grid's does."""
    return sorted({path.parents[1] for path in folder.glob(f"*/*/{ledger.SUMMARY}")})


def _standing(row: dict[str, Any]) -> str:
    """Where a run stands that is not finished, e.g. `digits_wgan, stopped after 240 of 10000`."""
    run, status, done, epochs = (
        printable(ledger.cell(row, name)) for name in ("run", "status", "done", "epochs")
    )
    return f"{run}, {status} after {done} of {epochs}"


def _rows(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    rows, damaged = ledger.summaries(folder)
    if not rows and not damaged:
        example = "".join(f", e.g. --runs {path}" for path in _folders_of_runs(folder)[:1])
        raise UserError(
            f"no runs in {folder}: give the folder that holds workdirs with --runs{example}."
        )
    return rows, damaged


def _line(cells: dict[str, str], columns: dict[str, tuple[str, int, bool]]) -> str:
    parts = []
    for name, (_, width, right) in columns.items():
        cell = printable(cells[name])
        if len(cell) > width:
            cell = cell[: width - 1] + "…"
        parts.append(cell.rjust(width) if right else cell.ljust(width))
    return " ".join(parts)


def compare(folder: Path, first: str, second: str) -> tuple[str, Path]:
    """(table of two runs side by side, PNG with their curves over each other).

    The settings that both share are left out of the table. Runs of one name in two folders are
    headed by their folders' names too.
    """
    runs = [read(_find(folder, name)) for name in (first, second)]
    cells = ((ledger.cell(run.summary, column) for run in runs) for column in ledger.COLUMNS)
    lines = [(column, *two) for column, two in zip(ledger.COLUMNS, cells, strict=True)]
    for name in sorted({*runs[0].config, *runs[1].config}):
        values = [str(run.config.get(name, "–")) for run in runs]
        if values[0] != values[1] and name not in ledger.SETTINGS.values():
            lines.append((name, *values))
    from wgan_jax.record.figures import overlay  # matplotlib: only where it is drawn

    names = [run.name for run in runs]
    path = folder / f"compare-{names[0]}-{names[1]}.png"
    if names[0] == names[1]:
        names = ["/".join(absolute(run.workdir).parts[-2:]) for run in runs]
    overlay([(name, run.history) for name, run in zip(names, runs, strict=True)], path, CURVES)
    same = {"run", "date", "stability", "fid"}
    kept = [line for line in lines[1:] if line[1] != line[2] or line[0] in same]
    head, *body = (_beside(*map(printable, line)) for line in (("", *names), *kept))
    return "\n".join([head, "─" * WIDTH, *body]), path


def _beside(name: str, *values: str) -> str:
    """A line of `compare`."""
    a, b = apart(values, 27)
    return f"{name[:24]:<24} {a:<27} {b:<27}".rstrip()


def note(folder: Path, name: str, text: str) -> None:
    """Set the note of one run."""
    workdir = _find(folder, name)
    if not any((workdir / file).is_file() for file in (ledger.SUMMARY, "metrics.jsonl")):
        raise UserError(f"{workdir} holds no run to note something on: name a run's folder.")
    ledger.write_note(workdir, text)


def _find(folder: Path, name: str) -> Path:
    """A run by its name in the folder, or by its path."""
    for path in (folder / name, Path(name)):
        if path.is_dir():
            return path
    known = sorted(path.parent.name for path in folder.glob("*/metrics.jsonl"))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "See run.py log."
    raise UserError(f"no run {name!r} in the folder {folder}. {hint}")
