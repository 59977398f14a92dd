"""Signs of failure in what was measured of the samples: FID, pixel variance, recall, scores."""

from __future__ import annotations

import numpy as np

from wgan_jax.bands import OVERFITS, alike_below
from wgan_jax.health.past import Past
from wgan_jax.health.series import Ints
from wgan_jax.health.signs import Sign, number
from wgan_jax.health.windows import LEAST_SCORES, since
from wgan_jax.history import Floats

DEPARTED = 1.5  # FID over its best at which samples count as collapsed
SMALLEST = 1e-3  # a FID below it is none: the rest is rounding
NEVER = 150.0  # best Inception FID of a run that never trained
IS_FELL = 0.75  # share of its best at which the Inception Score has fallen
GROWS = 0.01  # pixel variance gained in three measurements by samples that still grow apart
GREW = 1.25  # or, to their best, times what it was: settled, it varies by a tenth
VISIBLE = 1e-3  # pixel variance of four steps of 8 bits; below it samples look alike, if growing
NEARER = 0.9  # share of the first FID, from which samples have come nearer to the data
FELL = 0.25  # share of their best at which pixel variance and recall have collapsed


def _smooth(values: Floats) -> Floats:
    """Median of each value and the two before it [n - 2]: one odd measurement is no sign.

    The best is one of these too: the lowest of many values lies the further below what they
    scatter about, the more there are.
    """
    return np.median(np.lib.stride_tricks.sliding_window_view(values, 3), axis=1)


def _median_at(values: Floats, i: int) -> int:
    """Which of the values [n] `_smooth(values)[i]` is."""
    return i + int(np.argsort(values[i : i + 3])[1])


def _is_old(past: Past, epochs: Ints) -> bool:
    """Whether the last of the epochs of measurements [n >= 3] is longer ago than is usual."""
    return bool(past.epoch - epochs[-1] > 2 * (epochs[-1] - epochs[-3]))


def good(past: Past, share: float) -> bool:
    """Whether FID was measured lately, has not left its best, and that is good.

    Where samples were measured to be good, what the losses let one infer must yield.

    Args:
      share: of the first FID, that the best must be below.
    """
    values, epochs = past.values("fid_score"), past.epochs("fid_score")
    if len(values) < LEAST_SCORES or _is_old(past, epochs):
        return False
    smooth = _smooth(values)
    best = float(smooth.min())
    return best < share * values[0] and float(smooth[-1]) < DEPARTED * best


def fid_departed(past: Past) -> Sign | None:
    """FID left its best, and stays away; not where that is because the critic overfits."""
    return None if overfit_departed(past) else _departed(past)


def overfit_departed(past: Past) -> Sign | None:
    """FID left its best, and stays away, and the critic overfitted before."""
    departed, overfits = _departed(past), critic_overfits(past)
    if departed is None or overfits is None or overfits.onset_epoch > departed.onset_epoch:
        return None
    return Sign(f"{departed.evidence}; {overfits.evidence}", departed.onset_epoch)


def _departed(past: Past) -> Sign | None:
    values, epochs = past.values("fid_score"), past.epochs("fid_score")
    if len(values) < LEAST_SCORES:
        return None
    smooth = _smooth(values)
    now, best = float(smooth[-1]), max(float(smooth.min()), SMALLEST)
    if now < DEPARTED * best:
        return None
    # A median of three above the line may still have one value of the three below it.
    onset = since(values >= DEPARTED * best) or max(len(values) - 2, 0)
    when = epochs[_median_at(values, int(smooth.argmin()))]
    evidence = f"FID {number(now)}, {now / best:.1f} times its best median"
    return Sign(f"{evidence} ({number(best)} at {when})", int(epochs[onset]))


