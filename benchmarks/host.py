"""What the host adds: wall time of a run's loop over that of its rounds alone, in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.contest import summary
from benchmarks.rounds import EXPERIMENTS
from wgan_jax import experiment
from wgan_jax.config import Settings
from wgan_jax.data.digits import read_labelled
from wgan_jax.starting import new_state
from wgan_jax.training import Session, train

PASSES = 1

# name -> (experiment, overrides): half a minute of rounds. What comes once a run (W&B's start, the
# first use of orbax) is in it, so that a longer run has a smaller ratio.
RUNS = {
    "digits_wgan": ("digits_wgan", {"epochs": 4_000}),
    "cifar_wgan 64": ("cifar_wgan", {"epochs": 40, "batch_size": 64, "sample_every": 20}),
}


class Clocked(Session):
    """A run that notes its chunks, and when the first after the warm-up began and the last ended.

    The loop is timed without what comes once a run: compiling before it, the report after it.
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
            logged = dataclasses.replace(settings, wandb=wandb)
            rows = [once(logged) for _ in range(PASSES)]
            found[f"{name}, W&B {mode}"] = {
                "epochs": settings.epochs,
                "ratio": summary([run / alone for run, alone in rows]),
                "seconds": rows,
            }
    return found


def once(settings: Settings) -> tuple[float, float]:
    """(seconds of a run's loop, seconds of its rounds alone)."""
    import wgan_jax.training as training

    images = None
    if settings.data.name != "digits":
        shape = (2 * settings.batch_size, settings.image_size, settings.image_size, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    else:
        images, _ = read_labelled()
    usual, training.Session = training.Session, Clocked
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            train(settings, Path(folder, "run"), images)
    finally:
        training.Session = usual
    session = Clocked.last
    return session.ended - session.began, session.alone()
