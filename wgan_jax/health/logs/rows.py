"""Rows of anyone's log brought in order: one an epoch, epochs increasing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wgan_jax.health.logs.names import COARSE, unit_of
from wgan_jax.health.logs.restarts import standing, start_anew
from wgan_jax.health.logs.tables import Table
from wgan_jax.health.past import LOSSES
from wgan_jax.health.series import Ints
from wgan_jax.history import Floats

ROW = "row"  # what is counted where no column does
_MOST_EPOCHS = 2**53  # above it, floats skip whole numbers
_FEW = 0.1  # share of NaN among a loss's rows: more are the log's way of leaving rows out
_REJECTED, _WON = 2.0, 0.1  # g_loss above which, and d_loss below which a critic may have won
_MOST_WITHOUT = 0.05  # share of the rows that a log goes on without losses, and nothing is said

Columns = dict[str, Floats]
_Masks = dict[str, NDArray[np.bool_]]


def in_order(table: Table, numbers: Columns, notes: list[str]) -> tuple[str, Ints, Columns]:
    """(what is counted, epochs, columns) with one row per epoch, epochs increasing.

    Args:
      numbers: the table's columns without its time axes, some of them put right [rows].
      notes: what had to be put right is added here, one line each.
    """
    measured = ~np.isnan(numbers.get("d_loss", next(iter(numbers.values()))))
    unit, epochs, kept = _epochs(table, measured, notes)
    written = {key: table.written_nan[key] for key in LOSSES if key in table.written_nan}
    measured = measured[kept]
    if (np.diff(epochs) >= 0).all() and _many_rows_per_epoch(epochs[measured]):
        notes.append("Epochs have several rows each: rows are counted.")
        unit, epochs = ROW, np.arange(len(kept))
    elif unit != "epoch" and start_anew(epochs[measured]):  # epochs do: runs in one file
        notes.append("Steps start anew again and again: rows are counted.")
        unit, epochs = ROW, np.arange(len(kept))
    else:
        stands = standing(epochs, measured, notes)
        epochs, kept = epochs[stands], kept[stands]
    back = int((np.diff(epochs) < 0).sum())
    if back:
        notes.append(f"Epochs go back {back} times: rows are sorted.")
    order = np.argsort(epochs, kind="stable")
    epochs, kept = epochs[order], kept[order]
    columns = {key: column[kept] for key, column in numbers.items()}
    _leave_out_infinities(columns, notes)
    _mark_not_a_number(columns, {key: mask[kept] for key, mask in written.items()}, notes)
    epochs, columns = _merge(epochs, columns, notes)
    _note_ends(epochs, columns, notes)
    return unit, epochs, columns


def _epochs(table: Table, measured: NDArray[np.bool_], notes: list[str]) -> tuple[str, Ints, Ints]:
    """(what is counted, epoch of each row that is kept, these rows); `measured`: rows of losses."""
    rows = np.arange(table.rows)
    axis, unit = table.numbers.get("epoch"), unit_of(table.chosen.get("epoch", ""))
    if axis is not None and COARSE in table.numbers:
        counted = _composed(axis, table.numbers[COARSE], notes)
        axis, unit = (axis, unit) if counted is None else (counted, ROW)
    if axis is None or not np.isfinite(axis).any():
        notes.append("There is no column of epochs: rows are counted.")
        return ROW, rows, rows
    known = np.isfinite(axis)
    lacking = int((measured & ~known).sum())
    if 2 * lacking > measured.sum():
        notes.append(f"{lacking} rows of {measured.sum()} have no epoch: rows are counted.")
        return ROW, rows, rows
    if not known.all():
        notes.append(f"{int((~known).sum())} rows without an epoch are left out.")
        axis, rows = axis[known], rows[known]
    if (axis != np.round(axis)).any() or np.abs(axis).max() > _MOST_EPOCHS:
        notes.append("Epochs are no whole numbers: rows are counted.")
        return ROW, np.arange(len(rows)), rows
    return unit, axis.astype(np.int64), rows


def _composed(fine: Floats, coarse: Floats, notes: list[str]) -> Floats | None:
    """The fine axis counted over all of a run, where it starts anew with each step of the coarse.

    A row with a coarse step alone (a measurement after an epoch) belongs to its last fine one.
    """
    fine = np.where(np.isfinite(fine), fine, np.inf)
    order = np.lexsort((fine, coarse))
    inner, outer = fine[order], coarse[order]
    known = np.isfinite(inner) & np.isfinite(outer)
    starts = np.flatnonzero(differs(outer[known]))
    if len(starts) < 2:
        return None
    first = inner[known][starts]
    last = inner[known][np.append(starts[1:], known.sum()) - 1]
    anew = (first[1:] < last[:-1]) | (first[1:] <= first[:-1])
    if anew.mean() <= 0.5:
        return None
    counted = np.empty(len(fine))
    counted[order] = np.cumsum((differs(inner) & np.isfinite(inner)) | differs(outer)) - 1
    counted[~np.isfinite(coarse)] = np.nan
    each = (np.nanmax(counted) + 1) / len(starts)
    notes.append(f"Steps start anew with each epoch: rows are counted, {each:.0f} an epoch.")
    return counted


def differs(values: Floats) -> NDArray[np.bool_]:
    """Whether each value is another than the one before it; the first is."""
    return np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])


def _many_rows_per_epoch(measured: Ints) -> bool:
    """Whether the losses were measured more than once in most epochs; their epochs are given."""
    _, counts = np.unique(measured, return_counts=True)
    return len(counts) > 0 and float(np.mean(counts > 1)) > 0.5


def _leave_out_infinities(columns: Columns, notes: list[str]) -> None:
    """An infinite loss followed by numbers was one batch's (a log of 0, half precision): a gap."""
    for key in filter(columns.__contains__, LOSSES):
        infinite = np.isinf(columns[key])
        infinite[_end(np.where(infinite, np.nan, columns[key])) :] = False
        if infinite.any():
            columns[key] = np.where(infinite, np.nan, columns[key])
            notes.append(
                f"{int(infinite.sum())} infinite values of {key} with numbers after them: left out."
            )


