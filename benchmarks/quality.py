"""How fast quality is measured: Inception features, and the matrix part of FID.

    python benchmarks/quality.py [--dtypes float32,bfloat16] [--out benchmarks/results/quality.json]

The weights are random (their values do not change the time), so nothing is downloaded. Images are
32x32, as CIFAR-10's. Prints one JSON object and writes it to --out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
import numpy as np

from wgan_jax.backend import compiler_options
from wgan_jax.quality import distances, inception
from wgan_jax.quality.encoders import Encoder, Encoding
from wgan_jax.quality.statistics import Protocol

DIM = 2048


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    args.add_argument("--images", type=int, default=64, help="images timed")
    args.add_argument("--batch-size", type=int, default=32)
    args.add_argument("--repeats", type=int, default=5, help="of which the median is told")
    args.add_argument("--dtypes", default="float32", help="comma-separated: float32,bfloat16")
    args.add_argument("--out", type=Path)
    options = args.parse_args()
    found: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/quality.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "features": {
            dtype: features(dtype, options.images, options.batch_size, options.repeats)
            for dtype in options.dtypes.split(",")
        },
        "fid_matrix_part": matrix_part(options.repeats),
    }
    found["load_average_after"] = os.getloadavg()[0]
    text = json.dumps(found, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.local_device_count(),
        "cores": os.cpu_count(),
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "load_average_before": os.getloadavg()[0],
    }


def cpu_model() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


def features(dtype: str, n: int, batch_size: int, repeats: int) -> dict[str, Any]:
    """Images per second through InceptionV3, from uint8 in host memory to features there."""
    network = inception.InceptionV3(dtype)

    def apply(params: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        taps: Any = network.apply({"params": params}, inception.preprocess(images, "tf1"))
        return taps["2048"], taps["logits_unbiased"]

    random = np.random.default_rng(0)
    tensors = {
        name: random.uniform(0.5, 1.5, shape) if len(shape) == 1 else random.normal(0, 0.05, shape)
        for name, shape in inception.tensor_shapes().items()
    }
    protocol = Protocol("inception", "random", "", "tf1", dtype)
    encoder = Encoder(protocol, DIM, inception.CLASSES, inception.fold(tensors), apply)
    encoding = Encoding(encoder, batch_size)
    images = random.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8)
    batches = [images[start : start + batch_size] for start in range(0, n, batch_size)]
    clock = time.perf_counter()
    encoding(batches[0])
    first = time.perf_counter() - clock
    seconds = median_seconds(lambda: [encoding(batch) for batch in batches], repeats)
    return {
        "images_per_second": round(n / seconds, 2),
        "first_batch_s": round(first, 2),  # compilation included
        "batch_size": batch_size,
        "images": n,
        "compiler_options": compiler_options(),
    }


def matrix_part(repeats: int) -> dict[str, float]:
    """Seconds of one FID of 2,048 dimensions from moments, and of its parts."""
    random = np.random.default_rng(0)
    sides = [random.normal(size=(3 * DIM, DIM)) @ np.diag(np.geomspace(1, 1e-3, DIM)) for _ in "ab"]
    (mean_a, sigma_a), (mean_b, sigma_b) = [
        (side.mean(axis=0), np.cov(side, rowvar=False)) for side in sides
    ]
    root = distances.covariance_root(sigma_b)
    return {
        "reference_root_s": round(
            median_seconds(lambda: distances.covariance_root(sigma_b), repeats), 3
        ),
        "with_stored_root_s": round(
            median_seconds(
                lambda: distances.frechet_distance(mean_a, sigma_a, mean_b, sigma_b, root), repeats
            ),
            3,
        ),
        "from_moments_s": round(
            median_seconds(
                lambda: distances.frechet_distance(mean_a, sigma_a, mean_b, sigma_b), repeats
            ),
            3,
        ),
    }


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The middle of so many times."""
    times = []
    for _ in range(repeats):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return statistics.median(times)


if __name__ == "__main__":
    main()
