"""What the host adds: wall time of a run's loop over that of its rounds alone, in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from numpy.typing import NDArray

from benchmarks.contest import summary
from benchmarks.rounds import EXPERIMENTS
from wgan_jax import experiment, training
from wgan_jax.config import Settings
from wgan_jax.data.digits import read_labelled
from wgan_jax.starting import new_state
from wgan_jax.training import Session

PASSES = 9  # shorter ones and more of them: what else the machine does comes in bursts

# name -> (experiment, overrides): ten seconds of rounds, with samples and a checkpoint.
RUNS = {
    "digits_wgan": ("digits_wgan", {"epochs": 1_000, "checkpoint_every": 800}),
    "cifar_wgan 64": (
        "cifar_wgan",
        {"epochs": 18, "batch_size": 64, "sample_every": 15, "checkpoint_every": 15},
    ),
}


class Clocked(Session):
    """A run that notes its chunks, and when the first after the warm-up began and the last ended.

    The loop is timed without what comes once a run: compiling and W&B's start before it, the last
    checkpoint and the report after it.
    """

    last: Clocked

    def _open(self) -> None:
        super()._open()
        Clocked.last = self
        self.lengths: list[int] = []
        self.inner, self.program = self.program, self._play
        self.began = self.ended = 0.0

    def _play(self, state: Any, images: Any, key: Any, rounds: Any) -> Any:
        self.resident = images
        if self.began:
            self.lengths.append(int(rounds))
        else:  # the first chunk is one round, to learn how long rounds are
            played = jax.block_until_ready(self.inner(state, images, key, rounds))
            for writer in self.record._writer.writers:  # W&B begins on a thread of its own
                writer._hand_over("flush").wait()
            self.began = time.perf_counter()
            return played
        return self.inner(state, images, key, rounds)

    def _end(self, signum: int) -> None:
        del signum
        self.record.record()
        self.ended = time.perf_counter()

    def alone(self) -> float:
        """Seconds of the same chunks without the run."""
        state = new_state(self.game, self.key)
        state, _ = jax.block_until_ready(self.inner(state, self.resident, self.key, np.int32(1)))
        began = time.perf_counter()
        for rounds in self.lengths:
            state, chunk = self.inner(state, self.resident, self.key, np.int32(rounds))
            jax.device_get(chunk)
        return time.perf_counter() - began


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
    """Seconds of runs, of the same chunks alone before and after each, and their ratios."""
    images = pictures(settings)
    warm = played(settings, images)  # what a process does only once is not timed
    alone, runs = [warm.alone()], []
    for _ in range(PASSES):
        run = played(settings, images)
        runs.append(run.ended - run.began)
        alone.append(warm.alone())
    around = [(before + after) / 2 for before, after in pairwise(alone)]
    ratios = [run / beside for run, beside in zip(runs, around, strict=True)]
    return {"epochs": settings.epochs, "ratio": summary(ratios), "runs": runs, "alone": alone}


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
