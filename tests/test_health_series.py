"""The bounded sample of a past, and its windows."""

from __future__ import annotations

import numpy as np
import pytest

from wgan_jax.health.series import CAPACITY, Track
from wgan_jax.health.windows import COUNT, FINE, cut, since


def tracked(values: np.ndarray, chunk: int) -> Track:
    track = Track()
    epochs = np.arange(len(values))
    for i in range(0, len(values), chunk):
        track.add(epochs[i : i + chunk], values[i : i + chunk])
    return track


def test_a_short_series_is_kept_whole() -> None:
    values = np.arange(CAPACITY - 1, dtype=float)
    np.testing.assert_array_equal(tracked(values, 100).values, values)


@pytest.mark.parametrize("chunk", [1, 7, 1000, 10**6])
def test_what_is_kept_does_not_depend_on_the_chunks(chunk: int) -> None:
    values = np.random.default_rng(0).normal(size=9001)
    one, other = tracked(values, 13), tracked(values, chunk)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.epochs, other.epochs)
    assert one.count == other.count == 9001


def test_a_long_series_is_thinned_evenly_and_its_newest_value_is_exact() -> None:
    values = np.linspace(5, 6, 300_001)
    track = tracked(values, 10_000)
    assert CAPACITY // 2 <= len(track.values) < CAPACITY
    assert len(set(np.diff(track.epochs))) == 1
    assert (track.last, track.last_epoch) == (6.0, 300_000)
    assert track.epochs[-1] > 300_000 - np.diff(track.epochs)[0]


def test_gaps_are_left_out_and_infinities_noted() -> None:
    track = tracked(np.array([1.0, np.nan, 3.0, np.inf, 4.0, -np.inf]), 2)
    np.testing.assert_array_equal(track.values, [1, 3, 4])
    np.testing.assert_array_equal(track.epochs, [0, 2, 4])
    assert track.nonfinite_epoch == 3


def test_windows_hold_the_quantiles_of_equal_parts() -> None:
    size = 101
    values = np.tile(np.arange(size, dtype=float), COUNT) + np.repeat(np.arange(COUNT), size)
    w = cut(np.arange(len(values)), values)
    assert w is not None
    np.testing.assert_allclose(w.middle, 50 + np.arange(COUNT))
    np.testing.assert_allclose(w.low, 5 + np.arange(COUNT))
    np.testing.assert_allclose(w.high, 95 + np.arange(COUNT))
    np.testing.assert_allclose(w.spread, 50)
    np.testing.assert_array_equal(w.start, size * np.arange(COUNT))


def test_the_oldest_values_are_left_out_where_windows_do_not_come_out_even() -> None:
    w = cut(np.arange(1003), np.arange(1003.0))
    assert w is not None
    assert w.start[0] == 3


def test_noise_ignores_the_drift_and_is_a_standard_deviation() -> None:
    values = np.random.default_rng(0).normal(scale=0.5, size=20_000) + np.linspace(0, 100, 20_000)
    w = cut(np.arange(20_000), values)
    assert w is not None
    np.testing.assert_allclose(w.noise, 0.5, rtol=0.15)


def test_too_few_values_have_no_windows_and_few_no_tails() -> None:
    assert cut(np.arange(99), np.arange(99.0)) is None
    few, enough = COUNT * FINE - 1, COUNT * FINE
    small, large = (
        cut(np.arange(few), np.arange(few * 1.0)),
        cut(np.arange(enough), np.arange(enough * 1.0)),
    )
    assert small is not None
    assert large is not None
    assert (small.fine, large.fine) == (False, True)


@pytest.mark.parametrize(
    ("holds", "at_least", "index"),
    [
        ([], 1, None),
        ([True, False], 1, None),
        ([False, True], 2, None),
        ([True, False, True, True], 2, 2),
        ([True, True], 1, 0),
    ],
)
def test_since(holds: list[bool], at_least: int, index: int | None) -> None:
    assert since(np.array(holds, bool), at_least) == index
