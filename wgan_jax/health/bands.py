"""The bands of the training guide: which value of a metric is called what.

`BANDS` is the table, `band` looks a value up. A band only names: most are of use to read a report,
and the few that a verdict rests on are watched over time by the signs below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wgan_jax.health.past import Past
from wgan_jax.health.signs import Sign, number
from wgan_jax.health.verdict import Level
from wgan_jax.health.windows import since

INCEPTION = "inception"
LOG_LOSS = "nsgan"
PINNED = 0.95  # share of the critic's weights at the boundary that leaves it no freedom
LARGE = 1.0  # weight σ at which a layer multiplies its input by the root of its fan-in, 10 or more
GREW = 1.25  # times their start, from which large weights are no matter of the initialisation
STARVED = 1e-8  # eps of RMSProp and Adam: a gradient as small is no longer scaled up to a step


@dataclass(frozen=True)
class Band:
    """Values of a metric in [low, high) and what they are called.

    Attributes:
      metric: key of the metric.
      low, high: bounds, in the metric's own unit (shares, not percentages).
      name: what the guide calls it.
      verdict: how bad it is by itself.
      only: "inception" or "nsgan" where the band holds for these alone.
    """

    metric: str
    low: float
    high: float
    name: str
    verdict: Level
    only: str = ""


INF = math.inf
BANDS: tuple[Band, ...] = (
    Band("clip_ratio", 0.0, 0.01, "converged", "healthy"),
    Band("clip_ratio", 0.01, 0.2, "settling", "healthy"),
    Band("clip_ratio", 0.2, 0.5, "normal early", "healthy"),
    Band("clip_ratio", 0.5, INF, "high: raise the threshold if it persists", "warning"),
    Band("dg_ratio", 0.0, 0.01, "possible collapse", "warning"),
    Band("dg_ratio", 0.01, 0.05, "generator-heavy", "healthy"),
    Band("dg_ratio", 0.05, 0.1, "balanced", "healthy"),
    Band("dg_ratio", 0.1, 1.0, "critic-heavy", "healthy"),
    Band("dg_ratio", 1.0, INF, "critic strong", "warning"),
    Band("fid_score", 0.0, 50.0, "excellent", "healthy", INCEPTION),
    Band("fid_score", 50.0, 100.0, "good", "healthy", INCEPTION),
    Band("fid_score", 100.0, 200.0, "moderate", "healthy", INCEPTION),
    Band("fid_score", 200.0, 400.0, "fair", "healthy", INCEPTION),
    Band("fid_score", 400.0, INF, "poor", "warning", INCEPTION),
    Band("inception_score_mean", 0.0, 2.0, "limited", "warning", INCEPTION),
    Band("inception_score_mean", 2.0, 4.0, "moderate", "healthy", INCEPTION),
    Band("inception_score_mean", 4.0, INF, "good", "healthy", INCEPTION),
    Band("pixel_variance", 0.0, 0.1, "mode collapse", "failing"),
    Band("pixel_variance", 0.1, 0.2, "low", "healthy"),
    Band("pixel_variance", 0.2, 0.5, "healthy", "healthy"),
    Band("pixel_variance", 0.5, INF, "high", "healthy"),
    Band("d_loss", 0.69, 0.71, "healthy if it fluctuates", "healthy", LOG_LOSS),
    Band("d_loss", 0.72, 0.75, "collapse if stuck", "warning", LOG_LOSS),
    Band("d_accuracy", 0.495, 0.505, "collapse if stuck", "warning", LOG_LOSS),
    Band("d_accuracy", 0.505, 0.7, "healthy", "healthy", LOG_LOSS),
    Band("g_accuracy", 0.8, 0.95, "healthy", "healthy", LOG_LOSS),
    Band("g_accuracy", 0.99, INF, "collapse", "warning", LOG_LOSS),
)


def band(
    metric: str, value: float, *, objective: str | None = None, encoder: str | None = INCEPTION
) -> Band | None:
    """The guide's band that the value lies in; None where the guide has none that holds here."""
    for row in BANDS:
        holds = row.only in ("", encoder if row.only == INCEPTION else objective)
        if row.metric == metric and holds and row.low <= value < row.high:
            return row
    return None


def _lately(past: Past, key: str) -> tuple[float, float, int] | None:
    """(smallest, largest middle over the last quarter, its first epoch); None if too little."""
    w = past.windows(key)
    if w is None or past.early:
        return None
    last = w.middle[-5:]
    return float(last.min()), float(last.max()), int(w.start[-5])


def clip_high(past: Past) -> Sign | None:
    """More than half of the critic's weights lie at the boundary, persistently."""
    lately = _lately(past, "clip_ratio")
    if lately is None or lately[0] <= 0.5:
        return None
    return Sign(f"Clip% {lately[0]:.0%} or more over the last quarter", lately[2])


def critic_pinned(past: Past) -> Sign | None:
    """Nearly all of the critic's weights lie at the boundary: it can only copy one function."""
    lately = _lately(past, "clip_ratio")
    if lately is None or lately[0] < PINNED:
        return None
    return Sign(f"Clip% {lately[0]:.0%} or more over the last quarter", lately[2])


