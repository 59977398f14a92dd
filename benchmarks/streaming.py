"""How fast images stream from disk, and how long training waits for them.

    python -m benchmarks.streaming speed --out benchmarks/results/streaming.json
    python -m benchmarks.streaming training --out benchmarks/results/streaming.json
    python -m benchmarks.streaming training --narrow 8 --rounds 40 --out ...

`speed`: images a second from a TFDS dataset of 256x256 JPEG files, made up and so in the system's
cache, decoded and resized to 64x64, by number of decoding processes.
`training`: the DCGAN of `experiments/lsun_dcgan64.py` on those images, in rounds of 5 critic
updates; the share of time in which the device has nothing to do for want of images, and the time
of a round streamed and resident, one after the other. With `--narrow 8` all layers have an eighth
of their channels: a device that is faster than this machine decodes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.fabricated import lsun_prepared

FILES = [1000] * 4  # pictures in each file
SIDE, SIZE, BATCH = 256, 64, 64


def opened(root: Path, stream: bool, workers: int) -> Any:
    """The made-up bedrooms as a dataset."""
    from wgan_jax.data.dataset import load
    from wgan_jax.settings import DataSettings

    where = DataSettings(
        name="tfds:lsun/bedroom", cache_dir=str(root), stream=stream, workers=workers
    )
    return load(where, SIZE)


def speed(root: Path, workers: int, seconds: float) -> dict[str, Any]:
    """Images a second, once the stream is at work and what it had decoded ahead is used."""
    from wgan_jax.data.stream import BatchStream

    dataset = opened(root, True, workers)
    stream = BatchStream(dataset, np.zeros(2, np.uint32), BATCH, slice(0, BATCH))
    clock = time.perf_counter()
    stream.start(0, 0)
    stream.take(1)
    first = time.perf_counter() - clock
    ahead = 100  # batches, more than are decoded ahead
    stream.take(ahead)
    times: list[float] = []
    count = 25
    while sum(times) < seconds:
        clock = time.perf_counter()
        stream.take(count)
        times.append(time.perf_counter() - clock)
    stream.close()
    rates = [count * BATCH / taken for taken in times]
    return {
        "workers": workers,
        "images_per_second": statistics.median(rates),
        "least": min(rates),
        "greatest": max(rates),
        "seconds_to_the_first_batch": first,
    }


def narrowed(settings: Any, divisor: int) -> Any:
    """The settings with every layer's channels divided."""
    critic, generator = settings.critic, settings.generator
    return dataclasses.replace(
        settings,
        critic=dataclasses.replace(critic, filters=tuple(n // divisor for n in critic.filters)),
        generator=dataclasses.replace(
            generator,
            base_filters=generator.base_filters // divisor,
            filters=tuple(n // divisor for n in generator.filters),
        ),
    )


def training(root: Path, workers: int, rounds: int, narrow: int) -> dict[str, Any]:
    """Rounds of the DCGAN: resident, then streamed for longer than what is decoded ahead lasts."""
    import jax

    from wgan_jax import experiment
    from wgan_jax.backend import use_compilation_cache
    from wgan_jax.feeding import feed
    from wgan_jax.gan.rounds import chunk_program
    from wgan_jax.gan.state import new_game, root_key
    from wgan_jax.settings import NCriticSchedule

    use_compilation_cache()
    settings = experiment.read(Path("experiments/lsun_dcgan64.py"))
    settings = dataclasses.replace(settings, n_critic_schedule=NCriticSchedule())
    settings = narrowed(settings, narrow)
    game, key = new_game(settings, 3), root_key(settings.seed)
    times: dict[bool, list[float]] = {}
    for stream in (False, True):
        fed = feed(game, opened(root, stream, workers), key)
        state = jax.jit(game.new_state)(key)
        fed.start(state)
        program, times[stream] = chunk_program(game), []
        for epoch in range(1 + (rounds if stream else max(1, rounds // 4))):
            clock = time.perf_counter()
            images, _ = fed.images(epoch)
            state, chunk = program(state, images, key, np.int32(1))
            jax.block_until_ready(chunk)
            times[stream].append(time.perf_counter() - clock)
            if not epoch:  # it compiled
                waited_at_first = fed.waited
                times[stream].clear()
        waited = fed.waited - waited_at_first
        fed.close()
    return {
        "channels_divided_by": narrow,
        "batch_size": settings.batch_size,
        "workers": workers,
        "rounds": rounds,
        "share_of_time_waiting": waited / sum(times[True]),
        "seconds_per_round_streamed": statistics.median(times[True]),
        "seconds_per_round_resident": statistics.median(times[False]),
        "images_per_second": settings.n_critic * BATCH / statistics.median(times[True]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", choices=("speed", "training"))
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--seconds", type=float, default=8.0, help="speed: for each number")
    parser.add_argument("--rounds", type=int, default=8, help="training: rounds of each kind")
    parser.add_argument("--narrow", type=int, default=1, help="training: divides all channels")
    parser.add_argument("--out", type=Path, help="write the result as JSON too, beside the other's")
    options = parser.parse_args()
    numbers = [int(number) for number in options.workers.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lsun_prepared(root, FILES, SIDE, different=500)
        if options.part == "speed":
            rows = [speed(root, number, options.seconds) for number in numbers]
        else:
            rows = [training(root, numbers[-1], options.rounds, options.narrow)]
    for row in rows:
        print(json.dumps(row, indent=2), flush=True)
    if options.out:
        found = json.loads(options.out.read_text()) if options.out.exists() else {}
        if options.part == "training":  # one network at a time
            others = found.get("training", [])
            rows += [row for row in others if row["channels_divided_by"] != options.narrow]
        found |= {
            "date": time.strftime("%Y-%m-%d"),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "images": f"JPEG {SIDE}x{SIDE} in array records -> {SIZE}x{SIZE}, batches of {BATCH}",
            options.part: rows,
        }
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
