"""A judge beside a training loop of one's own, whatever trains in it."""

from __future__ import annotations

import math
from typing import SupportsFloat, SupportsIndex

import numpy as np

from wgan_jax.errors import UserError
from wgan_jax.health.judge import UNKNOWN, Judge, Setup, Verdict
from wgan_jax.health.past import KEYS, LOSSES
from wgan_jax.history import History


class Watch:
    """Takes in what a loop measures, row by row, and says at any time what the judge makes of it.

    Its work is bounded: `add` costs microseconds, a verdict milliseconds, however long the run.

    Args:
      setup: what is known of the run.

    Attributes:
      KEYS: what may be added.
    """

    KEYS = KEYS

    def __init__(self, setup: Setup = UNKNOWN) -> None:
        self._setup, self._judge = setup, Judge(setup)
        self._history = History()
        self._lost: set[str] = set()  # losses that are no numbers now

    def add(self, epoch: SupportsIndex, **values: SupportsFloat) -> None:
        """Take in what was measured at an epoch, or a step; leave out what was not.

        Args:
          epoch: a whole number above all before it.
          **values: of `KEYS`, each anything that `float` takes.

        Raises:
          UserError: a key that the judge does not know.
          ValueError: an epoch that is not above the last, or no whole number. Nothing is kept of
            a row that is refused.
        """
        if unknown := values.keys() - set(KEYS):
            raise UserError(
                f"the judge knows no {', '.join(sorted(unknown))}: Watch.KEYS lists what it reads, "
                "d_loss and g_loss first."
            )
        row = {key: float(value) for key, value in values.items()}
        if not float(epoch).is_integer():  # a history would cut off the fraction
            raise ValueError(f"epoch {epoch} is no whole number: count steps, or passes")
        lost = {key for key in LOSSES if key in row and not math.isfinite(row[key])}
        row |= dict.fromkeys(lost, math.inf)  # a NaN would be a gap in a history
        columns = {key: np.array([value]) for key, value in row.items()}
        self._history.extend(np.array([int(epoch)]), columns)
        for key in row.keys() - lost:
            self._take_back(key)
        self._lost |= lost

    def _take_back(self, key: str) -> None:
        """A loss is not lost after all: a number follows, so a step was skipped (loss scaling)."""
        if key in self._lost:
            self._lost.remove(key)
            column = self._history[key]
            column[np.isinf(column)] = np.nan
            self._judge = Judge(self._setup)

    @property
    def verdict(self) -> Verdict:
        """The verdict on all that was added."""
        return self._judge.update(self._history)
