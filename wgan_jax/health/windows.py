"""A series cut into equal windows, and what each window looks like in quantiles.

Quantiles, not means: the losses of a GAN have bursts, and one burst must not make a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wgan_jax.health.series import Ints
from wgan_jax.history import Floats

COUNT = 20  # windows of 5 % of the run so far
SMALLEST = 5  # values in a window: fewer have no median worth the name
FINE = 25  # values in a window whose tails and noise mean something
LEAST = SMALLEST * COUNT  # values from which losses are judged
FEW, FEWEST = 10, 3  # windows, and values in each, that show plain failures of shorter runs
LEAST_SCORES = 5  # measurements from which samples are judged
PLAIN = FEW * FEWEST  # values from which plain failures are seen


@dataclass(frozen=True)
class Windows:
    """Equal windows over a run, oldest first; each field [windows].

    Attributes:
      size: values in each window.
      start: first epoch of each window.
      low, quarter, middle, three_quarters, high: quantiles .05, .25, .50, .75, .95 of its values.
      noise: robust standard deviation of the values about their slow drift, from the quartiles of
        differences between neighbours.
    """

    size: int
    start: Ints
    low: Floats
    quarter: Floats
    middle: Floats
    three_quarters: Floats
    high: Floats
    noise: Floats

    @property
    def fine(self) -> bool:
        """Whether tails and noise of a window mean something."""
        return self.size >= FINE

    @property
    def spread(self) -> Floats:
        """Distance between the quartiles."""
        return self.three_quarters - self.quarter


# Quartiles of a normal distribution lie 1.349 standard deviations apart, and the difference of two
# independent values spreads sqrt(2) as far as one.
_IQR_OF_DIFFERENCE = 1.349 * 2**0.5


def cut(
    epochs: Ints, values: Floats, count: int = COUNT, smallest: int = SMALLEST
) -> Windows | None:
    """The series in `count` windows of equal size; the oldest values, that are left over, dropped.

    Args:
      epochs, values: [n].

    Returns:
      None where a window would hold fewer than `smallest` values.
    """
    size = len(values) // count
    if size < smallest:
        return None
    start = len(values) - size * count
    table = values[start:].reshape(count, size)
    low, quarter, middle, three, high = np.quantile(table, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1)
    below, above = np.quantile(np.diff(table, axis=1), (0.25, 0.75), axis=1)
    noise = (above - below) / _IQR_OF_DIFFERENCE
    return Windows(size, epochs[start::size][:count], low, quarter, middle, three, high, noise)


def since(holds: NDArray[np.bool_], at_least: int = 1) -> int | None:
    """Index from which `holds` is true to the end, None unless at the last `at_least` places."""
    if not len(holds) or not holds[-at_least:].all() or len(holds) < at_least:
        return None
    false = np.flatnonzero(~holds)
    return int(false[-1]) + 1 if len(false) else 0
