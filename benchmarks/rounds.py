"""Seconds per epoch of an experiment's rounds on random images: device work alone, no run.

    python benchmarks/rounds.py experiments/cifar_wgan.py --batch_sizes 64,512

Each figure is the median over chunks, after one that is not counted, with the least and greatest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import experiment
from wgan_jax.config import Settings
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.state import new_game, root_key


def measure(settings: Settings, channels: int, chunks: int, seconds: float) -> dict[str, object]:
    """Compile, play a chunk to warm up, then time chunks of about so many seconds."""
    game, key = new_game(settings, channels), root_key(settings.seed)
    shape = (2 * settings.batch_size, *game.image_shape)
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    state, program = jax.jit(game.new_state)(key), chunk_program(game)
    begun = time.perf_counter()
    state, _ = jax.block_until_ready(program(state, images, key, jnp.int32(1)))
    compiled = time.perf_counter()
    state, _ = jax.block_until_ready(program(state, images, key, jnp.int32(1)))
    rounds = max(1, round(seconds / (time.perf_counter() - compiled)))
    times = []
    for _ in range(chunks):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, images, key, jnp.int32(rounds)))
        times.append((time.perf_counter() - start) / rounds)
    return {
        "batch_size": settings.batch_size,
        "seconds_per_epoch": statistics.median(times),
        "least": min(times),
        "greatest": max(times),
        "chunks": chunks,
        "rounds_per_chunk": rounds,
        "seconds_to_compile_and_play_one": compiled - begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--batch_sizes", default="64")
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each chunk")
    parser.add_argument("--out", type=Path, help="write the result as JSON too")
    options = parser.parse_args()
    settings = experiment.read(options.experiment)
    found = {
        "experiment": options.experiment.stem,
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{jax.devices()[0].device_kind} ({len(jax.devices())})",
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "rows": [],
    }
    for size in map(int, options.batch_sizes.split(",")):
        row = measure(
            dataclasses.replace(settings, batch_size=size),
            options.channels,
            options.chunks,
            options.seconds,
        )
        found["rows"].append(row)
        print(
            f"batch {size}: {row['seconds_per_epoch']:.3f} s an epoch "
            f"({row['least']:.3f} to {row['greatest']:.3f})",
            flush=True,
        )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
