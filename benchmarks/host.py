"""What the host adds: wall time of a run's loop over that of its rounds alone, chunk by chunk."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.rounds import EXPERIMENTS
from wgan_jax import experiment, loop, training
from wgan_jax.data.digits import read_labelled
from wgan_jax.loop import Session
from wgan_jax.settings import Settings

PARTS = 10  # of a run, whose ratios show how far figures of ten seconds spread

# name -> (experiment, overrides): over a minute of rounds, with samples and checkpoints.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "digits_wgan": ("digits_wgan", {"epochs": 8_000}),
    "cifar_wgan 64": (
        "cifar_wgan",
        {"epochs": 160, "batch_size": 64, "sample_every": 50, "checkpoint_every": 50},
    ),
}


class Clocked(Session):
    """A run that plays every chunk twice: first alone, while the host does nothing, then its own.

    What else the machine does comes in bursts, which so fall on both. What the run does behind a
    chunk is waited for and counts as the run's, although it would overlap with the next chunk. Left
    out is what comes once a run: compiling and W&B's start before the second chunk, the end of the
    last and the report.

    Attributes:
      alone: seconds of each chunk by itself, its metrics brought to the host.
      within: seconds from each chunk's beginning to the next one's, within the run.
      due: how many of samples and checkpoint were due at its end.
    """

    last: Clocked
    began: float

    def _open(self) -> None:
        super()._open()
        Clocked.last = self
        self.alone, self.within, self.due = list[float](), list[float](), list[int]()
        self.inner, self.program = self.program, self._play

    def _play(self, state: Any, images: Any, key: Any, rounds: Any) -> Any:
        behind: Any = self.record._writer  # each of its writers has a thread
        for writer in behind.writers:
            writer._hand_over("flush").wait()
        self.checkpoints.wait()
        if self.alone:
            self.within.append(time.perf_counter() - self.began)
            every = (self.settings.sample_every, self.settings.checkpoint_every)
            self.due.append(sum(self.epoch % epochs == 0 for epochs in every))
        twin = jax.block_until_ready(jax.tree.map(jnp.copy, state))  # the program takes its state
        clock = time.perf_counter()
        _, chunk = self.inner(twin, images, key, rounds)
        jax.device_get(chunk)
        self.began = time.perf_counter()
        self.alone.append(self.began - clock)
        return self.inner(state, images, key, rounds)


def measure(torch: str) -> dict[str, Any]:
    """Ratios with JSON lines, console, health, samples and checkpoints, without and with W&B."""
    del torch
    found = {}
    for name, (of, overrides) in RUNS.items():
        settings = dataclasses.replace(
            experiment.read(EXPERIMENTS / f"{of}.py"), quality_every=0, **overrides
        )
        for mode in ("disabled", "offline"):
            wandb = dataclasses.replace(settings.wandb, mode=mode)
            found[f"{name}, W&B {mode}"] = compared(dataclasses.replace(settings, wandb=wandb))
    return found


def compared(settings: Settings) -> dict[str, Any]:
    """The run's time over that of its chunks alone: of the whole run, and of parts of it."""
    # Twice the length: the loop takes both turns of a chunk for one.
    with mock.patch.object(loop, "CHUNK_SECONDS", 2 * loop.CHUNK_SECONDS):
        run = played(settings, pictures(settings))
    # The first chunk is one round, to learn how long rounds are; the last has none after it.
    pairs = np.array([run.within[1:], run.alone[1:-1]])
    parts = [within / alone for within, alone in _sums(pairs)]
    within, alone = pairs.sum(axis=1).tolist()
    usual = _usual_sum(pairs[0] - pairs[1], np.array(run.due[1:]))
    return {
        "epochs": settings.epochs,
        "chunks": pairs.shape[1],
        "ratio": {"whole": within / alone, "least": min(parts), "greatest": max(parts)},
        "without_bursts": 1 + usual / alone,
        "within": within,
        "alone": alone,
    }


def _usual_sum(values: NDArray[np.float64], kinds: NDArray[np.int64]) -> float:
    """Their sum, each counted as the median of its kind: what is rare but due is not lost."""
    medians = {kind: np.median(values[kinds == kind]) for kind in np.unique(kinds)}
    return float(sum(medians[kind] for kind in kinds))


def _sums(pairs: NDArray[np.float64]) -> list[list[float]]:
    """Of each part of the run, seconds within and alone."""
    parts = np.array_split(pairs, min(PARTS, pairs.shape[1]), axis=1)
    return [part.sum(axis=1).tolist() for part in parts]


def played(settings: Settings, images: NDArray[np.uint8]) -> Clocked:
    """A whole run, in a folder that is gone afterwards."""
    with (
        mock.patch.object(training, "Session", Clocked),
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        training.train(settings, Path(folder, "run"), images)
    return Clocked.last


def pictures(settings: Settings) -> NDArray[np.uint8]:
    """The digits, or random images of the right size."""
    if settings.data.name == "digits":
        return read_labelled()[0]
    shape = (2 * settings.batch_size, settings.image_size, settings.image_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
