"""The bands of the training guide: which value of a metric is called what.

`BANDS` is the table, `band` looks a value up. A band only names, for who reads a report: verdicts
rest on what is seen over time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wgan_jax.limits import OBJECTIVES

INCEPTION = "inception"
LOG_LOSS = "log loss"
# D of these has no floor, and need not fall.
WASSERSTEIN = tuple(name for name, kind in OBJECTIVES.items() if kind.wasserstein)
LOG_LOSSES = tuple(name for name, kind in OBJECTIVES.items() if kind.log_loss)
_CLIPPED = tuple(name for name, kind in OBJECTIVES.items() if kind.clips)


@dataclass(frozen=True)
class Band:
    """Values of a metric from low to high, both included, and what they are called.

    Attributes:
      metric: key of the metric.
      low, high: bounds, in the metric's own unit (shares, not percentages).
      name: what the guide calls it.
      only: "inception" or "log loss" where the band holds for these alone; "wgan" where it holds
        for Wasserstein losses alone, and those of which nothing is known.
    """

    metric: str
    low: float
    high: float
    name: str
    only: str = ""


INF = math.inf
ALIKE = 0.1  # PixVar of a mode collapse
OVERFITS = 1.0  # `critic_overfit` where held-out images score as samples do; the guide has none
# Of two bands that meet, the first listed has the edge: as the guide has it (">400", "0.2-0.5",
# "<0.01"), or where it leaves it open, the band of larger values.
BANDS: tuple[Band, ...] = (
    Band("clip_ratio", 0.01, 0.2, "settling"),
    Band("clip_ratio", 0.0, 0.01, "converged"),
    Band("clip_ratio", 0.2, 0.5, "normal early"),
    Band("clip_ratio", 0.5, INF, "high: raise the threshold if it persists"),
    Band("dg_ratio", 0.05, 0.1, "balanced", "wgan"),
    Band("dg_ratio", 0.01, 0.05, "generator-heavy", "wgan"),
    Band("dg_ratio", 0.0, 0.01, "possible collapse", "wgan"),
    Band("dg_ratio", 0.1, 1.0, "critic-heavy", "wgan"),
    Band("dg_ratio", 1.0, INF, "critic strong", "wgan"),
    Band("fid_score", 200.0, 400.0, "fair", INCEPTION),
    Band("fid_score", 100.0, 200.0, "moderate", INCEPTION),
    Band("fid_score", 50.0, 100.0, "good", INCEPTION),
    Band("fid_score", 0.0, 50.0, "excellent", INCEPTION),
    Band("fid_score", 400.0, INF, "poor", INCEPTION),
    Band("inception_score_mean", 2.0, 4.0, "moderate", INCEPTION),
    Band("inception_score_mean", 0.0, 2.0, "limited", INCEPTION),
    Band("inception_score_mean", 4.0, INF, "good", INCEPTION),
    Band("pixel_variance", 0.2, 0.5, "healthy"),
    Band("pixel_variance", ALIKE, 0.2, "low"),
    Band("pixel_variance", 0.0, ALIKE, "mode collapse"),
    Band("pixel_variance", 0.5, INF, "high"),
    Band("d_loss", 0.69, 0.71, "healthy if it fluctuates", LOG_LOSS),
    Band("d_loss", 0.72, 0.75, "collapse if stuck", LOG_LOSS),
    Band("d_accuracy", 0.505, 0.7, "healthy", LOG_LOSS),
    Band("d_accuracy", 0.495, 0.505, "collapse if stuck", LOG_LOSS),
    Band("g_accuracy", 0.8, 0.95, "healthy", LOG_LOSS),
    Band("g_accuracy", 0.99, INF, "collapse", LOG_LOSS),
)


def alike_below(real: Sequence[float]) -> float:
    """PixVar below which samples are nearly identical: the guide's 0.1, of natural images.

    Or half of the data's own, where that was measured (`real`, the last counts) and is less: dark
    images differ little.
    """
    return min(ALIKE, real[-1] / 2) if real else ALIKE


def may_be_wasserstein(objective: str | None) -> bool:
    """Whether it is a Wasserstein loss, or not known."""
    return objective in (None, *WASSERSTEIN)


def may_clip(objective: str | None) -> bool:
    """Whether the critic's weights are clipped under it, or that is not known."""
    return objective in (None, *_CLIPPED)


def holds(only: str, *, objective: str | None, encoder: str | None) -> bool:
    """Whether a band with this `only` (see `Band`) holds for this loss and this encoder."""
    if only == INCEPTION:
        return encoder == INCEPTION
    if only == LOG_LOSS:
        return objective in LOG_LOSSES
    return only == "" or may_be_wasserstein(objective)


def band(
    metric: str, value: float, *, objective: str | None = None, encoder: str | None = INCEPTION
) -> Band | None:
    """The guide's band that the value lies in; None where the guide has none that holds here."""
    for row in BANDS:
        here = row.metric == metric and holds(row.only, objective=objective, encoder=encoder)
        if here and row.low <= value <= row.high:
            return row
    return None
