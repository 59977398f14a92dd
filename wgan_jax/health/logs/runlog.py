"""Reads what others write: the log of any GAN's run as a `History`.

Files of any of the formats in `tables`, and TensorBoard's events; a run folder of this project is
read by `record.workdir`. What is doubtful about a log is put right where there is one right way,
and said in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wgan_jax.errors import UserError, shorten
from wgan_jax.health.logs import events, tables
from wgan_jax.health.logs.labels import of_one_run
from wgan_jax.health.logs.names import COARSE, OF_SAMPLES, have_gradient_penalty, teachers, unread
from wgan_jax.health.logs.opening import opening
from wgan_jax.health.logs.rows import differs, in_order, joins
from wgan_jax.health.logs.tables import Table
from wgan_jax.health.past import LOSSES, Setup
from wgan_jax.health.signs import number
from wgan_jax.health.windows import LEAST
from wgan_jax.history import Floats, History

_MOST_SHARE = 1.5  # a share above it is a percentage
_MOST_GUESSING = 2.5  # above what both terms cost a critic that guesses: log loss 1.4, hinge 2
_NEAR_ONE = 0.02  # of losses that are written as 1 - loss: how far they are from 1
TEXTS = (".log", ".txt")  # may hold anything
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", *TEXTS)


@dataclass(frozen=True)
class RunLog:
    """A run's log.

    Attributes:
      path: the file, or the run folder.
      history: its columns under our keys.
      columns: key -> the column that it was read from.
      setup: as the log or the user says; the objective may be guessed.
      guessed: whether it is.
      unit: what its epochs are: "epoch", "step", ..., as its axis says, or "row".
      notes: what was doubtful, one line each.
    """

    path: Path
    history: History
    columns: Mapping[str, str]
    setup: Setup
    guessed: bool = False
    unit: str = "epoch"
    notes: tuple[str, ...] = ()

    @property
    def opens(self) -> bool:
        """Whether the log ends in the run's opening."""
        return bool(self.history.epochs[-1] + 1 < self.setup.opening)


def read(
    path: Path, *, columns: Mapping[str, str] | None = None, objective: str | None = None
) -> RunLog:
    """The log at `path`: a file, or a folder of TensorBoard events.

    Args:
      columns: key -> column, where names cannot be guessed.
      objective: one of `past.OBJECTIVES`; None: as the log says, or guessed from the losses.

    Raises:
      UserError: no such file, no text, no rows, several runs, or no column of a GAN's run.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: check the path.")
    room = events if events.files(path) else tables
    if path.is_dir() and room is tables:
        raise UserError(f"{path} holds neither metrics.jsonl nor events: it is no run folder.")
    table = of_one_run(path, room.read(path, columns or {}))
    history, unit, joined, notes = _history(path, table)
    opens = opening(table, unit)
    known = objective or guess_objective(history, table.names)
    return RunLog(
        path,
        history,
        table.chosen,
        Setup(known, opening=opens and joined + opens),
        guessed=objective is None,
        unit=unit,
        notes=tuple(notes),
    )


def is_run(folder: Path) -> bool:
    """Whether a folder holds one run: of this project, or TensorBoard's events."""
    return is_workdir(folder) or bool(events.files(folder))


def is_workdir(path: Path) -> bool:
    """Whether a folder holds a run of this project."""
    return (path / "metrics.jsonl").is_file()


