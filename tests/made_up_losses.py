"""Losses as GANs leave them, made up by formula and seed: healthy ones, and each way to fail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wgan_jax.history import History

Floats = NDArray[np.float64]


def history(**columns: Floats) -> History:
    """Columns over epochs 0, 1, ..."""
    made = History()
    made.extend(np.arange(len(next(iter(columns.values())))), columns)
    return made


def noise(rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=rows)


def healthy_hinge(rows: int = 1000, seed: int = 0) -> dict[str, Floats]:
    """A critic that slowly gets better, with noise that does not change: d_loss and g_loss."""
    t = np.linspace(0, 1, rows)
    return {
        "d_loss": 0.6 + 0.8 * np.exp(-4 * t) + 0.08 * noise(rows, seed),
        "g_loss": 0.4 + 0.5 * t + 0.2 * noise(rows, seed + 1),
    }


def healthy_wgan(rows: int = 1000, seed: int = 0) -> dict[str, Floats]:
    """A score gap that shrinks as the generator learns; the scores' zero point drifts."""
    t = np.linspace(0, 1, rows)
    gap = 1.0 + 2.0 * np.exp(-3 * t) + 0.1 * noise(rows, seed)
    offset = 3 * t
    fake = offset + 0.1 * noise(rows, seed + 1)
    return {"d_loss": -0.5 * gap, "g_loss": -fake, "wasserstein_distance": gap}


def sparse(rows: int, every: int, values: Floats) -> Floats:
    """A column [rows] that has `values` at every `every`-th row and is not measured between."""
    column = np.full(rows, np.nan)
    column[every - 1 :: every] = values
    return column
