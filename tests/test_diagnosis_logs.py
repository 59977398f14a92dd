"""The diagnosis of real, labelled runs, where their logs are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import diagnosis as benchmark
from benchmarks.labelled_runs import Run, load

LOGS = Path(__file__).parents[2] / "shared" / "gan_run_logs"

pytestmark = pytest.mark.skipif(not LOGS.exists(), reason="the labelled logs are not at hand")


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return load(LOGS)


def test_at_the_end_every_lost_run_is_failing_and_hardly_a_healthy_one(
    runs: list[Run],
) -> None:
    figures = benchmark.at_the_end(runs, bare=False)
    assert figures["found"] == figures["lost"]
    assert figures["false_alarms"] <= 1


def test_collapses_are_seen_in_time_and_healthy_runs_left_alone(runs: list[Run]) -> None:
    figures = benchmark.online(runs, bare=False)
    assert figures["in_time"] >= figures["collapsed"] - 1
    assert figures["false_alarms"] <= 1


@pytest.mark.parametrize("guess", [False, True])
def test_losses_alone_find_most(runs: list[Run], guess: bool) -> None:
    figures = benchmark.at_the_end(runs, bare=True, guess=guess)
    assert figures["found"] >= figures["lost"] - 2
    assert figures["false_alarms"] <= 1


def test_losses_alone_find_most_with_thresholds_from_the_other_runs(
    runs: list[Run],
) -> None:
    figures = benchmark.leave_one_out(runs, benchmark.hits(runs))
    assert figures["found"] >= figures["lost"] - 2
    assert figures["false_alarms"] <= 1
