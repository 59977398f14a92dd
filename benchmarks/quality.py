"""How fast quality is measured: Inception features beside torch-fidelity's, and FID's matrices."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contest import Entrant, contest, summary
from wgan_jax.quality import distances, inception

DIM, BATCH = 2048, 32
PEERS = Path(__file__).resolve().parent / "peers"


def measure(torch: str) -> dict[str, Any]:
    """Features of 32x32 images in turns, and the matrix part; the weights are random."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        np.savez(weights, **random_weights())
        arguments = ("--weights", str(weights), "--batch_size", str(BATCH))
        entrants = [Entrant("ours", (sys.executable, str(PEERS / "jax_features.py"), *arguments))]
        if torch:
            peer = (torch, str(PEERS / "torch_features.py"), *arguments)
            entrants.append(Entrant("torch_fidelity", peer))
        rows = contest(entrants, passes=5, seconds=5.0)
    sums = [row["about"]["sum"] for row in rows.values()]
    if max(sums) - min(sums) > 1e-3 * abs(sums[0]):
        raise RuntimeError(f"not the same features: {sums}")
    return {"batch_size": BATCH, "features": rows, "matrix_part": matrix_part(repeats=5)}


def random_weights() -> dict[str, np.ndarray]:
    """Tensors of the graph under torch's names, scaled so that features stay finite."""
    random = np.random.default_rng(0)

    def tensor(shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return random.uniform(0.5, 1.5, shape)
        return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)

    tensors = {name: tensor(shape) for name, shape in inception.tensor_shapes().items()}
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def matrix_part(repeats: int) -> dict[str, Any]:
    """Seconds of one FID of 2,048 dimensions from moments, and of its parts."""
    random = np.random.default_rng(0)
    sides = [random.normal(size=(3 * DIM, DIM)) * np.geomspace(1, 1e-3, DIM) for _ in "ab"]
    (mean_a, sigma_a), (mean_b, sigma_b) = [
        (side.mean(axis=0), np.cov(side, rowvar=False)) for side in sides
    ]
    root = distances.covariance_root(sigma_b)
    work: dict[str, Callable[[], object]] = {
        "reference_root": lambda: distances.covariance_root(sigma_b),
        "with_stored_root": lambda: distances.frechet_distance(
            mean_a, sigma_a, mean_b, sigma_b, root
        ),
        "from_moments": lambda: distances.frechet_distance(mean_a, sigma_a, mean_b, sigma_b),
    }
    return {name: summary(timed(each, repeats)) for name, each in work.items()}


def timed(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of so many calls."""
    times = []
    for _ in range(repeats):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return times


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The middle of so many times."""
    return statistics.median(timed(work, repeats))
