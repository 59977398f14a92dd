"""The plants: a sound run on the digits, what was done to it, and what was then measured of it.

A run is labelled by its samples, not by what was intended: one that covers fewer than `COVERED` of
the ten classes, or has a FID[digits] above `POOR`, has failed. So a plant that does no harm is no
failure, and the judge must leave it alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan_jax.config import base, resolve
from wgan_jax.data.dataset import load
from wgan_jax.diagnosis import read_log
from wgan_jax.errors import RunFailed, UserError
from wgan_jax.evaluator import Evaluator
from wgan_jax.health.judge import judge
from wgan_jax.health.logs.runlog import RunLog
from wgan_jax.settings import Settings
from wgan_jax.starting import open_run
from wgan_jax.training import train

COVERED = 8  # classes with at least 1 % of the samples, of ten
POOR = 20.0  # FID[digits]: the sound run has about 5, samples of untrained networks about 200
SAMPLES = 1000

SOUND: dict[str, Any] = {
    "data.name": "digits",
    "image_size": 8,
    "epochs": 400,
    "batch_size": 64,
    "n_critic": 5,
    "clip": 0.05,
    "latent_dim": 32,
    "critic.filters": (16, 32),
    "critic.strides": (2, 2),
    "critic.kernel": 3,
    "generator.filters": (16,),
    "generator.base_filters": 32,
    "generator.kernel": 3,
    "critic_optimizer.learning_rate": 5e-3,
    "generator_optimizer.learning_rate": 5e-3,
    "quality.n": 500,
    "quality_every": 50,
    "sample_every": 0,
    "log_every": 0,
    "checkpoint_every": 0,
    "wandb.mode": "disabled",
}


@dataclass(frozen=True)
class Plant:
    """What is done to the sound run.

    Attributes:
      meaning: in words.
      changes: settings by their dotted names.
      causes: any of these is a right answer if the run has failed.
    """

    meaning: str
    changes: dict[str, Any]
    causes: tuple[str, ...] = ()


def _rates(rate: float) -> dict[str, Any]:
    return {f"{player}_optimizer.learning_rate": rate for player in ("critic", "generator")}


PLANTS: dict[str, Plant] = {
    "sound": Plant("nothing", {}),
    "learning_rate": Plant(
        "learning rates 100 times too high", _rates(0.5), ("learning rate too high", "divergence")
    ),
    "wide_start": Plant("a generator that starts with σ 1.5", {"generator.init_std": 1.5}),
    "batch_norm": Plant(
        "a critic with clipped batch norm", {"critic.normalization": "batch"}, ("dead critic",)
    ),
    "clip_small": Plant(
        "clip threshold far too small", {"clip": 1e-6}, ("dead critic", "clip threshold small")
    ),
    "clip_large": Plant(
        "clip threshold far too large", {"clip": 1e3}, ("divergence", "critic overpowered")
    ),
    "n_critic": Plant(
        "n_critic 1, a generator 1000 times as fast, without batch norm",
        {
            "n_critic": 1,
            "generator.normalization": "none",
            "generator_optimizer.learning_rate": 0.05,
            "critic_optimizer.learning_rate": 5e-5,
        },
        ("mode collapse", "dead critic", "learning rate too high"),
    ),
    "one_image": Plant(
        "a generator that emits one image",
        {"generator.init_std": 1e-8, "generator_optimizer.learning_rate": 1e-12},
        ("mode collapse",),
    ),
}


@dataclass(frozen=True)
class Result:
    """A planted run: what was measured of it, and what the judge said.

    Attributes:
      plant, seed: which run.
      classes: classes covered by `SAMPLES` samples, of ten.
      fid: FID[digits] of these samples.
      failed: the label, from the two.
      verdict, causes, onset_epoch: the judge's words.
    """

    plant: str
    seed: int
    classes: int
    fid: float
    failed: bool
    verdict: str
    causes: tuple[str, ...]
    onset_epoch: int | None

    @property
    def right(self) -> bool:
        """Whether a failed run is called failing for a right cause, and no other is."""
        if not self.failed:
            return self.verdict != "failing"
        return self.verdict == "failing" and bool(set(self.causes) & set(PLANTS[self.plant].causes))


def configured(changes: dict[str, Any]) -> Settings:
    """Settings of the sound run with changes, by their dotted names."""
    config = base()
    for name, value in {**SOUND, **changes}.items():
        *groups, field = name.split(".")
        place = config
        for group in groups:
            place = place[group]
        place[field] = value
    return resolve(config)


def play(plant: str, seed: int, workdir: Path) -> Result:
    """Train a planted run in a folder, measure its samples, and ask the judge."""
    classes, fid, log = played({**PLANTS[plant].changes, "seed": seed}, workdir)
    verdict = judge(log.history, log.setup)
    failed = classes < COVERED or not fid <= POOR
    return Result(
        plant,
        seed,
        classes,
        fid,
        failed,
        verdict.verdict,
        verdict.causes if verdict.verdict == "failing" else (),
        verdict.onset_epoch,
    )


def played(changes: dict[str, Any], workdir: Path) -> tuple[int, float, RunLog]:
    """Train the sound run with changes; (classes covered, FID[digits], what it has recorded)."""
    wanted = configured(changes)
    with contextlib.suppress(RunFailed):
        train(wanted, workdir, quiet=True)
    return *_measured(wanted, workdir), read_log(workdir)


def _measured(wanted: Settings, workdir: Path) -> tuple[int, float]:
    """(classes covered, FID[digits]) of samples drawn with latents that training never drew."""
    try:
        game, epochs, state = open_run(workdir, "latest")
    except UserError:  # it broke before anything could be saved
        return 0, float("nan")
    other = dataclasses.replace(game, settings=dataclasses.replace(wanted, seed=12345))
    dataset = load(wanted.data, wanted.image_size)
    quality = Evaluator(other, dataset, lambda _: None).measure(state, epochs, n=SAMPLES)
    covered = sum(share >= 0.01 for share in quality.class_shares.values())
    return covered, quality.values.get("fid_score", float("nan"))
