"""What a grid of runs over seeds and batch sizes says: the guide's triage, with how sure it is.

The guide: all batch sizes work with one seed and some fail with others: random initialisation. The
small work and the large fail across seeds: batch size. Smaller batches are more robust: both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Cause = Literal["nothing", "neither", "seed", "batch size", "both", "unclear"]
SURE = 0.05  # chance of a pattern as strong in runs without one, up to which it is called sure
_SHUFFLES = 20_000


@dataclass(frozen=True)
class Outcome:
    """How one run of the grid ended.

    Attributes:
      seed, batch_size: its place in the grid.
      worked: whether it was judged, and not failing at its end.
      cause: what was wrong, "" if nothing.
      advice: what the judge says to that, "" if nothing was wrong.
      judged: whether there was enough of it to be judged, or it failed all the same.
    """

    seed: int
    batch_size: int
    worked: bool
    cause: str = ""
    advice: str = ""
    judged: bool = True


@dataclass(frozen=True)
class Rate:
    """How often a batch size worked.

    Attributes:
      batch_size: images per update.
      worked, runs: counts.
      low, high: exact 95 % interval of the share that works (Clopper and Pearson 1934), where of
        the runs that were not judged none or all may work.
      unjudged: how many of the runs were not judged.
    """

    batch_size: int
    worked: int
    runs: int
    low: float
    high: float
    unjudged: int = 0

    @property
    def always(self) -> bool:
        """Whether every run worked."""
        return self.worked == self.runs


@dataclass(frozen=True)
class Conclusion:
    """What the grid says.

    Attributes:
      cause: what the failures depend on.
      text: one line, the reason.
      p_value: chance of a pattern as strong where there is none; 1 where there is no pattern.
      rates: by batch size, ascending.
      good_seeds: seeds that work with every batch size.
      good_batch: largest batch size up to which every run worked; None if the smallest fails.
    """

    cause: Cause
    text: str
    p_value: float
    rates: tuple[Rate, ...]
    good_seeds: tuple[int, ...]
    good_batch: int | None

    @property
    def working(self) -> tuple[int, ...]:
        """Batch sizes with which every run worked, ascending."""
        return tuple(rate.batch_size for rate in self.rates if rate.always)

    @property
    def unjudged(self) -> int:
        """How many runs were not judged."""
        return sum(rate.unjudged for rate in self.rates)

    @property
    def sure(self) -> bool:
        """Whether the pattern is stronger than chance would often make it."""
        return self.cause != "unclear" and _is_rare(self.p_value)


def interval(worked: int, runs: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper and Pearson 1934), e.g. 8 of 8: (0.63, 1)."""
    low, high = stats.binomtest(worked, runs).proportion_ci(0.95, method="exact")
    return float(low), float(high)


def conclude(outcomes: Sequence[Outcome]) -> Conclusion:
    """The conclusion from the runs that are done; at least one."""
    sizes = sorted({o.batch_size for o in outcomes})
    seeds = sorted({o.seed for o in outcomes})
    by_seed = {seed: [o.worked for o in outcomes if o.seed == seed] for seed in seeds}
    rates = tuple(_rate(size, [o for o in outcomes if o.batch_size == size]) for size in sizes)
    good_seeds = tuple(seed for seed, row in by_seed.items() if all(row))
    good_batch = None
    for rate in rates:
        if not rate.always:
            break
        good_batch = rate.batch_size
    cause, text, p_value = _pattern(outcomes, rates, good_seeds)
    return Conclusion(cause, text, p_value, rates, good_seeds, good_batch)


def _rate(size: int, outcomes: Sequence[Outcome]) -> Rate:
    """How often one batch size worked."""
    runs, worked = len(outcomes), sum(o.worked for o in outcomes)
    unjudged = sum(not o.judged for o in outcomes)
    low, high = interval(worked, runs)[0], interval(worked + unjudged, runs)[1]
    return Rate(size, worked, runs, low, high, unjudged)


