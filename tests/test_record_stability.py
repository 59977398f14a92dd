"""Phases and indicators of the stability report."""

from __future__ import annotations

import numpy as np
import pytest

from tests.made_up_run import columns, quality
from wgan_jax.history import History
from wgan_jax.record import stability


def history(n: int = 1000, **replaced: np.ndarray) -> History:
    """The made-up run's history, some columns replaced."""
    made = History()
    made.extend(np.arange(n), {**columns(n), **replaced})
    return made


def result(name: str, of: History) -> stability.Indicator:
    (found,) = [i for i in stability.indicators(of) if i.name == name]
    return found


@pytest.mark.parametrize(
    ("n", "borders"),
    [
        (12_000, [(0, 239), (240, 2399), (2400, 5999), (6000, 9599), (9600, 11_999)]),
        (100, [(0, 1), (2, 19), (20, 49), (50, 79), (80, 99)]),
        (10, [(0, 1), (2, 4), (5, 7), (8, 9)]),  # too short for a warm-up
        (1, [(0, 0)]),
    ],
)
def test_phases_scale_with_the_length_and_cover_every_epoch(
    n: int, borders: list[tuple[int, int]]
) -> None:
    assert [(p.first, p.last) for p in stability.phases(history(n))] == borders


def test_a_phase_tells_its_ends_and_the_change_per_epoch() -> None:
    epochs = np.arange(1000.0)
    last = stability.phases(history(d_loss=epochs / 10, g_loss=-2 * epochs))[-1]
    # 800..999; a twentieth is 10 epochs: medians of 800..809 and 990..999
    assert (last.d_start, last.d_end) == pytest.approx((80.45, 99.45))
    assert (last.d_change, last.g_change) == pytest.approx((0.1, -2.0))


def test_a_run_that_learns_passes_all_that_was_measured() -> None:
    found = stability.indicators(history())
    assert [i.passed for i in found] == [True, True, None, True, True]
    assert stability.score(found) == (4, 4)
    assert stability.overall("healthy", history()) == "stable"


