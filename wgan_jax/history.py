"""What was measured in a run, as columns over epochs. Plain numpy: read by judge, figures, report.

`History` grows by chunks while a run trains, and is read back from `metrics.jsonl` afterwards.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.files import as_object

Floats = NDArray[np.float64]

# JSON has no such numbers; `record.writers` puts these texts in their place.
NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

_BATCH = 4096  # rows of a file held at a time


def parsed(line: bytes) -> dict[str, Any] | None:
    """The object in a line of JSON lines; None if it holds another thing or was cut short."""
    return as_object(line) if line.endswith(b"\n") else None


def epoch_of(row: Mapping[str, object]) -> int | None:
    """The epoch that a row is about; None if it has none."""
    epoch = row.get("epoch")
    return epoch if type(epoch) is int and 0 <= epoch < 2**63 else None


class History:
    """Columns of floats over strictly increasing epochs; NaN where a key was not measured.

    Appending costs amortised constant time per epoch: storage doubles as it fills.
    """

    def __init__(self) -> None:
        self._size = 0
        self._epochs = np.zeros(0, np.int64)
        self._columns: dict[str, Floats] = {}

    def __len__(self) -> int:
        """Number of epochs recorded."""
        return self._size

    def __contains__(self, key: str) -> bool:
        return key in self._columns

    def __iter__(self) -> Iterator[str]:
        """The keys, as of a data frame: `dict(history)` has every column."""
        return iter(self.keys())

    def __getitem__(self, key: str) -> Floats:
        """Column [epochs], float64, NaN where not measured. KeyError if never measured."""
        if key not in self._columns:
            raise KeyError(f"{key!r} was never measured: history.keys() names what was")
        return self._columns[key][: self._size]

    def get(self, key: str) -> Floats:
        """Column [epochs]; all NaN if the key was never measured."""
        return self[key] if key in self else np.full(self._size, np.nan)

    @property
    def epochs(self) -> NDArray[np.int64]:
        """Epoch numbers [epochs], int64, strictly increasing."""
        return self._epochs[: self._size]

    @property
    def played(self) -> int:
        """Epochs played when the last row was measured; 0 where there is none."""
        return int(self.epochs[-1]) + 1 if len(self) else 0

    def keys(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def measured(self, key: str) -> tuple[NDArray[np.int64], Floats]:
        """(epochs, values) of a key where it was measured, without the gaps."""
        column = self.get(key)
        known = ~np.isnan(column)
        return self.epochs[known], column[known]

    def extend(
        self, epochs: NDArray[np.int64], columns: Mapping[str, NDArray[np.floating]]
    ) -> None:
        """Append a chunk: epochs [n] above all recorded ones, columns [n] each."""
        n, old = len(epochs), self._size
        if n == 0:
            return
        if np.any(np.diff(epochs) <= 0) or (old and epochs[0] <= self._epochs[old - 1]):
            raise ValueError("epochs must increase strictly")
        self._reserve(old + n)
        self._epochs[old : old + n] = epochs
        for key, values in columns.items():
            if key not in self._columns:
                self._columns[key] = np.full(len(self._epochs), np.nan)
            self._columns[key][old : old + n] = values
        self._size = old + n

    def until(self, epoch: int) -> History:
        """A copy of all that was measured up to and including `epoch`."""
        n = int(np.searchsorted(self.epochs, epoch, side="right"))
        shorter = History()
        shorter.extend(self.epochs[:n], {key: self[key][:n] for key in self._columns})
        return shorter

    def _reserve(self, size: int) -> None:
        if size <= len(self._epochs):
            return
        room = max(size, 2 * len(self._epochs), 256)
        spare = room - len(self._epochs)
        self._epochs = np.concatenate([self._epochs, np.zeros(spare, np.int64)])
        self._columns = {
            key: np.concatenate([column, np.full(spare, np.nan)])
            for key, column in self._columns.items()
        }

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, object]]) -> History:
        """From dictionaries with an `epoch` each, as in `metrics.jsonl`; numbers are kept."""
        history = cls()
        kept = (row for row in rows if epoch_of(row) is not None)
        while batch := list(itertools.islice(kept, _BATCH)):  # a row takes many times its numbers
            history.extend(np.array([row["epoch"] for row in batch], np.int64), _numbers(batch))
        return history

    @classmethod
    def read(cls, path: Path) -> History:
        """From a `metrics.jsonl`; empty if there is none. Damaged lines are left out."""
        if not path.exists():
            return cls()
        with path.open("rb") as lines:
            return cls.from_rows(row for line in lines if (row := parsed(line)) is not None)


def _numbers(rows: Sequence[Mapping[str, object]]) -> dict[str, Floats]:
    """What is a number in some of the rows: key -> [rows], NaN where it is not."""
    found: dict[str, Floats] = {}
    for i, row in enumerate(rows):
        for key, value in row.items():
            number = NON_FINITE.get(value, value) if isinstance(value, str) else value
            if key == "epoch" or isinstance(number, bool | str):
                continue
            if isinstance(number, int | float):
                if key not in found:
                    found[key] = np.full(len(rows), np.nan)
                with contextlib.suppress(OverflowError):  # a whole number that no float holds
                    found[key][i] = number
    return found
