"""Reads what others write: the log of any GAN's run as a `History`.

Files of any of the formats in `tables`, and run folders of this project. What is doubtful about a
log is put right where there is one right way, and said in `notes`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError
from wgan_jax.health import tables
from wgan_jax.health.names import shorten
from wgan_jax.health.past import LOSSES
from wgan_jax.health.series import Floats, Ints
from wgan_jax.health.tables import Table
from wgan_jax.history import History

_MOST_EPOCHS = 2**53  # above it, floats skip whole numbers
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
OBJECTIVES = ("wgan", "wgan_gp", "nsgan", "hinge", "lsgan")


@dataclass(frozen=True)
class RunLog:
    """A run's log.

    Attributes:
      path: the file, or the run folder.
      history: its columns under our keys.
      objective: as the log or the user says, or guessed; None if it cannot be told.
      guessed: whether the objective is a guess.
      encoder: what FID was measured with, None if the log does not say.
      clip: clip threshold, None where not known.
      total_epochs: planned length, None where not known.
      notes: what was doubtful, one line each.
    """

    path: Path
    history: History
    objective: str | None
    guessed: bool = False
    encoder: str | None = None
    clip: float | None = None
    total_epochs: int | None = None
    notes: tuple[str, ...] = ()


def read(
    path: Path, *, columns: Mapping[str, str] | None = None, objective: str | None = None
) -> RunLog:
    """The log at `path`, a file or a run folder of this project.

    Args:
      columns: key -> column, where names cannot be guessed.
      objective: one of `OBJECTIVES`; None: as the log says, or guessed from the losses.

    Raises:
      UserError: no such file, no text, no rows, or no column of a GAN's run.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: check the path.")
    if path.is_dir():
        return _read_workdir(path, objective)
    history, notes = _history(path, tables.read(path, columns or {}))
    known = objective or guess_objective(history)
    return RunLog(path, history, known, guessed=objective is None, notes=tuple(notes))


def is_workdir(path: Path) -> bool:
    """Whether a folder holds a run of this project."""
    return (path / "metrics.jsonl").is_file()


def _read_workdir(path: Path, objective: str | None) -> RunLog:
    if not is_workdir(path):
        raise UserError(f"{path} holds no metrics.jsonl: it is no run folder.")
    log = read(path / "metrics.jsonl")
    config: dict[str, Any] = {}
    if (path / "config.json").is_file():
        config = _config(path / "config.json")
    known = objective or config.get("objective")
    return RunLog(
        path,
        log.history,
        known or log.objective,
        guessed=known is None,
        encoder=_encoder(path / "metrics.jsonl"),
        clip=config.get("clip") if known == "wgan" else None,
        total_epochs=config.get("epochs"),
        notes=log.notes,
    )


def _config(path: Path) -> dict[str, Any]:
    """What a run folder's settings say of how to judge it."""
    try:
        found = json.loads(path.read_bytes())
        wanted: dict[str, type | tuple[type, ...]]
        wanted = {"objective": str, "clip": (int, float), "epochs": int}
        return {k: found[k] for k, kind in wanted.items() if isinstance(found.get(k), kind)}
    except (ValueError, AttributeError, RecursionError):
        raise UserError(f"{path} is damaged: mend it, or give metrics.jsonl alone.") from None


def _encoder(path: Path) -> str | None:
    """The encoder named in the newest line that names one."""
    named = None
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):
                named = json.loads(line).get("encoder", named) if '"encoder"' in line else named
    return str(named) if named else None


def _history(path: Path, table: Table) -> tuple[History, list[str]]:
    """The table as a history, and what had to be put right."""
    numbers, notes = dict(table.numbers), []
    if "d_loss" not in numbers and {"d_loss_real", "d_loss_fake"} <= set(numbers):
        numbers["d_loss"] = 0.5 * (numbers["d_loss_real"] + numbers["d_loss_fake"])
        notes.append("D is taken as half the sum of its real and fake terms.")
    if not {"d_loss", "fid_score"} & set(numbers):
        raise UserError(
            f"{path} has no column for d_loss. Name it with --map d_loss=COLUMN; it has: "
            f"{shorten(table.names)}."
        )
    if table.rows < 2:
        rows = "no rows" if table.rows == 0 else "one row"
        raise UserError(f"{path} has {rows}: nothing can be said of a run before its second.")
    axis = numbers.pop("epoch", None)
    if not any(np.isfinite(column).any() or np.isinf(column).any() for column in numbers.values()):
        written = any(table.written_nan[key].any() for key in LOSSES if key in table.written_nan)
        if not written:
            raise UserError(
                f"{path} has no numbers in its columns {shorten(numbers)}: check --map."
            )
    epochs, columns, written_nan = _in_order(axis, numbers, table, notes)
    _mark_not_a_number(columns, written_nan)
    history = History()
    history.extend(epochs, columns)
    return history, notes