def score_fell(past: Past) -> Sign | None:
    """The Inception Score left its best, and stays away."""
    key = "inception_score_mean"
    values, epochs = past.values(key), past.epochs(key)
    if len(values) < LEAST_SCORES:
        return None
    smooth = _smooth(values)
    now, best = float(smooth[-1]), float(smooth.max())
    if now >= IS_FELL * best:
        return None
    onset = since(values < IS_FELL * best) or max(len(values) - 2, 0)
    when = epochs[_median_at(values, int(smooth.argmax()))]
    return Sign(f"IS {number(now)}, was {number(best)} at {when}", int(epochs[onset]))


def never_trained(past: Past) -> Sign | None:
    """FID has always been poor and does not improve (Inception only)."""
    values, epochs = past.values("fid_score"), past.epochs("fid_score")
    if past.setup.encoder not in (None, "inception") or len(values) < 10 or past.early:
        return None
    half = len(values) // 2
    best, earlier = float(values.min()), float(values[:half].min())
    if best < NEVER or best < 0.9 * earlier:
        return None
    evidence = (
        f"best FID {number(best)} in {len(values)} measurements, hardly better in the last half"
    )
    return Sign(evidence, int(epochs[0]))


def plateau(past: Past) -> Sign | None:
    """FID is moderate at best and has not improved for half of the run (Inception only)."""
    values, epochs = past.values("fid_score"), past.epochs("fid_score")
    if past.setup.encoder not in (None, "inception") or len(values) < 20 or past.early:
        return None
    half = len(values) // 2
    best, later = float(values[:half].min()), float(values[half:].min())
    if best < 100 or later < 0.98 * best:
        return None
    at = int(values[:half].argmin())
    return Sign(f"FID has not improved on {number(best)} since epoch {epochs[at]}", int(epochs[at]))


def samples_alike(past: Past) -> Sign | None:
    """Samples hardly differ from each other: pixel variance small, or far below its best."""
    values, epochs = past.values("pixel_variance"), past.epochs("pixel_variance")
    if len(values) < 3 or past.early:
        return None
    best = float(values.max())
    line = max(alike_below(past.values("real_pixel_variance").tolist()), FELL * best)
    onset = since(values < line, at_least=3)
    # Young samples are grey before they differ: a variance that still grows is no collapse, unless
    # FID says that it comes to nothing.
    if onset is None or (_grow(values) and _came_nearer(past)):
        return None
    evidence = f"pixel variance {number(float(values[-1]))}, at best {number(best)}"
    return Sign(evidence, int(epochs[onset]))


def _grow(values: Floats) -> bool:
    """Whether pixel variance has grown in the last three measurements [n]."""
    before, now = values[max(len(values) - 4, 0)], values[-1]
    grew = now >= values.max() and now > max(GREW * before, VISIBLE)
    return bool(grew or now - before > GROWS)


def _came_nearer(past: Past) -> bool:
    """Whether FID has fallen clearly below its first; also where it is not measured."""
    fid = past.values("fid_score")
    return not len(fid) or bool(fid.min() < NEARER * fid[0])


def recall_fell(past: Past) -> Sign | None:
    """Samples cover far less of the data than they did."""
    values, epochs = past.values("recall"), past.epochs("recall")
    if len(values) < LEAST_SCORES or values.max() < 0.1:
        return None
    onset = since(values < FELL * values.max(), at_least=3)
    if onset is None:
        return None
    evidence = f"recall {number(float(values[-1]))}, was {number(float(values.max()))}"
    return Sign(evidence, int(epochs[onset]))


def critic_overfits(past: Past) -> Sign | None:
    """The critic holds real images that it never saw for no more real than samples."""
    values, epochs = past.values("critic_overfit"), past.epochs("critic_overfit")
    if len(values) < 3 or _is_old(past, epochs):
        return None
    smooth = _smooth(values)
    start = since(smooth >= OVERFITS)
    if start is None:
        return None
    # From the first value above the line of the first three whose median is: one below it since
    # then is as little a sign as one above it before.
    onset = start + int((values[start:] >= OVERFITS).argmax())
    evidence = f"held-out images score {smooth[-1]:.0%} of the way from those trained on to samples"
    return Sign(evidence, int(epochs[onset]))