N = 1000
WAVE = np.sin(np.arange(N) / 20)
FAULTS = {
    "Monotonicity": {"d_loss": WAVE},
    "Balance of R and F": {"d_loss_real": np.full(N, 1e-4), "d_loss_fake": np.full(N, 5.0)},
    "Gradient signal": {"generator_grad_norm": np.where(np.arange(N) < 700, 1.0, 1e-5)},
    "Wasserstein distance": {"wasserstein_distance": np.full(N, -0.1)},
    "Mode collapse": {"pixel_variance": np.where(np.arange(N) < 500, 0.3, 0.05)},
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_indicator_fails_on_its_fault_alone(name: str) -> None:
    found = stability.indicators(history(**FAULTS[name]))
    assert [i.name for i in found if i.passed is False] == [name]


@pytest.mark.parametrize(("x", "passed"), [(0.9, False), (1.1, True)])
def test_thresholds_lie_where_the_rules_say(x: float, passed: bool) -> None:
    sides = history(d_loss_real=np.full(N, 1.0), d_loss_fake=np.full(N, 0.1 * x))
    assert result("Balance of R and F", sides).passed is passed
    rows = ({"epoch": e, "pixel_variance": v} for e, v in enumerate([0.5, 0.5, 0.5, 0.25 * x]))
    assert result("Mode collapse", History.from_rows(rows)).passed is passed


@pytest.mark.parametrize(("ups", "passed"), [(15, True), (14, False)])
def test_a_loss_that_goes_half_its_path_one_way_is_monotonous(ups: int, passed: bool) -> None:
    """Of 19 steps between 20 blocks 15 lead up: a net change of 11."""
    steps = np.r_[0, np.ones(8), -np.ones(19 - ups), np.ones(ups - 8)]
    walk = np.r_[np.zeros(N // 5), np.repeat(np.cumsum(steps), N // 25)]
    assert result("Monotonicity", history(d_loss=walk)).passed is passed


def test_a_w_dist_that_swings_is_not_settled() -> None:
    swinging = history(wasserstein_distance=2 + 1.5 * WAVE)
    assert result("Wasserstein distance", swinging).passed is False


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_infinite_loss_fails_where_a_gap_does_not(bad: float) -> None:
    blown_up = history(d_loss=np.where(np.arange(N) < 900, 1.0, bad))
    found = result("Monotonicity", blown_up)
    assert found.passed is bool(np.isnan(bad))  # NaN reads as a gap, an infinity was measured


def test_samples_that_still_grow_apart_are_no_collapse() -> None:
    def passed(*values: float) -> bool | None:
        rows = ({"epoch": e, "pixel_variance": v} for e, v in enumerate(values))
        return result("Mode collapse", History.from_rows(rows)).passed

    assert passed(0.049, 0.072, 0.084) is True
    assert passed(0.049, 0.084, 0.072) is False
    assert passed(0.049) is False


def test_samples_of_dark_images_are_measured_by_the_datas_own() -> None:
    for real, passed in ((0.09, True), (0.11, False)):
        row = {"epoch": 9, "pixel_variance": 0.05, "real_pixel_variance": real}
        assert result("Mode collapse", History.from_rows([row])).passed is passed


def test_pixel_variance_is_judged_where_it_was_measured() -> None:
    made = History.from_rows({"epoch": e, **row} for e, row in quality(1000).items())
    assert result("Mode collapse", made).passed is True
    assert result("Gradient signal", made).passed is None


def test_the_word_is_the_judges_unless_over_two_indicators_fail() -> None:
    two = FAULTS["Monotonicity"] | FAULTS["Gradient signal"]
    three = two | FAULTS["Wasserstein distance"]
    assert stability.overall("failing", history()) == "collapsed"
    assert stability.overall("warning", history()) == "unstable"
    assert stability.overall("healthy", history(**two)) == "stable"
    assert stability.overall("healthy", history(**three)) == "unstable"


@pytest.mark.parametrize(("objective", "passed"), [("wgan_gp", False), ("nsgan", None)])
def test_a_gap_of_scores_is_a_distance_for_wasserstein_losses_only(
    objective: str, passed: bool | None
) -> None:
    """At log loss the scores of a game in balance have no gap."""
    balanced = history(**FAULTS["Wasserstein distance"])
    found = {i.name: i.passed for i in stability.indicators(balanced, objective)}
    assert found["Wasserstein distance"] is passed
    three = FAULTS["Monotonicity"] | FAULTS["Gradient signal"] | FAULTS["Wasserstein distance"]
    word = "stable" if passed is None else "unstable"
    assert stability.overall("healthy", history(**three), objective) == word


def test_samples_that_are_alike_are_never_stable() -> None:
    alike = history(**FAULTS["Mode collapse"])
    assert stability.overall("healthy", alike) == "unstable"


def test_a_run_too_short_to_be_judged_is_only_called_what_was_found() -> None:
    for made in (history(20), history(20, pixel_variance=np.full(20, 1e-3))):
        assert stability.overall("not judged", made) == "not judged"
        assert stability.overall("warning", made) == "unstable"
        assert stability.overall("failing", made) == "collapsed"


def test_the_median_filter_removes_a_spike_and_keeps_an_edge() -> None:
    step = np.where(np.arange(1000) < 500, 0.0, 1.0)
    spiked = step.copy()
    spiked[[100, 101, 800]] = 50
    np.testing.assert_array_equal(stability.median_filter(spiked), step)


@pytest.mark.parametrize(("n", "window"), [(0, 1), (4, 1), (20, 3), (200, 39), (12_000, 101)])
def test_the_window_is_odd_and_at_most_a_fifth(n: int, window: int) -> None:
    assert stability.window_for(n) == window
    assert len(stability.median_filter(np.ones(n))) == n
