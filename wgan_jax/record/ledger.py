"""The experiment log: one small file in each run, and two tables rendered from all of them.

`summary.json` lies in the run's folder and is written by that run and by whoever notes something on
it, in turns; `EXPERIMENTS.md` and `experiments.csv` lie in the folder that holds the runs and are
rendered, whole, from all summaries. So simultaneous runs cannot overwrite each other's rows, and a
damaged summary costs its own only.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.bands import may_clip
from wgan_jax.errors import UserError
from wgan_jax.files import absolute, locked, read_object, replace_object, replace_text
from wgan_jax.history import History
from wgan_jax.keys import encoder_mark
from wgan_jax.record import pages
from wgan_jax.record.stability import at_the_end, overall
from wgan_jax.record.writers import to_json

SUMMARY, PAGE, TABLE = "summary.json", "EXPERIMENTS.md", "experiments.csv"
CONCLUSION = "triage.json"  # lies beside the runs of a grid
PATIENCE = 3.0  # seconds to wait for another process that writes the same
RENDER_EVERY = 30.0  # seconds between two renderings for runs that are not at their end

# Column -> setting it comes from.
SETTINGS = {
    "batch": "batch_size",
    "epochs": "epochs",
    "critic_lr": "critic_optimizer.learning_rate",
    "generator_lr": "generator_optimizer.learning_rate",
    "n_critic": "n_critic",
    "clip": "clip",
    "seed": "seed",
    "objective": "objective",
    "data": "data.name",
}
COLUMNS = (
    "run", "date", "wandb", "status", "done", *SETTINGS,
    "stability", "d_loss", "g_loss", "fid", "best_fid", "is", "encoder", "notes",
)  # fmt: skip


def write_summary(
    workdir: Path,
    settings: Mapping[str, Any],
    history: History,
    *,
    status: str,
    verdict: str,
    finding: str = "",
    encoder: str = "",
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a run's `summary.json` and render the log anew; called at checkpoints and at the end.

    A running run renders the log now and then only, for it is read from all runs that there are.
    What a person noted (`notes`) and the date of the first call stay. Returns the summary.

    Args:
      workdir: the run's folder; the log lies in the folder that holds it.
      settings: dotted name -> value.
      history: what was measured so far.
      status: running, stopped, failed or finished.
      verdict: healthy, warning, failing or not judged.
      finding: one line on what is wrong; empty: nothing.
      encoder: what FID and IS were measured with; empty: they were not.
      say: is told where the log cannot be written, which raises without it.
    """
    with _in_turn(workdir):
        before = read_object(workdir / SUMMARY) or {}
        wandb = read_object(workdir / "wandb_run.json") or {}
        summary = {
            "run": absolute(workdir).name,
            "date": before.get("date") or time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
            "wandb": wandb.get("url", ""),
            "status": status,
            **{column: settings.get(name) for column, name in SETTINGS.items()},
            **_measured(history),
            "verdict": verdict,
            "stability": overall(verdict, history, settings.get("objective")),
            "encoder": encoder or before.get("encoder", ""),  # measured before the run was resumed
            "finding": finding,
            "notes": before.get("notes", ""),
        }
        if not may_clip(summary["objective"]):
            summary["clip"] = None  # nothing is clipped
        _write(workdir, summary)
    folder = absolute(workdir).parent
    try:
        if status != "running" or _age(folder / TABLE) >= RENDER_EVERY:
            render(folder)
    except (OSError, UserError) as error:
        if say is None:
            raise
        say(f"The experiment log is not written, and training goes on without it: {error}")
    return summary


def _age(path: Path) -> float:
    """Seconds since a file was written; infinite where it is not there or of the future."""
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
    return age if age >= 0 else math.inf


def _measured(history: History) -> dict[str, Any]:
    """What a summary tells of the history: epochs done, last losses, last and best quality."""
    epochs, fid = history.measured("fid_score")
    best = int(np.argmin(fid)) if len(fid) else None
    return {
        "done": history.played,
        "d_loss": at_the_end(history, "d_loss"),
        "g_loss": at_the_end(history, "g_loss"),
        "fid": _last(history, "fid_score"),
        "best_fid": None if best is None else float(fid[best]),
        "best_fid_epoch": None if best is None else int(epochs[best]),
        "is": _last(history, "inception_score_mean"),
    }


def write_note(workdir: Path, text: str) -> None:
    """Set what a person notes on a run, and render the log anew."""
    with _in_turn(workdir):
        summary = read_object(workdir / SUMMARY) or {"run": absolute(workdir).name}
        _write(workdir, summary | {"notes": text})
    render(absolute(workdir).parent)


