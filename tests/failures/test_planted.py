"""One seed of every plant; `python -m tests.failures` plays five."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.failures.games import Judged, games, label, line, summary
from tests.failures.planted import PLANTS, Plant, Result, configured, play

pytestmark = pytest.mark.usefixtures("no_dashboard")


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
def test_what_fails_is_called_failing_for_a_right_cause_and_nothing_else_is(
    plant: str, tmp_path: Path
) -> None:
    result = play(plant, 0, tmp_path / plant)
    assert result.right, result
    if plant in ("learning_rate", "clip_small", "n_critic", "one_image"):
        assert result.failed, f"the plant does no harm any more: {result}"
    if plant == "sound":
        assert not result.failed, f"the sound run is not sound: {result}"


@pytest.mark.parametrize(
    ("failed", "verdict", "causes", "right"),
    [
        (False, "healthy", (), True),
        (False, "failing", ("dead critic",), False),
        (True, "healthy", (), False),
        (True, "failing", ("dead critic",), True),
        (True, "failing", ("plateau",), False),
    ],
)
def test_a_right_answer_has_the_right_cause(
    failed: bool, verdict: str, causes: tuple[str, ...], right: bool
) -> None:
    assert isinstance(PLANTS["clip_small"], Plant)
    assert Result("clip_small", 0, 1, 1.0, failed, verdict, causes, 0).right is right


@pytest.mark.parametrize(
    ("classes", "fid", "fids", "called"),
    [
        (10, 8.0, [90, 60, 40, 20, 10, 9, 8], "worked"),
        (7, 8.0, [90, 60, 40, 20, 10, 9, 8], "between"),  # on its way
        (7, 40.0, [90, 50, 42, 41, 40, 40, 40], "failed"),
        (10, 90.0, [95, 93, 92, 91, 91, 90, 90], "failed"),
        (10, 61.0, [200, 190, 180, 100, 70, 65, 61], "between"),
        (10, 30.0, [95, 60, 40, 35, 31, 30, 30], "between"),
        (10, float("nan"), [], "failed"),
    ],
)
def test_a_game_is_labelled_by_its_samples(
    classes: int, fid: float, fids: list[float], called: str
) -> None:
    assert label(classes, fid, np.array(fids, float)) == called


def test_what_the_judge_gets_wrong_is_marked_and_counted() -> None:
    judged = [
        Judged("wgan-sound-0", 10, 5.0, "worked", "healthy", "failing", "healthy", ("gap_stands",)),
        Judged("hinge-slow-0", 1, 99.0, "failed", "failing", "warning", "healthy", ()),
        Judged("drawn-000", 9, 30.0, "between", "failing", "healthy", "healthy", ()),
    ]
    assert [line(game).count("*") for game in judged] == [1, 2, 0]
    assert summary(judged)[:2] == [
        "troubles  record    1 of 1 failed found, 0 of 1 sound accused",
        "troubles  losses    0 of 1 failed found, 1 of 1 sound accused",
    ]


def test_every_game_can_be_played_and_no_two_are_the_same() -> None:
    settings = [configured(changes) for _, changes in games(2, 20)]
    assert len({repr(wanted) for wanted in settings}) == len(settings) == 2 * 48 + 20
