"""A run's images as its critic draws them, batch after batch, from wherever in the run."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.data.dataset import Dataset
from wgan_jax.data.reading import Reader
from wgan_jax.data.sources import Images
from wgan_jax.order import drawn


@dataclass(frozen=True)
class Draws:
    """Which images each critic update draws, the same as the device does of a resident dataset.

    Attributes:
      key_words: the key of the run's order.
      size: number of images.
      batch_size: images of an update.
      rows: which of them, (start, stop).
      first: images drawn in the whole run before batch 0.
    """

    key_words: tuple[int, int]
    size: int
    batch_size: int
    rows: tuple[int, int]
    first: int

    def __len__(self) -> int:
        return 2**48  # without end

    def __call__(self, number: int) -> NDArray[Any]:
        before = self.first + number * self.batch_size
        places = np.arange(before + self.rows[0], before + self.rows[1])
        passes, positions = np.divmod(places, self.size)
        key = np.array(self.key_words, np.uint32)
        return np.asarray(
            drawn(key, passes.astype(np.uint32), positions.astype(np.uint32), self.size)
        )


class BatchStream:
    """The batches of a run, decoded ahead of their use.

    `take` and `start` are called by one thread at a time; `start` and `close` end a `take` that is
    under way in another, which then raises `Abandoned`.
    """

    def __init__(
        self, dataset: Dataset, key_words: NDArray[np.uint32], batch_size: int, rows: slice
    ) -> None:
        """Nothing is read before `start`.

        Args:
          dataset: the images.
          key_words: uint32 [2], the key of the run's order.
          batch_size: images of a critic update, over all hosts.
          rows: which of them this host needs.
        """
        start, stop, step = rows.indices(batch_size)
        if step != 1 or stop <= start:
            raise ValueError(f"rows = {rows} are no run of rows of a batch of {batch_size}")
        self._dataset = dataset
        self._key_words = (int(key_words[0]), int(key_words[1]))
        self._batch_size, self._rows = batch_size, (start, stop)
        self._reader: Reader | None = None
        self._taking = threading.Lock()
        self._abandoned = threading.Event()

    def start(self, passes: int, position: int) -> None:
        """Begin, or begin anew, after so many whole passes and so many images of the next."""
        self.close()
        size = len(self._dataset)
        first = passes * size + position
        draws = Draws(self._key_words, size, self._batch_size, self._rows, first)
        self._reader = Reader(self._dataset.source, draws, self._dataset.workers)
        self._abandoned.clear()

    def take(self, updates: int) -> Images:
        """The next batches, uint8 [updates, rows, h, w, c]; waits until they are decoded.

        Raises:
          UserError: an image cannot be read; the file is named.
          RunFailed: a decoding process came to an end.
          Abandoned: the stream was closed or begun anew meanwhile.
        """
        rows = self._rows[1] - self._rows[0]
        batches = np.empty((updates, rows, *self._dataset.shape[1:]), np.uint8)
        with self._taking:
            for number in range(updates):
                if self._reader is None or self._abandoned.is_set():
                    raise Abandoned
                batches[number] = next(self._reader)
        return batches

    def close(self) -> None:
        """End the threads and processes; `start` begins anew."""
        self._abandoned.set()
        with self._taking:
            if self._reader is not None:
                self._reader.close()
                self._reader = None


class Abandoned(Exception):
    """What was being taken is not wanted any more."""
