"""A judge beside a training loop of one's own, whatever trains in it."""

from __future__ import annotations

import math

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

    def add(self, epoch: int, **values: float) -> None:
        """Take in what was measured at an epoch, or a step; leave out what was not.

        Args:
          epoch: above all before it.
          **values: of `KEYS`, each anything that `float` takes.

        Raises:
          UserError: a key that the judge does not know.
          ValueError: an epoch that is not above the last.
        """
        if unknown := values.keys() - set(KEYS):
            raise UserError(
                f"the judge knows no {', '.join(sorted(unknown))}: Watch.KEYS lists what it reads, "
                "d_loss and g_loss first."
            )
        row = {key: float(value) for key, value in values.items()}
        for key in filter(row.__contains__, LOSSES):
            if math.isfinite(row[key]):
                self._take_back(key)
            else:  # a NaN, which in a history is a gap
                row[key] = math.inf
                self._lost.add(key)
        columns = {key: np.array([value]) for key, value in row.items()}
        self._history.extend(np.array([epoch]), columns)

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
