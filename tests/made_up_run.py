"""A run folder as training leaves it, made up in numpy in a second: for tests of what reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.config import to_dict
from wgan_jax.record import environment, samples
from wgan_jax.record.writers import JsonLinesWriter
from wgan_jax.settings import Settings

QUALITY_EVERY = 100


def columns(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns [n] of the round keys that look like a WGAN's: W-dist rises and settles."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / n
    distance = 1.2 * (1 - np.exp(-t * 25)) * (1 - 0.35 * t) * (1 + 0.06 * rng.standard_normal(n))
    offset = 0.4 * np.sin(6 * t)
    real, fake = -(offset + distance / 2), offset - distance / 2
    d = (real + fake) / 2
    g = -fake - 4 * t + 0.05 * rng.standard_normal(n)
    return {
        "d_loss": d,
        "d_loss_real": real,
        "d_loss_fake": fake,
        "g_loss": g,
        "wasserstein_distance": -(real + fake),
        "critic_weight_mean": 0.0005 * np.sin(5 * t),
        "critic_weight_std": 0.0094 - 0.002 * t,
        "generator_weight_mean": 0.002 * t,
        "generator_weight_std": 0.02 + 0.06 * t,
        "dg_ratio": np.abs(d) / np.abs(g),
        "clip_ratio": 0.1 + 0.5 * np.exp(-t * 12),
        "loss_variance": 1e-4 * np.exp(-t * 4),
        "critic_grad_norm": 2 * np.exp(rng.standard_normal(n) / 5),
        "generator_grad_norm": 0.2 * np.exp(rng.standard_normal(n) / 4),
        "epoch_time": 0.05 + 0.004 * rng.standard_normal(n) ** 2,
        "images_per_second": np.full(n, 12800.0),
    }


def quality(n: int, every: int = QUALITY_EVERY, seed: int = 0) -> dict[int, dict[str, object]]:
    """Quality measurements at every `every`-th epoch of `n`, improving."""
    rng = np.random.default_rng(seed)
    found: dict[int, dict[str, object]] = {}
    for epoch in range(every - 1, n, every):
        t = epoch / n
        found[epoch] = {
            "fid_score": 60 + 300 * float(np.exp(-4 * t)) + 5 * float(rng.standard_normal()),
            "inception_score_mean": 1.5 + 2.5 * t,
            "inception_score_std": 0.1,
            "pixel_variance": 0.1 + 0.2 * min(1, 4 * t),
            "generated_image_mean": -0.1,
            "generated_image_std": 0.5,
            "kid_mean": 0.05,
            "encoder": "inception",
            "protocol": {
                "encoder": "inception",
                "resize": "tf1",
                "split": "train",
                "n_fake": 10000,
            },
            "class_shares": {"cat": 0.25, "dog": 0.75},
        }
    return found


def make(folder: Path, n: int, *, grids: int = 6, measure: bool = True, **drop: Any) -> Path:
    """A finished run of `n` epochs in `folder`; `drop` names columns to leave out."""
    rng = np.random.default_rng(0)
    writer = JsonLinesWriter(folder / "metrics.jsonl")
    kept = {key: values for key, values in columns(n).items() if key not in drop}
    extras = quality(n, max(1, min(QUALITY_EVERY, n // 4))) if measure else {}
    writer.write_chunk(np.arange(n), {**kept, "verdict": ["healthy"] * n}, extras)
    config = to_dict(Settings(epochs=n))
    (folder / "config.json").write_text(json.dumps(config))
    environment.save(folder, seed=42)
    events = [{"time": "2026-01-07T10:00:00Z", "epoch": 0, "event": "started"}]
    events += [{"time": "2026-01-07T11:00:00Z", "epoch": n, "event": "finished"}]
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    for i in range(1, grids + 1):
        images = rng.integers(0, 256, (16, 8, 8, 1), np.uint8)
        samples.save_grid(images, samples.grid_path(folder / "samples", n * i // grids), 4)
    if grids:
        images = rng.integers(0, 256, (16, 8, 8, 1), np.uint8)
        samples.save_grid(images, folder / "samples" / samples.REALS, 4)
    return folder
