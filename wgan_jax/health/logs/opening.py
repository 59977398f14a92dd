"""How long the run of a log opens: its first updates, in which a sound game may look lost.

Untrained samples are told apart at once, so critics win at first; or a critic still guesses. What
losses do then is neither a sign of failure nor a past to compare with.
"""

from __future__ import annotations

import math

import numpy as np

from wgan_jax.health.logs.names import COARSE, counts_updates, unit_of
from wgan_jax.health.logs.rows import ROW
from wgan_jax.health.logs.tables import Table

OPENING = 1000  # updates; public logs of DCGAN have left theirs after 300


def opening(table: Table, unit: str) -> int:
    """How many of a log's epochs the opening takes; 0 where they may be other than updates.

    It is at most a quarter of what the log says is planned.

    Args:
      unit: what the log's epochs are, as `in_order` found.
    """
    axis, fine = table.chosen.get("epoch", ""), table.numbers.get("epoch")
    coarse, planned = table.numbers.get(COARSE), _planned(table, unit)
    if fine is None:
        return 0
    if coarse is not None:
        epochs = coarse[~np.isnan(table.numbers.get("d_loss", fine)) & np.isfinite(coarse)]
        if len(epochs) <= 2 * len(np.unique(epochs)) or epochs.min() > 1:
            return 0  # a row or two an epoch; or what came before is not there
    steps = unit_of(axis) == "step" and (coarse is not None or planned >= 4 * OPENING)
    if not counts_updates(axis) and not steps:
        return 0
    updates = min(OPENING, planned // 4) if planned else OPENING
    apart = np.diff(fine[np.isfinite(fine)])
    apart = apart[apart > 0]
    if unit != ROW or not len(apart):
        return updates
    return math.ceil(updates / float(np.median(apart)))


def _planned(table: Table, unit: str) -> int:
    """Updates that the log says the run is to have, as by `[0/25][5/782]`; 0 if it does not say."""
    fine, coarse = (table.plan.get(table.chosen.get(key, ""), 0) for key in ("epoch", COARSE))
    if COARSE not in table.numbers:
        return fine
    of_each = unit == ROW or len(np.unique(table.numbers[COARSE])) == 1
    return fine * coarse if of_each else fine
