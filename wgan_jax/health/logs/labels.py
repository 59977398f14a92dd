"""Columns of words that say which run a row is of, or which part of one: seed, split, ..."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError, shorten
from wgan_jax.health.logs.names import COARSE, OF_SAMPLES

if TYPE_CHECKING:
    from wgan_jax.health.logs.tables import Table

Texts = NDArray[np.str_]

_RUNS = frozenset(("run", "run id", "run name", "name", "experiment", "exp", "seed", "trial"))
_PARTS = frozenset(("split", "phase", "mode", "subset", "partition"))
_TRAINING = ("train", "training")


def is_label(name: str) -> bool:
    """Whether a column of this name says which rows belong together."""
    return _plain(name) in _RUNS | _PARTS


def texts(cells: Iterable[Any]) -> Texts:
    """A column of labels, empty where there is none."""
    return np.array(["" if cell is None else str(cell).strip() for cell in cells], np.str_)


def of_one_run(path: Path, table: Table) -> Table:
    """The table, if it is that of one run; of it what tells of the training.

    Raises:
      UserError: it holds several runs.
    """
    notes = list(table.notes)
    for name, labels in table.labels.items():
        if _plain(name) in _RUNS:
            _refuse_several(path, table, name, labels)
            continue
        others = (labels != "") & ~np.isin(np.char.lower(labels), _TRAINING)
        if others.all() or not others.any():
            continue
        said = shorten(np.unique(labels[others]), 40)
        notes.append(f"Of rows with {name} {said} the scores of samples alone are read.")
        table = replace(
            table,
            numbers=_without(table.numbers, others, np.nan),
            written_nan=_without(table.written_nan, others, False),
        )
    return replace(table, notes=tuple(notes))


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").strip()


def _without(
    found: Mapping[str, NDArray[Any]], rows: NDArray[np.bool_], nothing: Any
) -> dict[str, NDArray[Any]]:
    """Columns with nothing in some rows, other than scores of samples and time axes."""
    kept = OF_SAMPLES | {"epoch", COARSE}
    return {
        key: column if key in kept else np.where(rows, nothing, column)
        for key, column in found.items()
    }


def _refuse_several(path: Path, table: Table, name: str, labels: Texts) -> None:
    """Two labels are two runs where one begins in the first half of the other.

    A later beginning is a run that was taken up again, and labelled anew.
    """
    axis = table.numbers.get(COARSE, table.numbers.get("epoch"))
    spans = {}
    for label in np.unique(labels[labels != ""]):
        here = np.arange((labels == label).sum()) if axis is None else axis[labels == label]
        here = here[np.isfinite(here)]
        if len(here):
            spans[str(label)] = (float(here.min()), float(here.max()))
    ordered = sorted(spans.values())
    for (start, end), (later, _) in itertools.pairwise(ordered):
        if later < (start + end) / 2:
            raise UserError(
                f"{path} holds {len(spans)} runs in one table ({name}: {shorten(spans, 40)}): give "
                "each run's rows in a file of their own."
            )