def generator_starved(past: Past) -> Sign | None:
    """The generator's gradient is smaller than what its optimiser adds to the denominator."""
    w = past.windows("generator_grad_norm")
    if w is None or past.early:
        return None
    onset = since(w.high < STARVED, at_least=2)
    if onset is None:
        return None
    evidence = f"generator's gradient {number(w.middle[-1])}: its steps vanish below {STARVED}"
    return Sign(evidence, int(w.start[onset]))


def critic_strong(past: Past) -> Sign | None:
    """D/G ratio above 1 over the last quarter."""
    lately = _lately(past, "dg_ratio")
    if lately is None or lately[0] <= 1.0:
        return None
    return Sign(f"D/G ratio {number(lately[0])} or more over the last quarter", lately[2])


def ratio_low(past: Past) -> Sign | None:
    """D/G ratio below 0.01 over the last quarter, while the score gap fell to 1 % of its past.

    The ratio alone says little: a Wasserstein critic's scores have no zero point, so G may be
    large in a sound game. With the gap gone too, the critic tells real from fake no more.
    """
    lately, gap = _lately(past, "dg_ratio"), past.windows("wasserstein_distance")
    if lately is None or gap is None or lately[1] >= 0.01:
        return None
    size = np.abs(gap.middle)
    if size[-5:].max() >= 0.01 * size.max():
        return None
    return Sign(f"D/G ratio at most {number(lately[1])}, W-dist {number(size[-1])}", lately[2])


def critic_bound_broken(past: Past) -> Sign | None:
    """Critic σ above the clip threshold: weights in [-c, c] cannot spread so far."""
    if past.clip is None or "critic_weight_std" not in past:
        return None
    track = past["critic_weight_std"]
    if track.last <= past.clip * 1.000001:
        return None
    evidence = f"critic σ {number(track.last)} exceeds the clip threshold {number(past.clip)}"
    beyond = past.epochs("critic_weight_std")[past.values("critic_weight_std") > past.clip]
    return Sign(evidence, int(beyond[0]) if len(beyond) else track.last_epoch)


def generator_vanished(past: Past) -> Sign | None:
    """Generator σ fell to a tenth of what it was."""
    w = past.windows("generator_weight_std")
    if w is None or w.middle[-1] >= 0.1 * w.middle[0]:
        return None
    at = int(np.argmax(w.middle < 0.1 * w.middle[0]))
    evidence = f"generator σ {number(w.middle[-1])}, was {number(w.middle[0])}"
    return Sign(evidence, int(w.start[at]))


def weights_grew(past: Past) -> Sign | None:
    """A network's weights have grown tenfold over their start, and by a tenth in the last fifth."""
    for key, who in (("generator_weight_std", "generator"), ("critic_weight_std", "critic")):
        w = past.windows(key)
        if w is None or w.middle[-1] <= max(10 * w.middle[0], 1.1 * w.middle[-5]):
            continue
        at = int(np.argmax(w.middle > 10 * w.middle[0]))
        evidence = f"{who} σ {number(w.middle[-1])}, was {number(w.middle[0])}"
        return Sign(evidence, int(w.start[at]))
    return None


def weights_large(past: Past) -> Sign | None:
    """Generator weights far wider than usual, from the start on."""
    sign, grew = _large(past)
    return None if grew else sign


def weights_grew_large(past: Past) -> Sign | None:
    """Generator weights that training made so wide; from the start they might be sound."""
    sign, grew = _large(past)
    return sign if grew else None


def _large(past: Past) -> tuple[Sign | None, bool]:
    """That the generator's weights are large, and whether they have grown by a quarter."""
    w = past.windows("generator_weight_std")
    onset = None if w is None else since(w.middle > LARGE, at_least=2)
    if w is None or onset is None:
        return None, False
    now, start = float(w.middle[-1]), float(w.middle[0])
    grew = now > GREW * start
    evidence = f"generator σ {number(now)}, where 0.02 to 0.2 is usual"
    return Sign(f"{evidence}; was {number(start)}" if grew else evidence, int(w.start[onset])), grew


def stuck_at_chance(past: Past) -> Sign | None:
    """Log loss: D stuck in 0.72-0.75, or accuracies stuck at 50 % and at 99 % and more."""
    if past.objective != LOG_LOSS or past.early:
        return None
    d = past.windows("d_loss")
    if d is not None:
        low, high = d.low[-5:].min(), d.high[-5:].max()
        if low >= 0.72 and high <= 0.75:
            return Sign(f"D stuck between {number(low)} and {number(high)}", int(d.start[-5]))
    critic, generator = _lately(past, "d_accuracy"), _lately(past, "g_accuracy")
    if critic is None or generator is None:
        return None
    if max(abs(critic[0] - 0.5), abs(critic[1] - 0.5)) > 0.005 or generator[0] < 0.99:
        return None
    return Sign(f"D accuracy stuck at {critic[0]:.1%}, G accuracy {generator[0]:.1%}", critic[2])
