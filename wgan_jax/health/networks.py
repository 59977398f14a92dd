"""Signs in what the networks themselves show: weights, gradients, Clip%, D/G ratio, accuracies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wgan_jax.bands import LOG_LOSSES, may_be_wasserstein, may_clip
from wgan_jax.health.past import Past
from wgan_jax.health.signs import Sign, number
from wgan_jax.health.windows import since

PINNED = 0.95  # share of the critic's weights at the boundary that leaves it no freedom
LARGE = 1.0  # weight σ at which a layer multiplies its input by the root of its fan-in, 10 or more
GREW = 1.25  # times their start, from which large weights are no matter of the initialisation
STARVED = 1e-8  # eps of RMSProp and Adam: a gradient as small is no longer scaled up to a step


def _lately(past: Past, key: str) -> tuple[float, float, int] | None:
    """(smallest, largest middle over the last quarter, its first epoch); None if too little."""
    w = past.windows(key)
    if w is None or past.early:
        return None
    last = w.middle[-5:]
    return float(last.min()), float(last.max()), int(w.start[-5])


def clip_high(past: Past) -> Sign | None:
    """More than half of the critic's weights lie at the boundary, persistently."""
    return _clipped(past, lambda share: share > 0.5)


def critic_pinned(past: Past) -> Sign | None:
    """Nearly all of the critic's weights lie at the boundary: it can only copy one function."""
    return _clipped(past, lambda share: share >= PINNED)


def _clipped(past: Past, too_much: Callable[[float], bool]) -> Sign | None:
    """Too large a share at the boundary over the last quarter, of a Wasserstein critic's weights.

    Others clip none: what such a log calls so is something else.
    """
    lately = _lately(past, "clip_ratio")
    if not may_be_wasserstein(past.setup.objective) or lately is None or not too_much(lately[0]):
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
    """Wasserstein: D/G ratio above 1 over the last quarter.

    Of any other loss the ratio is above 1 where the critic is weak: at log loss, guessing costs D
    and G the same, and D falls as it learns.
    """
    lately = _lately(past, "dg_ratio")
    if not may_be_wasserstein(past.setup.objective) or lately is None or lately[0] <= 1.0:
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
    clip = past.setup.clip if may_clip(past.setup.objective) else None
    if clip is None or "critic_weight_std" not in past:
        return None
    track = past["critic_weight_std"]
    if track.last <= clip * 1.000001:
        return None
    evidence = f"critic σ {number(track.last)} exceeds the clip threshold {number(clip)}"
    beyond = past.epochs("critic_weight_std")[past.values("critic_weight_std") > clip]
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
    """Log loss: D stuck in 0.72-0.75 (terms averaged) or 1.44-1.50 (summed), or accuracies stuck
    at 50 % and at 99 % and more.
    """
    if past.setup.objective not in LOG_LOSSES or past.early:
        return None
    d = past.windows("d_loss")
    if d is not None:
        low, high = d.low[-5:].min(), d.high[-5:].max()
        if any(0.72 * terms <= low and high <= 0.75 * terms for terms in (1, 2)):
            return Sign(f"D stuck between {number(low)} and {number(high)}", int(d.start[-5]))
    critic, generator = _lately(past, "d_accuracy"), _lately(past, "g_accuracy")
    if critic is None or generator is None:
        return None
    if max(abs(critic[0] - 0.5), abs(critic[1] - 0.5)) > 0.005 or generator[0] < 0.99:
        return None
    return Sign(f"D accuracy stuck at {critic[0]:.1%}, G accuracy {generator[0]:.1%}", critic[2])
