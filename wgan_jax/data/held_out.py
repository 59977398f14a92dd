"""Images that the critic never trains on, by which its overfitting is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.data.sources import Images, Source


@dataclass(frozen=True)
class Rest:
    """A source without the images that are held out of it.

    Attributes:
      source: all of them.
      kept: numbers of those that stay [n], in order.
    """

    source: Source
    kept: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.kept), *self.source.shape[1:])

    def __getitem__(self, index: int, /) -> Any:
        return self.source[int(self.kept[index])]


def evenly(n: int, count: int) -> NDArray[np.int64]:
    """Numbers [count] of some of n images, n at least as many, spread evenly.

    So they are of every class in a folder where images lie class by class.
    """
    return np.arange(count, dtype=np.int64) * (n - 1) // max(count - 1, 1)


def some(source: Source | Images, count: int) -> Images:
    """So many images of a source, uint8 [count, h, w, c], spread evenly over it."""
    return np.stack([source[i] for i in evenly(source.shape[0], count).tolist()])


def rest(source: Source | Images, count: int) -> Source | Images:
    """A source without those that `some` takes of it."""
    kept = np.delete(np.arange(source.shape[0]), evenly(source.shape[0], count))
    return source[kept] if isinstance(source, np.ndarray) else Rest(source, kept)