def _history(path: Path, table: Table) -> tuple[History, str, int, list[str]]:
    """The table as a history, what its epochs are, where D joins, and what had to be put right."""
    numbers, notes = dict(table.numbers), list(table.notes)
    if "d_loss" not in numbers and {"d_loss_real", "d_loss_fake"} <= set(numbers):
        numbers["d_loss"] = 0.5 * (numbers["d_loss_real"] + numbers["d_loss_fake"])
        nan = table.written_nan["d_loss_real"] | table.written_nan["d_loss_fake"]
        table = replace(table, written_nan={**table.written_nan, "d_loss": nan})
        notes.append("D is taken as half the sum of its real and fake terms.")
    if not {"d_loss", "fid_score"} & set(numbers):
        raise UserError(
            f"{path} has no column for d_loss. Name it with --map d_loss=COLUMN; it has: "
            f"{shorten(table.names)}."
        )
    if table.rows < 2:
        rows = "no rows" if table.rows == 0 else "one row"
        raise UserError(f"{path} has {rows}: nothing can be said of a run before its second.")
    for axis in ("epoch", COARSE):
        numbers.pop(axis, None)
    _measured_only(numbers, notes)
    if not any((~np.isnan(column)).any() for column in numbers.values()):
        written = any(table.written_nan[key].any() for key in LOSSES if key in table.written_nan)
        if not written:
            raise UserError(
                f"{path} has no numbers in its columns {shorten(numbers)}: check --map."
            )
    turned = _off_one(numbers, notes)
    _as_shares(numbers, notes)
    _changes_only(numbers, notes)
    unit, epochs, columns = in_order(table, numbers, notes)
    others = teachers(table.names)
    # Without another teacher no generator trains before its critic.
    joined = joins(epochs, columns, unit, notes) if others and not turned else 0
    if unknown := unread(table.names, table.chosen):
        notes.append(f"Not read, unless --map KEY=COLUMN says so: {shorten(unknown)}.")
    if others:
        notes.append(
            f"G learns from more than its critic ({shorten(others, 40)}), also where that teaches "
            "nothing: look at the samples."
        )
    history = History()
    history.extend(epochs, columns)
    return history, unit, joined, notes


def _measured_only(numbers: dict[str, Floats], notes: list[str]) -> None:
    """Numbers that stand for none are left out: a FID of 0 or -1 where there was no evaluation."""
    for key, column in numbers.items():
        if key in ("fid_score", "inception_score_mean"):
            none = column <= 0
        elif key in ("recall", "pixel_variance"):
            none = column < 0
        else:
            continue
        if none.any():
            numbers[key] = np.where(none, np.nan, column)
            what = f"{int(none.sum())} values of {key} are no measurements"
            notes.append(f"{what} ({shorten(map(number, np.unique(column[none])), 20)}): left out.")


def _changes_only(numbers: dict[str, Floats], notes: list[str]) -> None:
    """Of scores carried forward, the last one repeated in every row, each is read once."""
    losses = ~np.isnan(numbers.get("d_loss", np.zeros(0)))
    for key in filter(OF_SAMPLES.__contains__, numbers):
        column = numbers[key]
        places = np.flatnonzero(~np.isnan(column))
        changes = differs(column[places])
        if losses.any() and losses[places].sum() > losses.sum() / 2 and changes.mean() < 0.5:
            numbers[key] = np.full(len(column), np.nan)
            numbers[key][places[changes]] = column[places[changes]]
            notes.append(f"{key} mostly repeats the row before: its changes alone are read.")


def _off_one(numbers: dict[str, Floats], notes: list[str]) -> bool:
    """Whether D and G were 1 - loss, and are turned back.

    Both losses within a hair of 1 are what Keras-GAN's WGAN prints: 1 - loss, of a tiny gap. No
    other game rests there: where a critic guesses, G costs less than D by half or more.
    """
    found = [numbers[key][np.isfinite(numbers[key])] for key in LOSSES if key in numbers]
    if len(found) < len(LOSSES) or not all(len(values) for values in found):
        return False
    if turned := all(np.quantile(np.abs(values - 1), 0.99) < _NEAR_ONE for values in found):
        numbers |= {key: 1 - numbers[key] for key in LOSSES}
        notes.append("D and G stay within 0.02 of 1: taken as 1 - loss, as Keras-GAN prints them.")
    return turned


def _as_shares(numbers: dict[str, Floats], notes: list[str]) -> None:
    """Accuracies and Clip% as shares, also where the log has them in percent."""
    for keys in (("d_accuracy", "g_accuracy"), ("clip_ratio",)):
        found = [key for key in keys if key in numbers]
        if any((numbers[key] > _MOST_SHARE).any() for key in found):
            numbers |= {key: numbers[key] / 100 for key in found}
            notes.append(f"{' and '.join(found)} exceed {_MOST_SHARE}: taken as percent.")


