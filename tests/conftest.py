"""What all tests share: a CPU, no network services, and a run that compiles in seconds."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Many tests, and the commands they start, compile the same small programs.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.abspath(".pytest_cache/xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ["WANDB_MODE"] = "disabled"

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wgan_jax.gan.state import Game
    from wgan_jax.notebook import Run

# The smallest run that has every part: digits, both networks, no services.
TINY: dict[str, Any] = {
    "image_size": 8,
    "epochs": 6,
    "batch_size": 8,
    "n_critic": 2,
    "latent_dim": 4,
    "clip": 0.05,
    "log_every": 2,
    "sample_every": 3,
    "quality_every": 0,
    "checkpoint_every": 3,
    "critic": {"filters": (4, 8), "strides": (2, 1), "kernel": 3},
    "generator": {"base_filters": 8, "filters": (8,), "kernel": 3, "norm_momentum": 0.9},
    "critic_optimizer": {"learning_rate": 1e-3},
    "generator_optimizer": {"learning_rate": 1e-3},
    "wandb": {"mode": "disabled"},
}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """A config of the smallest run that has every part."""
    return dict(TINY)


@pytest.fixture
def quick_compiling() -> Iterator[None]:
    """Programs that compile in half the time, for tests of what is computed, not of last bits."""
    import jax

    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache directory of the file's own, empty at first: for encoders, weights, statistics."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WGAN_JAX_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def _programs_go_with_their_file() -> Iterator[None]:
    """What a file's tests compiled is forgotten after it: kept to the end it is some gigabytes."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture
def no_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs draw no `dashboard.png`, a quarter of their time: for tests that do not look at it."""
    monkeypatch.setattr("wgan_jax.report.dashboard", lambda *_: None)


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch, _programs: dict[Any, Any]) -> None:
    """Runs of equal settings share their program; to trace it anew is a third of their time.

    Not for tests that patch what is traced, e.g. a step or a network: others would get that too.
    """
    from wgan_jax import loop
    from wgan_jax.gan.rounds import chunk_program

    def shared(game: Game) -> Any:
        return _programs.setdefault((game.settings, game.image_shape), chunk_program(game))

    monkeypatch.setattr(loop, "chunk_program", shared)


@pytest.fixture(scope="session")
def _programs() -> dict[Any, Any]:
    return {}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """That run, uninterrupted: six epochs. Nothing may be changed in its folder."""
    from wgan_jax import train

    return train(TINY, tmp_path_factory.mktemp("runs") / "whole", quiet=True)
