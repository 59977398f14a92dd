"""GANs of few digits: when the critic overfits, and what samples are worth by digits it never saw.

    python -m tests.failures.few_images [--seeds 1] [--runs FOLDER] [--out FILE.json]

597 digits are in no run: FID against them is the measure. Each run is given so many digits to train
on and up to 300 that are held out, and measures itself against those that it trains on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.failures.planted import configured
from wgan_jax import evaluate, load, train
from wgan_jax.data import digits
from wgan_jax.data.dataset import from_array
from wgan_jax.limits import AUGMENTATIONS

EPOCHS, LOOKS, SAMPLES = 6000, 20, 2000
UNSEEN, MOST_HELD_OUT = 597, 300
_ADAM = {"name": "adam", "b1": 0.0, "b2": 0.9}
_DEMO: dict[str, Any] = {
    "epochs": EPOCHS,
    "n_critic": 1,
    "clip": 0.1,
    "ema": 0.999,
    "critic.filters": (32, 64),
    "generator.filters": (64, 32),
    "generator.base_filters": 64,
    "quality.encoder": "digits",
    "quality.n": SAMPLES,
    "quality_every": EPOCHS // LOOKS,
    "checkpoint_every": EPOCHS // LOOKS,
    "keep_checkpoints": LOOKS,
}
RATES = {"wgan": 1e-3, "hinge": 5e-4, "nsgan": 5e-4}
RUNS = [(objective, images, "") for objective in RATES for images in (100, 300, 900)]
RUNS += [("nsgan", 100, kind) for kind in AUGMENTATIONS]


@dataclass(frozen=True)
class Found:
    """One run.

    Attributes:
      objective, images, augmentation, seed: which.
      verdict: what the judge says at the end, in a line.
      overfits: epoch from which it says that the critic overfits; None if it does not.
      epochs: after which it was measured [looks].
      overfit: `critic_overfit` then; None where it could not be said.
      own: FID[digits] against the digits trained on.
      unseen: against those in no run.
      floor: of the digits trained on themselves, against those in no run.
    """

    objective: str
    images: int
    augmentation: str
    seed: int
    verdict: str
    overfits: int | None
    epochs: tuple[int, ...]
    overfit: tuple[float | None, ...]
    own: tuple[float, ...]
    unseen: tuple[float, ...]
    floor: float


def play(objective: str, images: int, augmentation: str, seed: int, folder: Path) -> Found:
    """Train a run, or take the one that lies in `folder`, and measure every checkpoint."""
    every = digits.read()[np.random.default_rng(0).permutation(1797)]
    unseen, held_out = every[-UNSEEN:], min(images, MOST_HELD_OUT)
    changes: dict[str, Any] = _DEMO | {
        "objective": objective,
        "seed": seed,
        "augmentation": augmentation,
        "data.held_out": held_out,
        "batch_size": 64,
    }
    for player in ("critic_optimizer", "generator_optimizer"):
        one = _ADAM | {"learning_rate": RATES[objective]}
        changes |= {f"{player}.{key}": value for key, value in one.items()}
    given = every[: images + held_out]
    run = train(configured(changes), folder, images=given, quiet=True)
    trained_on = from_array(given, 8, run.settings.data).images
    epochs = run.history.measured("fid_score")[0]
    overfit = run.history.get("critic_overfit")[epochs]
    findings = (f for f in run.verdict.findings if f.cause == "overfitting")
    return Found(
        objective,
        images,
        augmentation,
        seed,
        run.verdict.line(),
        min((finding.onset_epoch for finding in findings), default=None),
        tuple((epochs + 1).tolist()),
        tuple(None if np.isnan(value) else round(value, 3) for value in overfit.tolist()),
        tuple(np.round(run.history["fid_score"][epochs], 3).tolist()),
        tuple(
            _fid(load(folder, checkpoint=epoch).sample(SAMPLES), unseen)
            for epoch in (epochs + 1).tolist()
        ),
        _fid(trained_on, unseen),
    )


def _fid(images: np.ndarray, others: np.ndarray) -> float:
    return round(evaluate(images, others, encoder="digits").values["fid_score"], 3)


def line(found: Found) -> str:
    """One row of the table."""
    onset = then = "-"
    if found.overfits is not None:
        onset = f"{found.overfits + 1:,}"
        then = f"{found.unseen[found.epochs.index(found.overfits + 1)]:.1f}"
    last = found.overfit[-1]
    return (
        f"| {found.objective} | {found.images} | {found.augmentation or '-'} | "
        f"{'-' if last is None else format(last, '.2f')} | {onset} | {then} | "
        f"{min(found.unseen):.1f} | {found.unseen[-1]:.1f} | {found.floor:.1f} | "
        f"{found.own[-1]:.1f} | "
        f"{found.verdict.partition(' (')[0]} |"
    )


HEADER = (
    "| objective | digits | augmentation | overfit at the end | named from epoch | FID then | "
    "its best | at the end | of its own digits | by its own digits | verdict |"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Play all and print the table; all FIDs but the last are against digits in no run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, help="keep the runs here, and take those that are")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    options = parser.parse_args(arguments)
    print(HEADER, "|---" * HEADER.count(" | ") + "|---|", sep="\n", flush=True)
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for objective, images, augmentation in RUNS:
            for seed in range(1, options.seeds + 1):
                name = f"{objective}_{images}_{augmentation.replace(',', '_')}_{seed}"
                folder = (options.runs or Path(temporary)) / name
                results.append(play(objective, images, augmentation, seed, folder))
                print(line(results[-1]), flush=True)
    if options.out:
        rows = [dataclasses.asdict(found) for found in results]
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
