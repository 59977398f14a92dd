"""Triage of real runs on the digits: a planted batch-size failure, a planted seed failure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.failures.planted import SOUND
from wgan_jax import grid, triage
from wgan_jax.settings import Settings

pytestmark = pytest.mark.usefixtures("no_dashboard")

EXPERIMENT = """
from wgan_jax import config as configs

def get_config():
    config = configs.base()
    config.update_from_flattened_dict({fields!r})
    return config
"""
SHORT = {"epochs": 120, "quality_every": 20, "quality.n": 256}


@pytest.fixture
def plan(tmp_path: Path) -> grid.Plan:
    config = tmp_path / "digits.py"
    config.write_text(EXPERIMENT.format(fields={**SOUND, **SHORT}))
    return grid.Plan(config, (), (0, 1, 2, 3), (16, 64), tmp_path / "grid")


@pytest.fixture
def own_cache(tmp_path: Path) -> Iterator[Path]:
    """A compilation cache of this test's own, empty at first."""
    shared = jax.config.values["jax_compilation_cache_dir"]
    for place in (str(tmp_path / "compiled"), shared):
        jax.config.update("jax_compilation_cache_dir", place)
        compilation_cache.reset_cache()
        if place != shared:
            yield Path(place)


def frozen_where(harmed: Callable[[Settings], bool]) -> triage.Trainer:
    """Real training, with a generator that cannot learn where a run is to be harmed."""

    def train(settings: Settings, workdir: Path) -> None:
        if harmed(settings):
            optimizer = dataclasses.replace(settings.generator_optimizer, learning_rate=1e-12)
            settings = dataclasses.replace(settings, generator_optimizer=optimizer)
        triage._train(settings, workdir)

    return train


@pytest.mark.slow
def test_a_planted_batch_size_failure_is_a_matter_of_batch_size(
    plan: grid.Plan, own_cache: Path
) -> None:
    said: list[str] = []
    found = triage.triage(plan, train=frozen_where(lambda s: s.batch_size > 16), say=said.append)
    assert (found.cause, found.good_batch, found.sure) == ("batch size", 16, True), said
    assert "smaller batch: 16" in said[-1]
    compiled = list(own_cache.glob("*play_chunk*-cache"))
    assert len(compiled) == len(plan.batch_sizes), "one compilation per batch size"


@pytest.mark.slow
def test_a_planted_seed_failure_is_a_matter_of_the_seed(plan: grid.Plan) -> None:
    said: list[str] = []
    found = triage.triage(plan, train=frozen_where(lambda s: s.seed in (0, 2)), say=said.append)
    assert (found.cause, found.good_seeds) == ("seed", (1, 3)), said
    assert "known-good seed: 1" in said[-1]