@contextlib.contextmanager
def _in_turn(workdir: Path) -> Iterator[None]:
    """Read a run's summary and write it, while no other process does.

    Where there is no lock to be had, or none in time, it is written all the same: an update that is
    lost if another comes between is better than one never made.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(locked(workdir / ".summary.lock", patience=PATIENCE))
        yield


def _write(workdir: Path, summary: Mapping[str, Any]) -> None:
    replace_object(workdir / SUMMARY, json.loads(to_json(summary)))


def _last(history: History, key: str) -> float | None:
    """The last value measured; None where there is none."""
    _, values = history.measured(key)
    return float(values[-1]) if len(values) else None


def summaries(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(summaries, names of runs whose summary is damaged) of all runs in a folder, oldest first."""
    found, damaged = [], []
    for path in sorted(folder.glob(f"*/{SUMMARY}")):
        summary = read_object(path)
        if summary is None:
            damaged.append(path.parent.name)
        else:
            found.append(summary | {"run": path.parent.name})
    return sorted(found, key=lambda row: (str(row.get("date", "")), row["run"])), damaged


def render(folder: Path) -> None:
    """Write `EXPERIMENTS.md` and `experiments.csv` from all summaries in a folder of runs.

    Under a lock, so that the last to render has seen all summaries written before it.

    Raises:
      UserError: another process keeps the lock; the next to render writes what this one would have.
    """
    lock = folder / ".experiments.lock"
    try:
        with locked(lock, patience=PATIENCE):
            rows, damaged = summaries(folder)
            replace_text(folder / PAGE, _page(rows, damaged))
            replace_text(folder / TABLE, _csv(rows))
    except BlockingIOError:
        raise UserError(
            f"another process, perhaps a suspended one, holds {lock}. A run's next checkpoint or "
            "end writes it."
        ) from None


def _page(rows: list[dict[str, Any]], damaged: list[str]) -> str:
    header = (
        "Run", "Date", "W&B URL", "Batch", "Epochs", "LR critic / gen", "n_critic", "Clip", "Seed",
        "Stability", "D Loss", "G Loss", "FID", "IS", "Notes",
    )  # fmt: skip
    parts = [
        "# Experiments",
        f"Rendered from the `{SUMMARY}` of each run. Sort or compare: `python run.py log --help`.",
        pages.table(header, [_row(row) for row in rows]),
    ]
    if damaged:
        names = ", ".join(f"`{name}`" for name in damaged)
        parts.append(f"Left out, for their `{SUMMARY}` is damaged: {names}.")
    return "\n\n".join(parts) + "\n"


def _row(row: Mapping[str, Any]) -> pages.Row:
    done, epochs = row.get("done"), row.get("epochs")
    link = f"[View]({row['wandb']})" if row.get("wandb") else "–"
    word = str(row.get("stability"))
    stability = f"{pages.SIGNS[word]} {word}" if word in pages.SIGNS else "–"
    if row.get("status") not in ("finished", None):
        stability += f" ({row['status']})"
    fid = cell(row, "fid")
    if encoder_mark(row.get("encoder")) and fid != "–":
        fid += f" ({row['encoder']})"
    return (
        str(row["run"]), str(row.get("date") or "–")[:10], link, cell(row, "batch"),
        f"{epochs}" if done == epochs else f"{done} of {epochs}",
        f"{cell(row, 'critic_lr')} / {cell(row, 'generator_lr')}", cell(row, "n_critic"),
        cell(row, "clip"), cell(row, "seed"), stability, cell(row, "d_loss"), cell(row, "g_loss"),
        fid, cell(row, "is"), cell(row, "notes"),
    )  # fmt: skip


# Column -> metric whose values it has.
KEYS = {
    "d_loss": "d_loss",
    "g_loss": "g_loss",
    "fid": "fid_score",
    "best_fid": "fid_score",
    "is": "inception_score_mean",
}


def cell(row: Mapping[str, Any], column: str) -> str:
    """One value of a summary as tables print it; an en dash where there is none."""
    value = row.get(column)
    if column == "notes":
        value = "; ".join(str(row[name]) for name in ("notes", "finding") if row.get(name))
    if value is None or value == "":
        return "–"
    if column in KEYS and isinstance(value, int | float):
        return pages.show(KEYS[column], float(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        notes = cell(row, "notes")
        full = {**row, "notes": "" if notes == "–" else notes}
        writer.writerow([_no_formula(full.get(name)) for name in COLUMNS])
    return text.getvalue()


def _no_formula(value: Any) -> Any:
    """A cell that no spreadsheet computes: a text that begins like a formula is quoted."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value


def order(rows: list[dict[str, Any]], column: str, reverse: bool = False) -> list[dict[str, Any]]:
    """Rows by a column, least first; those without a value (or with NaN) always last."""

    def known(row: dict[str, Any]) -> bool:
        value = row.get(column)
        return value not in (None, "", "NaN") and not (
            isinstance(value, float) and math.isnan(value)
        )

    def place(row: dict[str, Any]) -> tuple[bool, Any]:
        value = row[column]
        return isinstance(value, str), value

    have = sorted((row for row in rows if known(row)), key=place, reverse=reverse)
    return have + [row for row in rows if not known(row)]