def _mark_not_a_number(columns: Columns, written_nan: _Masks, notes: list[str]) -> None:
    """A NaN that stays to the end of a loss is a divergence: it is marked as infinite.

    A history has NaN for "not measured", and logs write NaN for that too; but a loss that is not a
    number never becomes one again, so a NaN followed by numbers was a gap. So is a NaN in a row of
    another metric, one that is usually logged without the loss. A few gaps may be steps that loss
    scaling skipped: a note says so.
    """
    for key, mask in written_nan.items():
        if key not in columns:
            continue
        end = _end(columns[key])
        own = mask & ~_of_others(columns, key)
        gaps, lost = int(own[:end].sum()), end + np.flatnonzero(own[end:])
        if 0 < gaps <= _FEW * end:
            notes.append(f"{gaps} NaN in {key} with numbers after them: left out.")
        if len(lost):
            columns[key][lost[0]] = np.inf


def _end(column: Floats) -> int:
    """The row after the last number of a column; 0 if it has none."""
    return int(np.max(np.flatnonzero(~np.isnan(column)), initial=-1)) + 1


def _of_others(columns: Columns, loss: str) -> NDArray[np.bool_]:
    """Rows with a number of what most rows of a loss are without [rows]."""
    has_loss = ~np.isnan(columns[loss])
    others = np.zeros(len(has_loss), bool)
    for key, column in columns.items():
        measured = ~np.isnan(column)
        if key != loss and measured[has_loss].sum() < 0.5 * has_loss.sum():
            others |= measured
    return others


def joins(epochs: Ints, columns: Columns, unit: str, notes: list[str]) -> int:
    """Epoch at which the critic joins a run that began without it; 0 for others.

    Where a generator has other teachers it may train for long before its critic (VQGAN's
    `disc_start`), and exactly 0 is logged for D until then. That is no part of the game: losses
    before it are left out. A critic that has won is 0 too, but rejects the fakes and goes on with
    next to nothing, or is 0 again and again.
    """
    d, g = columns.get("d_loss", np.zeros(0)), columns.get("g_loss", np.zeros(0))
    rows = np.flatnonzero(~np.isnan(d))
    plays = rows[d[rows] != 0]
    end = plays[0] if len(plays) else len(d)
    before = g[:end][np.isfinite(g[:end])]
    rejects = len(before) > 0 and bool(np.median(before) >= _REJECTED)
    if len(plays):
        level = np.median(d[rows[rows >= end]])
        won = level < _WON if rejects else level == 0
    else:
        won = rejects
    if won or np.count_nonzero(rows < end) < 2:
        return 0
    for key in filter(columns.__contains__, LOSSES):
        columns[key][:end] = np.nan
    if not len(plays):
        notes.append("D is 0 throughout: its critic has not joined yet, and nothing is said of it.")
        return 0
    notes.append(
        f"D is 0 until {unit} {epochs[end]}, where its critic joins: losses before are left out."
    )
    return int(epochs[end])


def _note_ends(epochs: Ints, columns: Columns, notes: list[str]) -> None:
    """Say where losses end well before the log does, other than in rows of another measure.

    It may be a NaN, for which pandas writes an empty cell and strict JSON null. But a table laid
    out for the whole of a run that still goes on looks the same, and so do rows of what we do not
    read: it is no verdict.
    """
    ends: dict[int, list[str]] = {}
    for key in filter(columns.__contains__, LOSSES):
        end = _end(columns[key])
        without = (~_of_others(columns, key)[end:]).sum()
        numbers = end and np.isfinite(columns[key][end - 1])
        if numbers and without > _MOST_WITHOUT * len(epochs):
            ends.setdefault(end, []).append(key)
    for end, keys in ends.items():
        notes.append(
            f"{' and '.join(keys)}: no value after {epochs[end - 1]}, in the last "
            f"{len(epochs) - end} rows. If it was NaN there, which many write as nothing, the run "
            "diverged."
        )


def _merge(epochs: Ints, columns: Columns, notes: list[str]) -> tuple[Ints, Columns]:
    """One row per epoch: in every column the last value written for it.

    An epoch may have a row for its losses and one for its scores: those are no repetition.
    """
    starts = np.flatnonzero(np.diff(epochs, prepend=epochs[0] - 1))
    if len(starts) == len(epochs):
        return epochs, columns
    sizes = np.diff(np.append(starts, len(epochs)))
    ends = starts + sizes - 1
    places = np.arange(len(epochs))
    overwritten = np.zeros(len(epochs), bool)
    merged = {}
    for key, values in columns.items():
        last = np.maximum.accumulate(np.where(np.isnan(values), -1, places))[ends]
        merged[key] = np.where(last >= starts, values[last], np.nan)
        overwritten |= ~np.isnan(values) & (places < np.repeat(last, sizes))
    if overwritten.any():
        notes.append(f"{int(overwritten.sum())} rows repeat an epoch: the last value counts.")
    return epochs[starts], merged