_Masks = dict[str, NDArray[np.bool_]]


def _in_order(
    axis: Floats | None, numbers: dict[str, Floats], table: Table, notes: list[str]
) -> tuple[Ints, dict[str, Floats], _Masks]:
    """(epochs, columns, written NaN) with one row per epoch, epochs increasing."""
    masks = {key: table.written_nan[key] for key in LOSSES if key in table.written_nan}
    counted = np.arange(table.rows)
    if axis is None or not np.isfinite(axis).any():
        notes.append("There is no column of epochs: rows are counted.")
        return counted, numbers, masks
    known = np.isfinite(axis)
    if not known.all():
        notes.append(f"{int((~known).sum())} rows without an epoch are left out.")
        axis = axis[known]
        numbers = {key: column[known] for key, column in numbers.items()}
        masks = {key: mask[known] for key, mask in masks.items()}
        counted = counted[: len(axis)]
    if not len(axis) or (axis != np.round(axis)).any() or np.abs(axis).max() > _MOST_EPOCHS:
        notes.append("Epochs are no whole numbers: rows are counted.")
        return counted, numbers, masks
    epochs = axis.astype(np.int64)
    steps = np.diff(epochs)
    if (steps > 0).all():
        return epochs, numbers, masks
    if (steps >= 0).all() and _many_rows_per_epoch(epochs, numbers):
        notes.append("Epochs have several rows each: rows are counted.")
        return counted, numbers, masks
    if (steps < 0).any():
        notes.append(f"Epochs go back {int((steps < 0).sum())} times: rows are sorted.")
    return _merge(epochs, numbers, masks, notes)


def _many_rows_per_epoch(epochs: Ints, numbers: dict[str, Floats]) -> bool:
    """Whether the losses were measured more than once in most epochs."""
    measured = ~np.isnan(numbers.get("d_loss", next(iter(numbers.values()))))
    _, counts = np.unique(epochs[measured], return_counts=True)
    return len(counts) > 0 and float(np.mean(counts > 1)) > 0.5


def _merge(
    epochs: Ints, numbers: dict[str, Floats], masks: _Masks, notes: list[str]
) -> tuple[Ints, dict[str, Floats], _Masks]:
    """One row per epoch: in every column the last value written for it."""
    order = np.argsort(epochs, kind="stable")
    epochs = epochs[order]
    starts = np.flatnonzero(np.diff(epochs, prepend=epochs[0] - 1))
    ends = np.append(starts[1:], len(epochs)) - 1
    if len(starts) < len(epochs):
        notes.append(f"{len(epochs) - len(starts)} rows repeat an epoch: the last value counts.")
    places = np.arange(len(epochs))
    merged = {}
    for key, column in numbers.items():
        values = column[order]
        last = np.maximum.accumulate(np.where(np.isnan(values), -1, places))[ends]
        merged[key] = np.where(last >= starts, values[last], np.nan)
    kept = {key: np.logical_or.reduceat(mask[order], starts) for key, mask in masks.items()}
    return epochs[starts], merged, kept


def _mark_not_a_number(columns: dict[str, Floats], written_nan: _Masks) -> None:
    """A NaN that stays to the end of a loss is a divergence: it is marked as infinite.

    A history has NaN for "not measured", and logs write NaN for that too; but a loss that is not a
    number never becomes one again, so a NaN followed by numbers was a gap.
    """
    for key, mask in written_nan.items():
        if key not in columns:
            continue
        numbers = np.flatnonzero(~np.isnan(columns[key]))
        end = int(numbers[-1]) + 1 if len(numbers) else 0
        lost = end + np.flatnonzero(mask[end:])
        if len(lost):
            columns[key][lost[0]] = np.inf


def guess_objective(history: History) -> str | None:
    """The objective that the losses look like; None where they look like none that we know.

    Bounds are what the formulas allow: a Wasserstein critic's loss falls below 0, all others' do
    not; among these a hinge generator's loss may be negative; a least-squares one stays small.
    """
    d, g = (history.measured(key)[1] for key in LOSSES)
    d, g = d[np.isfinite(d)], g[np.isfinite(g)]
    if not len(d):
        return None
    if np.mean(d < 0) > 0.01:
        return "wgan"
    if np.quantile(d, 0.01) > 2.5 or not len(g):
        return None  # an offset, as of a classifier's loss: no bound can be told
    if np.mean(g < 0) > 0.001:
        return "hinge"
    if np.median(g) < 0.6 and np.quantile(d, 0.9) < 0.6:
        return "lsgan"
    return "nsgan"
