"""The stability report's tables: a run's phases, and five indicators, each with its rule.

Plain numpy over a `History`. The bands are the training guide's, where it gives one; where it does
not, the rule says what it asks, and the value is shown beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wgan_jax.bands import alike_below, may_be_wasserstein
from wgan_jax.history import Floats, History

# Shares of a run at which its phases end: they scale with its length.
PHASES = (("warm-up", 0.02), ("early", 0.20), ("mid", 0.50), ("late", 0.80), ("final", 1.00))
WINDOW = 101  # epochs of a running median, as in the WGAN authors' figures of W-dist
EDGE = 0.05  # share of a phase whose median stands for its start, and for its end


@dataclass(frozen=True)
class Phase:
    """One stretch of a run; losses are medians over the first and last twentieth of it.

    Attributes:
      name: warm-up, early, mid, late or final.
      first, last: epochs, both inside.
      d_start, d_end, g_start, g_end: critic and generator loss.
      d_change, g_change: change per epoch between the two ends.
    """

    name: str
    first: int
    last: int
    d_start: float
    d_end: float
    d_change: float
    g_start: float
    g_end: float
    g_change: float


@dataclass(frozen=True)
class Indicator:
    """One sign of stability.

    Attributes:
      name: what it looks at.
      rule: what is asked, in words, with its numbers.
      value: what was found, in words, with its numbers.
      passed: whether the rule holds; None where it was not measured.
      meaning: what passing and failing tell.
    """

    name: str
    rule: str
    value: str
    passed: bool | None
    meaning: str


def phases(history: History) -> list[Phase]:
    """The phases of a run that hold at least one epoch."""
    n, begin, found = len(history), 0, []
    for name, share in PHASES:
        end = max(begin, round(share * n))
        if end > begin:
            found.append(_phase(name, history, begin, end))
        begin = end
    return found


def _phase(name: str, history: History, begin: int, end: int) -> Phase:
    epochs = history.epochs[begin:end]
    edge = max(1, round(EDGE * (end - begin)))
    d, g = (history.get(key)[begin:end] for key in ("d_loss", "g_loss"))
    starts = [_median(x[:edge]) for x in (d, g)]
    ends = [_median(x[-edge:]) for x in (d, g)]
    span = max(1.0, _median(epochs[-edge:]) - _median(epochs[:edge]))
    changes = [(b - a) / span for a, b in zip(starts, ends, strict=True)]
    return Phase(
        name, int(epochs[0]), int(epochs[-1]),
        starts[0], ends[0], changes[0], starts[1], ends[1], changes[1],
    )  # fmt: skip


def _median(values: NDArray[np.floating] | NDArray[np.int64]) -> float:
    """Median without gaps; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")


def indicators(history: History, objective: str | None = None) -> list[Indicator]:
    """The five indicators, in the order of the report.

    That of the Wasserstein distance is of Wasserstein losses, and where none is named: of log loss
    the scores of a game in balance have no gap.
    """
    found = {rule: rule(history) for rule in RULES}
    if not may_be_wasserstein(objective):
        unfit = replace(found[_wasserstein], value="of Wasserstein losses only", passed=None)
        found[_wasserstein] = unfit
    return list(found.values())


def score(found: list[Indicator]) -> tuple[int, int]:
    """(passed, measured) of the indicators."""
    measured = [indicator for indicator in found if indicator.passed is not None]
    return sum(bool(indicator.passed) for indicator in measured), len(measured)


def at_the_end(history: History, key: str) -> float | None:
    """The median of a key over the last epochs; a single one may lie anywhere.

    Where the last value is not finite, that value; None where nothing was measured.
    """
    values = history.get(key)[-WINDOW:]
    if key not in history or not len(values):
        return None
    return float(np.median(values) if np.isfinite(values[-1]) else values[-1])


def _after(history: History, key: str, phase: str) -> Floats:
    """What was measured of a key after a phase; "late": in the last fifth."""
    values = history.get(key)[round(dict(PHASES)[phase] * len(history)) :]
    return values[~np.isnan(values)]


def _monotonicity(history: History) -> Indicator:
    values = _after(history, "d_loss", "early")
    rule = (
        "after the early phase, 20 block medians of D go one way (net change at least half of the "
        "path) or hold still (range at most half of their size)"
    )
    meaning = (
        "A critic loss that wanders back and forth at its own size means neither player gains."
    )
    if len(values) < 20 or not np.isfinite(values).all():
        return _unmeasured("Monotonicity", rule, values, meaning)
    blocks = np.array([np.median(block) for block in np.array_split(values, 20)])
    path = float(np.abs(np.diff(blocks)).sum())
    one_way = abs(float(blocks[-1] - blocks[0])) / path if path else 1.0
    spread = float(np.ptp(blocks)) / max(float(np.median(np.abs(blocks))), 1e-12)
    value = f"net change {one_way:.0%} of the path, range {spread:.0%} of the size"
    return Indicator("Monotonicity", rule, value, one_way >= 0.5 or spread <= 0.5, meaning)


