"""One seed of every plant; `python -m tests.failures` plays five."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.failures.planted import PLANTS, Plant, Result, play


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
