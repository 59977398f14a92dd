"""One measured quantity in bounded memory: a thinned sample of its whole history.

Live judging must not grow dearer with the length of the run. A track keeps at most `CAPACITY`
values, evenly spread over all that was measured; when it is full, every second one is dropped and
from then on only every second one taken. What it keeps depends on the values alone, not on the
chunks in which they came. The newest value is kept exactly.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wgan_jax.history import Floats

Ints = NDArray[np.int64]

LARGEST = 1e100  # beyond it a value counts as infinite: float32 ends at 3e38, and squares must do
CAPACITY = 4096  # logs of up to this many rows are judged on every row


class Track:
    """Values of one key over increasing epochs, NaN left out.

    Attributes:
      count: values seen (finite ones).
      last: the newest finite value; `last_epoch` its epoch.
      nonfinite_epoch: epoch of the first infinite value; None if all were finite.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last, self.last_epoch = math.nan, -1
        self.nonfinite_epoch: int | None = None
        self._stride = 1
        self._size = 0
        self._epochs = np.zeros(CAPACITY, np.int64)
        self._values = np.zeros(CAPACITY, np.float64)

    @property
    def epochs(self) -> Ints:
        """Epochs of the kept values [n], n <= CAPACITY."""
        return self._epochs[: self._size]

    @property
    def values(self) -> Floats:
        """Kept values [n], evenly spread over those seen."""
        return self._values[: self._size]

    def add(self, epochs: Ints, values: Floats) -> None:
        """Take in a chunk: epochs [n], values [n]; NaN means not measured."""
        infinite = np.abs(values) > LARGEST
        if self.nonfinite_epoch is None and infinite.any():
            self.nonfinite_epoch = int(epochs[infinite][0])
        finite = np.abs(values) <= LARGEST
        epochs, values = epochs[finite], values[finite]
        if not len(values):
            return
        self.last, self.last_epoch = float(values[-1]), int(epochs[-1])
        while len(values):
            epochs, values = self._keep(epochs, values)

    def _keep(self, epochs: Ints, values: Floats) -> tuple[Ints, Floats]:
        """Keep every `stride`-th of what fits; returns the rest."""
        first = -self.count % self._stride
        room = CAPACITY - self._size
        kept = np.arange(first, len(values), self._stride)[:room]
        self._epochs[self._size : self._size + len(kept)] = epochs[kept]
        self._values[self._size : self._size + len(kept)] = values[kept]
        self._size += len(kept)
        taken = len(values) if len(kept) < room else int(kept[-1]) + 1
        self.count += taken
        if self._size == CAPACITY:
            self._size = CAPACITY // 2
            self._epochs[: self._size] = self._epochs[::2].copy()
            self._values[: self._size] = self._values[::2].copy()
            self._stride *= 2
        return epochs[taken:], values[taken:]