def guess_objective(history: History, names: Iterable[str] = ()) -> str | None:
    """The objective that the losses look like; None where they look like none that we know.

    Bounds are what the formulas allow: a Wasserstein critic's loss falls below 0, all others' do
    not; among these a hinge generator's loss may be negative; a least-squares one stays small. A
    Wasserstein critic's that is written without its minus rises with the gap, where others fall.
    Of D alone only accuracies tell more: they are reported of log losses.

    Args:
      names: all columns of the log: one of a gradient penalty is a Wasserstein critic's.
    """
    d, g, gap = (history.get(key) for key in (*LOSSES, "wasserstein_distance"))
    measured = np.isfinite(d)
    if not measured.any():
        return None
    if have_gradient_penalty(names) and not _is_others_penalty(d[measured]):
        return "wgan_gp"
    if np.mean(d[measured] < 0) > 0.01 or _rise_together(d, gap):
        return "wgan"
    if np.quantile(d[measured], 0.01) > 2.5:
        return None  # an offset, as of a classifier's loss: no bound can be told
    g = g[np.isfinite(g)]
    if not len(g):
        accuracies = {"d_accuracy", "g_accuracy"} & set(history.keys())
        return "nsgan" if accuracies and np.quantile(d[measured], 0.9) >= 0.6 else None
    if np.mean(g < 0) > 0.001:
        return "hinge" if _may_be_hinge(history) else None
    if np.median(g) < 0.6 and np.quantile(d[measured], 0.9) < 0.6:
        return "lsgan" if _may_be_least_squares(history) else None
    if _may_be_log_loss(history):
        return "nsgan"
    return "lsgan" if _starts_as_least_squares(d[measured]) and np.median(g) < 1.2 else None


def _is_others_penalty(d: Floats) -> bool:
    """Whether D, of many values, is never negative, and never more than guessing costs.

    A Wasserstein critic's is negative, or without its minus large at first. What is called gp is
    then a zero-centred penalty of another game's.
    """
    return bool(
        len(d) >= LEAST and np.mean(d < 0) < 0.001 and np.quantile(d, 0.99) < _MOST_GUESSING
    )


def _starts_as_least_squares(d: Floats) -> bool:
    """Whether D begins where a least-squares critic guesses, a quarter or twice that.

    With D at its floor and G near 1 it cannot be told any more from a hinge critic, which begins
    at 1 or 2, and whose fakes may be at the margin.
    """
    return bool(0.1 < np.median(d[: max(len(d) // 20, 1)]) < 0.6 and np.quantile(d, 0.9) < 0.6)


def _rise_together(d: Floats, gap: Floats) -> bool:
    known = np.isfinite(d) & np.isfinite(gap)
    if known.sum() < 2:
        return False
    with np.errstate(all="ignore"):  # constants have no correlation
        return bool(np.corrcoef(d[known], gap[known])[0, 1] > 0.5)


def _may_be_hinge(history: History) -> bool:
    """Whether D and G can be hinge losses of the same scores of fakes: D_fake is at least 1 - G.

    Of means (Jensen); D is the sum of its two terms or half of it. G's fakes are fresh, and fool
    less: hence much room.
    """
    d, g = (history.get(key) for key in LOSSES)
    known = np.isfinite(d) & np.isfinite(g)
    return not known.any() or bool(np.median((1 - g[known]) / 2 - d[known]) < 0.3)


def _may_be_least_squares(history: History) -> bool:
    """Whether D and G can be least squares of the same scores of fakes, off 0 and off 1.

    The root of G and that of D_fake are at least 1 (Minkowski); some halve each term, and D is the
    sum of its two or half of it. G is often multiplied by a small weight: then they are less.
    """
    d, g = (history.get(key) for key in LOSSES)
    known = np.isfinite(d) & np.isfinite(g)
    d, g = (np.maximum(loss[known], 0) for loss in (d, g))
    return not known.any() or bool(np.median(np.sqrt(2 * g) + np.sqrt(4 * d)) > 0.7)


def _may_be_log_loss(history: History) -> bool:
    """Whether D and G can be log losses of the same scores of fakes, exp(-G) + exp(-D_fake) = 1.

    Of means it is at most 1 (Jensen), and so with D for D_fake, whether D is the sum of its two
    terms or half of it. G and D see different fakes, one after the other: hence some room.
    """
    d, g = (history.get(key) for key in LOSSES)
    known = np.isfinite(d) & np.isfinite(g)
    d, g = (np.maximum(loss[known], 0) for loss in (d, g))
    return not known.any() or bool(np.median(np.exp(-g) + np.exp(-2 * d)) < 1.1)
