"""What a grid of runs lets one conclude, and how sure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan_jax.health.conclusion import (
    Outcome,
    batch_effect,
    conclude,
    interval,
    rate_factor,
    seed_effect,
)

Works = Callable[[int, int], bool]


def grid(works: Works, seeds: int = 8, sizes: tuple[int, ...] = (64, 256, 1024)) -> list[Outcome]:
    return [Outcome(seed, size, works(seed, size)) for seed in range(seeds) for size in sizes]


@pytest.mark.parametrize(
    ("worked", "runs", "low", "high"),
    # 8 of 8: the lower end p solves p^8 = 0.025. 0 of 4: the upper end solves (1 - p)^4 = 0.025.
    [(8, 8, 0.025 ** (1 / 8), 1.0), (0, 4, 0.0, 1 - 0.025 ** (1 / 4)), (1, 1, 0.025, 1.0)],
)
def test_the_interval_is_exact(worked: int, runs: int, low: float, high: float) -> None:
    assert interval(worked, runs) == pytest.approx((low, high))


def test_large_batches_that_fail_with_every_seed_are_a_matter_of_batch_size() -> None:
    found = conclude(grid(lambda _, size: size < 1024))
    assert (found.cause, found.good_batch, found.good_seeds) == ("batch size", 256, ())
    assert found.sure
    assert [(rate.worked, rate.runs) for rate in found.rates] == [(8, 8), (8, 8), (0, 8)]


def test_batch_sizes_that_work_out_of_order_are_no_matter_of_small_and_large() -> None:
    found = conclude(grid(lambda _, size: size != 64))
    assert (found.cause, found.good_batch, found.working) == ("unclear", None, (256, 1024))
    assert found.text.startswith("batches of 256, 1024 work with every seed")
    some = conclude(grid(lambda seed, size: size == 1024 or seed < 4))
    assert some.working == (1024,)


def test_seeds_that_fail_with_every_batch_size_are_a_matter_of_the_seed() -> None:
    found = conclude(grid(lambda seed, _: seed % 3 != 0))
    assert (found.cause, found.good_seeds, found.good_batch) == ("seed", (1, 2, 4, 5, 7), None)
    assert found.sure


def test_some_batch_sizes_that_fail_with_some_seeds_only_are_a_matter_of_the_seed() -> None:
    found = conclude(grid(lambda seed, size: seed in (0, 3, 4) or (seed + size // 64) % 2 == 0))
    assert (found.cause, found.good_seeds, found.sure) == ("seed", (0, 3, 4), False)


def test_smaller_batches_that_are_only_more_robust_are_both() -> None:
    found = conclude(grid(lambda seed, size: size == 64 or seed < (5 if size == 256 else 1)))
    assert (found.cause, found.good_batch) == ("both", 64)
    assert found.sure


@pytest.mark.parametrize("good_in_middle", [(0, 1), (0, 1, 2)])
def test_smaller_batches_that_are_more_robust_are_named_before_one_is_sure(
    good_in_middle: tuple[int, ...],
) -> None:
    """4 of 4, some, and few or none: chance makes it in more than 1 of 20 grids."""
    last = range(len(good_in_middle) - 2)
    good = {64: range(4), 256: good_in_middle, 1024: last}
    found = conclude(grid(lambda seed, size: seed in good[size], seeds=4))
    assert (found.cause, found.good_batch, found.sure) == ("both", 64, False)
    assert found.good_seeds == tuple(last)


def test_all_or_nothing_depends_on_neither() -> None:
    assert conclude(grid(lambda *_: True)).cause == "nothing"
    found = conclude(grid(lambda *_: False))
    assert (found.cause, found.sure) == ("neither", False)
    assert found.text.startswith("all 24 runs fail")


def test_from_runs_that_were_not_judged_nothing_follows() -> None:
    some = [Outcome(seed, 64, False, judged=seed == 0) for seed in range(4)]
    found = conclude(some + [Outcome(seed, 256, True) for seed in range(4)])
    assert (found.cause, found.sure, found.good_batch) == ("unclear", False, None)
    assert found.text == "3 of 8 runs were not judged"
    small, large = found.rates
    assert (small.worked, small.unjudged, large.unjudged, found.unjudged) == (0, 3, 0, 3)
    assert (small.low, small.high) == pytest.approx((0, interval(3, 4)[1]))  # all three may work


def test_scattered_failures_are_unclear() -> None:
    found = conclude(grid(lambda seed, size: (seed + (64, 256, 1024).index(size)) % 3 != 0))
    assert (found.cause, found.sure) == ("unclear", False)


def test_a_small_grid_names_its_pattern_and_is_not_sure_of_it() -> None:
    found = conclude(grid(lambda _, size: size < 256, seeds=2, sizes=(64, 256)))
    assert (found.cause, found.sure) == ("batch size", False)
    assert found.p_value == pytest.approx(1 / 6)  # one of the 4-choose-2 ways to fail twice
    single = conclude(grid(lambda seed, _: seed == 1, sizes=(64,)))
    assert (single.cause, single.sure) == ("seed", False)


def test_one_in_twenty_is_sure_and_more_is_not() -> None:
    found = conclude(grid(lambda _, size: size < 256, seeds=3, sizes=(64, 256)))
    assert found.p_value == pytest.approx(1 / 20)  # one of the 6-choose-3 ways to fail thrice
    assert found.sure
    assert not dataclasses.replace(found, p_value=0.0501).sure
    few = [Outcome(seed, 256, seed < 4) for seed in range(6)]  # 1 in 20 as well, of 25 runs
    both = conclude([Outcome(seed, 64, True) for seed in range(19)] + few)
    assert both.p_value == pytest.approx(1 / 20)
    assert (both.cause, both.sure) == ("both", True)


def test_the_best_of_several_splits_is_paid_for() -> None:
    rates = conclude(grid(lambda _, size: size < 1024, seeds=4)).rates
    # Of 12 runs the 4 of one size fail: one of the 12-choose-4 ways, times two splits.
    assert batch_effect(rates) == (256, pytest.approx(2 / 495))


def test_what_is_unclear_is_never_sure() -> None:
    found = conclude(grid(lambda _, size: size != 256, seeds=10))
    assert found.cause == "unclear"
    assert found.p_value < 0.05
    assert not found.sure


def test_the_reason_says_how_often_a_run_may_fail_and_where_batches_part() -> None:
    # 8 of 8 work: at most 1 - 0.025^(1/8) fail.
    assert conclude(grid(lambda *_: True, sizes=(64,))).text.endswith("a run fails in at most 37%")
    both = conclude(grid(lambda seed, size: size == 64 or seed < (5 if size == 256 else 1)))
    assert both.text.startswith("batches up to 256 are more robust")


def test_the_seed_effect_counts_shuffles() -> None:
    # Both sizes fail with the same one of three seeds: the second fails there by 1 in 3.
    found = seed_effect(grid(lambda seed, _: seed != 0, seeds=3, sizes=(1, 2)))
    assert found == pytest.approx(1 / 3, abs=0.02)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_any_grid_has_a_conclusion_that_agrees_with_its_rows(worked: list[bool]) -> None:
    outcomes = grid(lambda seed, size: worked[3 * seed + (64, 256, 1024).index(size)], seeds=4)
    found = conclude(outcomes)
    assert 0 < found.p_value <= 1
    assert sum(rate.worked for rate in found.rates) == sum(worked)
    assert all(rate.low <= rate.worked / rate.runs <= rate.high for rate in found.rates)
    for seed in found.good_seeds:
        assert all(worked[3 * seed : 3 * seed + 3])
    assert (found.cause == "nothing") == all(worked)


def test_a_learning_rate_grows_with_the_root_of_the_batch() -> None:
    assert rate_factor(1024, 256) == 2
