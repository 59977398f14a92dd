"""Signs of failure in the losses alone, relative to the run's own past.

All of them read quantiles of windows of a twentieth of the run (`windows`), so that neither the
scale of a loss nor the length of a run matters, and a burst counts for nothing. What is plain in a
short run too is read from tenths of it. Thresholds are arguments, which `benchmarks/diagnosis.py`
moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wgan_jax.bands import WASSERSTEIN
from wgan_jax.health.past import Past
from wgan_jax.health.signs import Sign, number
from wgan_jax.health.windows import Windows, since
from wgan_jax.history import Floats

# d_loss of a critic that knows nothing (all scores 0; least squares: 1/2), as the mean of its two
# terms. Where a codebase sums them, chance is twice as high and the rules are as strict.
CHANCE = {"hinge": 1.0, "nsgan": np.log(2.0), "lsgan": 0.25}
# g_loss from which the fakes count as rejected. hinge: a mean score of -1, the margin, beyond which
# no fake teaches the critic. nsgan: three times chance, a fake is held for real with 1/8. lsgan:
# 0.8 of what a score of 0 costs.
REJECTED = {"hinge": 1.0, "nsgan": 3 * np.log(2.0), "lsgan": 0.4}
SATURATED = 0.1  # share of chance below which the critic makes hardly any error
ONE_SIDED = 12.0  # upper tail of d_loss over its lower tail: it lies on its floor
VANISHED = 1e-3  # share of its former size below which a score gap, or a variation, is gone
RESTS = 5e-4  # share of its level within which a loss lies that does not move
REGIME = 3.0  # factor of noise from one twentieth of a run to the next: a change of regime
UNSETTLED, STALLED = 1.75, 0.75  # growth of noise; fall over half a run, in noises
DROWNED = 0.01  # share of the generator's noise below which a score gap says nothing
STANDS = 0.5  # share of its highest that a score gap stays above which nothing brings down
RESTING = 0.5  # share of that gap within which the generator's scores stay then
SLOW = 10  # openings, within which a slow game may stand still
WILD = 10.0  # growth of noise, or of size, at which a loss runs wild


def critic_saturated(past: Past, share: float = SATURATED) -> Sign | None:
    """The critic makes hardly an error, and rejects all fakes."""
    d, g = past.coarse("d_loss"), past.coarse("g_loss")
    if past.setup.objective not in CHANCE or d is None or g is None or past.opens:
        return None
    chance, rejected = CHANCE[past.setup.objective], REJECTED[past.setup.objective]
    low = d.middle < share * chance
    onset = since(low, at_least=2)
    if onset is None or g.middle[-2:].min() < rejected:
        return None
    share_now = f"{d.middle[-1] / chance:.1%} of chance"
    evidence = f"D {number(d.middle[-1])}, {share_now}, while G is {number(g.middle[-1])}"
    return Sign(evidence, int(d.start[onset]))


def critic_on_floor(past: Past, tails: float = ONE_SIDED) -> Sign | None:
    """D lies on its floor, with bursts or without; needs no objective, and no floor at 0."""
    d = past.windows("d_loss")
    if d is None or past.setup.objective in WASSERSTEIN or past.opens or _guesses(past, d)[-1]:
        return None  # a critic that guesses can be much worse, and little better: one-sided too
    onset = _settled(d)
    if onset is not None and _at_zero(d) and critic_saturated(past) is None:
        evidence = f"D at most {number(d.high[-1])}, was {number(d.middle.max())}: on its floor"
        return Sign(evidence, int(d.start[onset]))
    if not d.fine:
        return None
    tiny = 1e-9 + 1e-6 * np.abs(d.middle)
    sided = (d.high - d.middle) / (d.middle - d.low + tiny)
    onset = since((sided > tails) & (d.high - d.middle > tiny), at_least=2)
    if onset is None:
        return None
    evidence = (
        f"95 % of D within {number(d.high[-1] - d.middle[-1])} above its median, "
        f"{number(d.middle[-1] - d.low[-1])} below: it lies on its floor"
    )
    return Sign(evidence, int(d.start[onset]))


def critic_dead(past: Past, share: float = VANISHED) -> Sign | None:
    """Wasserstein: the gap between real and fake vanished against its own past, or never was any.

    A gap of 0 may be a small one in few digits; but not where G too stays as it is.
    """
    key = "wasserstein_distance" if "wasserstein_distance" in past else "d_loss"
    d, g = past.windows(key), past.windows("g_loss")
    if past.setup.objective not in WASSERSTEIN or d is None or past.opens:
        return None
    size = np.maximum(np.abs(d.high), np.abs(d.low))
    was = np.maximum.accumulate(size)
    gone = size < share * was
    if g is not None and len(g.middle) == len(size):
        gone |= (size == 0) & (g.high == g.low)
    onset = since(gone, at_least=2)
    if onset is None:
        return None
    evidence = f"|{key}| at most {number(size[-1])}, was {number(was[-1])}: no signal is left"
    return Sign(evidence, int(d.start[onset]))


def critic_at_rest(past: Past, share: float = RESTS) -> Sign | None:
    """D rests at a constant, whatever that is: its variation vanished, or never was any.

    Where it rests at its floor the critic is overpowered, and not dead: other rules see that.
    """
    d = past.windows("d_loss")
    overpowered = critic_saturated(past) or critic_on_floor(past)
    if past.setup.objective in WASSERSTEIN or d is None or overpowered:
        return None
    varies = d.high - d.low
    was = np.maximum.accumulate(varies)
    level = d.middle[-1]
    strays = np.maximum(d.high - level, level - d.low)
    if past.opens:  # a critic may guess for long, or reject all fakes: but not to the last digit
        onset = 0 if strays.max() == 0 else None
    else:
        onset = _settled(d)
        if onset is None and not past.early:
            onset = since(strays < share * abs(level), at_least=5)
    if onset is None:
        return None
    evidence = f"D varies by {number(varies[-1])} about {number(d.middle[-1])}"
    return Sign(f"{evidence}, at most by {number(was[-1])} before", int(d.start[onset]))


def _settled(d: Windows) -> int | None:
    """The window from which D hardly varies any more, against its own past."""
    varies = d.high - d.low
    return since(varies < VANISHED * np.maximum.accumulate(varies), at_least=2)


def _at_zero(d: Windows) -> bool:
    """Whether D has come down to 0: the critic makes no error any more."""
    return bool(d.low[-1] >= 0 and d.high[-1] < SATURATED**2 * d.middle.max())


def gap_drowned(past: Past, share: float = DROWNED) -> Sign | None:
    """Wasserstein: the gap between real and fake is lost in how the scores wander.

    The scores have no zero point, and may drift; but where their mean wanders a hundred times
    further between two measurements than real and fake lie apart, steps follow the wandering.
    """
    if past.setup.objective not in WASSERSTEIN or past.early:
        return None
    d, g = past.windows("d_loss"), past.windows("g_loss")
    if d is None or g is None or not g.fine:
        return None
    onset = since(np.abs(d.middle) < share * g.noise, at_least=5)
    if onset is None:
        return None
    evidence = f"|D| {number(abs(d.middle[-1]))}, while G wanders by {number(g.noise[-1])}"
    return Sign(evidence, int(d.start[onset]))


def gap_stands(past: Past, share: float = STANDS) -> Sign | None:
    """Wasserstein: the gap stays near its highest and does not fall, and G's scores stay too.

    Where a game goes on, the gap falls as G learns, or the scores, which have no zero point, wander
    further than it. A slow game needs its time for that, and a log that begins late may be of one
    that has settled.
    """
    d, g = past.windows("d_loss"), past.windows("g_loss")
    if past.setup.objective not in WASSERSTEIN or past.early or d is None or g is None:
        return None
    if past.epoch + 1 < SLOW * past.setup.opening:
        return None
    late = slice(len(d.middle) // 4, None)
    size = np.abs(d.middle[late])
    highest = float(np.maximum(np.abs(d.low), np.abs(d.high)).max())
    falls = float(np.median(size[:3]) - np.median(size[-3:])) > float(np.median(d.noise[late]))
    moved = float(g.high[late].max() - g.low[late].min())
    begins_late = d.start[0] > (past.epoch - d.start[0]) / len(d.middle)
    if size.min() <= share * highest or falls or moved > RESTING * size.min() or begins_late:
        return None
    evidence = f"|D| {number(size[-1])}, at most {number(highest)} so far, and falls no more"
    return Sign(f"{evidence}; G moved by {number(moved)}", int(d.start[late][0]))


def critic_at_chance(past: Past) -> Sign | None:
    """Hinge: D rests at what scores of 0 cost, 1 (terms averaged) or 2 (summed)."""
    d = past.windows("d_loss")
    if past.setup.objective != "hinge" or d is None or past.early:
        return None
    for chance in (1.0, 2.0):
        onset = since((np.abs(d.low - chance) < 0.02) & (np.abs(d.high - chance) < 0.02), 5)
        if onset is not None:
            evidence = f"D between {number(d.low[-1])} and {number(d.high[-1])}: chance is {chance}"
            return Sign(evidence, int(d.start[onset]))
    return None


def _before(values: Floats, i: int) -> float:
    """Median of a field of windows over the five before window i."""
    return float(np.median(values[i - 5 : i]))


def regime_change(past: Past, factor: float = REGIME) -> Sign | None:
    """The critic's loss changed its manner within a twentieth of the run, and did not change back.

    A healthy critic's loss drifts. Its noise falls at once when the critic learns to tell all
    images apart (but for Wasserstein losses, which have no floor to rest on), and rises at once
    when the balance is lost; a rise while D falls is learning. Noise that falls while D hardly
    does is a learning rate that was lowered.
    """
    d = past.windows("d_loss")
    if d is None or not d.fine or past.opens:
        return None
    for i in range(_opened(past, d) + 5, len(d.middle) - 1):
        was, level = _before(d.spread, i), _before(d.middle, i)
        after, now = d.spread[i:], d.middle[i:]
        if was <= 0:
            continue
        fell = now < level - min(was, abs(level) / 2)
        quiet = (after < was / factor) & fell & (past.setup.objective not in WASSERSTEIN)
        wild = (after > was * factor) & (now > level - after)
        for changed, word in ((quiet, "fell"), (wild, "rose")):
            if changed.all():
                text = f"noise of D {word} at once from {number(was)} to {number(after[0])}"
                return Sign(
                    f"{text} (quartiles), D {number(level)} -> {number(now[-1])}", int(d.start[i])
                )
    return None


def _noise_growth(w: Windows, first: int) -> tuple[float, float, int, int]:
    """(noise of the last quarter, of the quietest 15 % before, where that is, where it had grown).

    Args:
      first: window from which the quietest is looked for.
    """
    before = np.convolve(w.noise[first:-5], np.ones(3) / 3, "valid")
    at = first + int(before.argmin())
    quietest = float(before.min())
    grown = np.flatnonzero(w.noise[at:] > UNSETTLED * quietest)
    onset = at + (int(grown[0]) if len(grown) else 0)
    return float(np.median(w.noise[-5:])), quietest, at, onset


def _opened(past: Past, w: Windows) -> int:
    """First window that is not all within the opening, which is no past to compare with."""
    return int(np.searchsorted(w.start[1:], past.setup.opening, side="right"))


def _guesses(past: Past, d: Windows) -> NDArray[np.bool_]:
    """In which windows the critic hardly does better than guess; none if chance is not known."""
    if past.setup.objective not in CHANCE:
        return np.zeros(len(d.middle), bool)
    chance = float(CHANCE[past.setup.objective])
    if d.middle.max() > 1.5 * chance:
        chance *= 2  # the terms are summed
    return d.middle >= 0.9 * chance


def _left_chance(past: Past, d: Windows) -> int:
    """First window in which the critic is better than guessing."""
    guesses = _guesses(past, d)
    return len(guesses) if guesses.all() else int(guesses.argmin())


def critic_unsettled(past: Past, growth: float = UNSETTLED) -> Sign | None:
    """D stopped falling and its noise is growing: the game no longer converges."""
    d = past.windows("d_loss")
    if d is None or not d.fine or past.early or past.setup.objective in WASSERSTEIN:
        return None
    # A critic that guesses is quiet, and gets louder by learning: that past does not count.
    first = max(_left_chance(past, d), _opened(past, d))
    if first > len(d.middle) - 8:
        return None
    now, quietest, at, onset = _noise_growth(d, first)
    fall = float(np.median(d.middle[-10:-7]) - np.median(d.middle[-3:]))
    matters = now > 0.01 * abs(float(d.middle[-1]))  # a critic near chance hardly swings at all
    # Noise may go with the level of D, as where it has bursts; and a level may wander.
    level, was = (abs(float(np.median(part))) for part in (d.middle[-5:], d.middle[at : at + 3]))
    grown = now >= growth * quietest and now * was >= growth * quietest * level
    if quietest <= 0 or not matters or not grown or fall > STALLED * now:
        return None
    evidence = (
        f"noise of D {number(now)}, was {number(quietest)} ({now / quietest:.1f} times), while D "
        f"fell by {number(max(fall, 0.0))} in the last half"
    )
    return Sign(evidence, int(d.start[onset]))


def losses_wild(past: Past, growth: float = WILD) -> Sign | None:
    """The noise of a loss has grown many times over its quietest past, without D falling."""
    for key in ("g_loss", "d_loss"):
        w = past.windows(key)
        if w is None or not w.fine or past.early:
            continue
        # Untrained networks are quiet: what came in the first quarter says nothing of a past.
        d = past.windows("d_loss")
        first = max(5, _opened(past, w), 0 if d is None else _left_chance(past, d))
        if first > len(w.middle) - 8:
            continue
        now, quietest, _, onset = _noise_growth(w, first)
        falling = np.median(w.middle[-10:-7]) - np.median(w.middle[-3:]) > now
        if quietest > 0 and now > growth * quietest and not falling:
            text = f"noise of {key} {number(now)}, was {number(quietest)}"
            return Sign(f"{text} ({now / quietest:.0f} times)", int(w.start[onset]))
    return None


def losses_run_away(past: Past) -> Sign | None:
    """A loss has grown tenfold over all that it was in the first half of the run."""
    for key in ("d_loss", "g_loss"):
        w = past.coarse(key)
        if w is None or past.early:
            continue
        size = np.maximum(np.abs(w.low), np.abs(w.high))
        before = float(size[: len(size) // 2].max())
        onset = since(np.abs(w.middle) > WILD * before, at_least=2)
        if onset is not None:
            evidence = f"{key} {number(w.middle[-1])}, at most {number(before)} in the first half"
            return Sign(evidence, int(w.start[onset]))
    return None


def not_finite(past: Past) -> Sign | None:
    """A loss is infinite or not a number."""
    lost = past.lost()
    if not lost:
        return None
    key = min(lost, key=lambda k: lost[k])
    return Sign(f"{key} is not a finite number at epoch {lost[key]}", lost[key])


def oscillation(past: Past) -> Sign | None:
    """One frequency carries most of what D does about its trend in the last half of the run.

    In a young run the players may chase each other a few times, and then settle.
    """
    values = past.values("d_loss")
    half = values[len(values) // 2 :][-1024:]
    if len(half) < 100 or past.early:
        return None
    t = np.linspace(-1, 1, len(half))
    rest = half - np.polynomial.Polynomial.fit(t, half, 2)(t)
    if rest.std() <= 1e-9 * np.abs(half).max():  # a constant, and how it was rounded
        return None
    power = np.abs(np.fft.rfft(rest)) ** 2
    if len(half) % 2 == 0:
        power[-1] /= 2  # the others stand for their negative frequencies too
    power[:4] = 0  # slower than three swings in the half: a trend, not an oscillation
    peak = int(power.argmax())
    share = power[max(peak - 1, 0) : peak + 2].sum() / max(
        float((rest**2).sum()) * len(half) / 2, 1e-30
    )
    if share < 0.5:
        return None
    epochs = past.epochs("d_loss")[-len(half) :]
    period = (epochs[-1] - epochs[0]) / peak
    return Sign(
        f"{share:.0%} of D's variance swings with a period of {period:.0f} epochs", int(epochs[0])
    )