def _balance(history: History) -> Indicator:
    rule = "in the last fifth, the smaller of |R| and |F| is at least a tenth of the larger"
    meaning = (
        "A critic loss that rests on one side alone tells the generator nothing about the other."
    )
    real, fake = (_after(history, key, "late") for key in ("d_loss_real", "d_loss_fake"))
    if len(real) == 0 or len(real) != len(fake) or not np.isfinite([*real, *fake]).all():
        return _unmeasured("Balance of R and F", rule, real, meaning)
    sizes = np.sort(np.abs([real, fake]), axis=0)
    ratio = _median(sizes[0] / np.maximum(sizes[1], 1e-12))
    return Indicator("Balance of R and F", rule, f"median ratio {ratio:.2f}", ratio >= 0.1, meaning)


def _mode_collapse(history: History) -> Indicator:
    rule = (
        "the last PixVar is at least 0.1 (or half of the data's, where that is less), or the "
        "largest yet, and at least half of the run's median"
    )
    meaning = (
        "PixVar falls to 0 as samples become alike (guide: 0.2-0.5 healthy, below 0.1 collapse)."
    )
    _, values = history.measured("pixel_variance")
    if len(values) == 0:
        return _unmeasured("Mode collapse", rule, values, meaning)
    last, usual = float(values[-1]), float(np.median(values))
    grows = len(values) > 1 and last > values[:-1].max()  # young samples are grey
    value = f"PixVar {last:.3f}, median {usual:.3f}"
    least = alike_below(history.measured("real_pixel_variance")[1].tolist())
    passed = bool(last >= least or grows) and last >= usual / 2
    return Indicator("Mode collapse", rule, value, passed, meaning)


def _gradient_signal(history: History) -> Indicator:
    rule = (
        "in the last fifth, the generator's gradient norm keeps at least 1 % of the run's median "
        "and is above 1e-8"
    )
    meaning = "A generator without gradient no longer learns: its critic is dead or saturated."
    late = _after(history, "generator_grad_norm", "late")
    if len(late) == 0 or not np.isfinite(late).all():
        return _unmeasured("Gradient signal", rule, late, meaning)
    now, usual = _median(late), _median(_after(history, "generator_grad_norm", "warm-up"))
    value = f"median norm {now:.3g}, over the run {usual:.3g}"
    return Indicator("Gradient signal", rule, value, now >= max(0.01 * usual, 1e-8), meaning)


def _wasserstein(history: History) -> Indicator:
    rule = (
        "in the last fifth, the median-filtered W-dist is above 0 and its range (5-95 %) is at "
        "most half of its median"
    )
    meaning = (
        "It rises while the critic learns and then settles; at or below 0 the critic is blind."
    )
    late = _after(history, "wasserstein_distance", "late")
    if len(late) == 0 or not np.isfinite(late).all():
        return _unmeasured("Wasserstein distance", rule, late, meaning)
    smooth = median_filter(late)
    middle = float(np.median(smooth))
    low, high = np.percentile(smooth, [5, 95])
    spread = float(high - low) / abs(middle) if middle else float("inf")
    value = f"median {middle:.4g}, range {spread:.0%} of it"
    return Indicator("Wasserstein distance", rule, value, middle > 0 and spread <= 0.5, meaning)


def _unmeasured(name: str, rule: str, values: Floats, meaning: str) -> Indicator:
    """Failed where there were numbers that are not finite; not measured where there were none."""
    if len(values) and not np.isfinite(values).all():
        return Indicator(name, rule, "not finite", False, meaning)
    return Indicator(name, rule, "not measured", None, meaning)


RULES: tuple[Callable[[History], Indicator], ...] = (
    _monotonicity,
    _balance,
    _mode_collapse,
    _gradient_signal,
    _wasserstein,
)


def median_filter(values: Floats) -> Floats:
    """Median over a centred window, as the WGAN authors plot W-dist (window 101); [n] -> [n].

    Windows at the ends are filled up with their mirror image. A window of more than a fifth of
    the values is shortened to that, an odd number: see `window_for`.
    """
    window = window_for(len(values))
    if len(values) == 0 or window == 1:
        return values
    from scipy import ndimage  # not at the start of a run, which has no use for it

    return np.asarray(ndimage.median_filter(values, window, mode="mirror"))


def window_for(n: int) -> int:
    """The window used for `n` values: `WINDOW`, or an odd number, at most a fifth of them."""
    return min(WINDOW, max(1, (n // 5 - 1) | 1))


def overall(verdict: str, history: History, objective: str | None = None) -> str:
    """The one word of the report and the log: stable, unstable, collapsed or not judged.

    Args:
      verdict: what the judge says: healthy, warning, failing or not judged.
      history: a run the judge calls healthy is unstable where over two indicators fail, or that of
        mode collapse alone.
      objective: the run's loss, see `indicators`.
    """
    words = {"failing": "collapsed", "warning": "unstable", "not judged": "not judged"}
    if verdict in words:
        return words[verdict]
    passed, measured = score(indicators(history, objective))
    alike = _mode_collapse(history).passed is False
    return "unstable" if alike or measured - passed > 2 else "stable"