def _pattern(
    outcomes: Sequence[Outcome], rates: tuple[Rate, ...], good_seeds: tuple[int, ...]
) -> tuple[Cause, str, float]:
    """(cause, reason, chance of as strong a pattern without one)."""
    runs, worked = len(outcomes), sum(o.worked for o in outcomes)
    low, high = interval(worked, runs)
    unjudged = sum(rate.unjudged for rate in rates)
    if unjudged:  # those that were are the ones that failed: no fair sample
        return "unclear", f"{unjudged} of {runs} runs were not judged", 1.0
    if worked == runs:
        return "nothing", f"all {runs} runs work: a run fails in at most {1 - low:.0%}", 1.0
    if worked == 0:
        text = f"all {runs} runs fail (a run works in at most {high:.0%}), whatever seed and batch"
        return "neither", text, 1.0
    split, p_batch = batch_effect(rates)
    p_seed = seed_effect(outcomes)
    working = [rate.batch_size for rate in rates if rate.always]
    always = ", ".join(map(str, working))
    if all(rate.worked in (0, rate.runs) for rate in rates):
        if working == [rate.batch_size for rate in rates[: len(working)]]:
            text = f"batches up to {working[-1]} work with every seed and larger ones with none"
            return "batch size", text, p_batch
        text = f"batches of {always} work with every seed and others with none, also smaller ones"
        return "unclear", text, min(p_batch, p_seed)
    # Of the two the one that chance makes more seldom, and the batch size wherever it is sure.
    if split and (_is_rare(p_batch) or (p_batch < p_seed and _falls(rates))):
        text = f"batches up to {split} are more robust, and seeds decide within a batch size"
        return "both", text, p_batch
    if good_seeds:
        names = ", ".join(map(str, good_seeds[:8]))
        return "seed", f"seeds {names} work with every batch size, and others fail", p_seed
    text = f"{worked} of {runs} runs work, and no seed always does"
    text += f", but batches of {always} do" if working else ", nor does a batch size"
    return "unclear", text, min(p_batch, p_seed)


def _falls(rates: Sequence[Rate]) -> bool:
    """Whether no batch size works more often than a smaller one."""
    shares = [rate.worked / rate.runs for rate in rates]
    return shares == sorted(shares, reverse=True)


def _is_rare(p_value: float) -> bool:
    """Whether chance is at most 1 in 20, of which computed ones miss the last digit."""
    return p_value <= SURE or math.isclose(p_value, SURE)


def batch_effect(rates: Sequence[Rate]) -> tuple[int | None, float]:
    """(batch size up to which runs work better, chance of such a difference without an effect).

    Fisher's exact test of small against large at the best of the splits, one-sided, times the
    number of splits that were tried.
    """
    best: tuple[int | None, float] = (None, 1.0)
    for i in range(1, len(rates)):
        table = [
            [sum(r.worked for r in part), sum(r.runs - r.worked for r in part)]
            for part in (rates[:i], rates[i:])
        ]
        p_value = float(stats.fisher_exact(table, alternative="greater").pvalue)
        if p_value < best[1]:
            best = (rates[i - 1].batch_size, p_value)
    return best[0], min(1.0, best[1] * (len(rates) - 1))


def seed_effect(outcomes: Sequence[Outcome]) -> float:
    """Chance that failures gather on as few seeds, if every batch size failed at its own rate.

    Outcomes are shuffled among the seeds within each batch size; compared is the number of seeds
    with no failure. Seeds that did not run with every batch size are left out.
    """
    sizes = sorted({o.batch_size for o in outcomes})
    found = {(o.seed, o.batch_size): o.worked for o in outcomes}
    seeds = [s for s in {o.seed for o in outcomes} if all((s, size) in found for size in sizes)]
    if len(seeds) < 2 or len(sizes) < 2:
        return 1.0
    table = np.array([[found[seed, size] for seed in seeds] for size in sizes])
    clean = int(table.all(axis=0).sum())
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(np.broadcast_to(table, (_SHUFFLES, *table.shape)), axis=2)
    as_many = int((shuffled.all(axis=1).sum(axis=1) >= clean).sum())
    return (as_many + 1) / (_SHUFFLES + 1)


def rate_factor(batch_size: int, good_batch: int) -> float:
    """By what to multiply a learning rate that works at `good_batch`, for another batch.

    Square root of the ratio for optimisers that normalise the gradient, RMSProp and Adam (Malladi
    et al. 2022, section 1).
    """
    return math.sqrt(batch_size / good_batch)
