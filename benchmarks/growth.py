"""Time and memory against batch, resolution, dataset and epochs: does anything outgrow its work?"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.rounds import EXPERIMENTS
from tests.made_up_run import columns
from wgan_jax import experiment
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.state import new_game, root_key
from wgan_jax.health.judge import Judge, Setup
from wgan_jax.history import History
from wgan_jax.record.writers import JsonLinesWriter
from wgan_jax.settings import Settings

BATCHES = (16, 64, 256, 1024)
RESOLUTIONS = (16, 32, 64, 128)
DATASETS = (10**3, 10**4, 10**5, 10**6)
EPOCHS = (10**3, 10**4, 10**5, 10**6)
CHUNK = 1000
ROOT = Path(__file__).resolve().parent.parent
# The greatest memory of this program; what the system says of a child may be its parent's.
REPORT = """
import re, sys
from pathlib import Path
from wgan_jax.report import report
report(Path(sys.argv[1]))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def measure(torch: str) -> dict[str, Any]:
    """Five tables, each from small to large."""
    del torch
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is measured
    guide = experiment.read(EXPERIMENTS / "cifar_wgan.py")
    digits = experiment.read(EXPERIMENTS / "digits_wgan.py")
    found: dict[str, Any] = {}
    found["batch"] = [
        {"batch": n} | played(dataclasses.replace(guide, batch_size=n), 3, 2 * n) for n in BATCHES
    ]
    found["resolution"] = [
        {"resolution": n} | played(dataclasses.replace(guide, batch_size=16, image_size=n), 3, 32)
        for n in RESOLUTIONS
    ]
    found["dataset"] = [{"images": n} | played(digits, 1, n) for n in DATASETS]
    found["epochs"] = logged(EPOCHS)
    found["reports"] = [reported(n) for n in EPOCHS]
    return found


def played(settings: Settings, channels: int, images: int) -> dict[str, float]:
    """Seconds of a round (the least of three chunks), what its program needs beside the images,
    and seconds to trace and compile it."""
    jax.clear_caches()
    game, key = new_game(settings, channels), root_key(0)
    shape = (images, *game.image_shape)
    data = jnp.asarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    state = jax.jit(game.new_state)(key)
    clock = time.perf_counter()
    program = chunk_program(game).lower(state, data, key, jnp.int32(1)).compile()
    compiling = time.perf_counter() - clock
    memory: Any = program.memory_analysis()
    state, _ = jax.block_until_ready(program(state, data, key, jnp.int32(1)))
    times: list[float] = []
    rounds = 1
    for _ in range(3):
        clock = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, data, key, jnp.int32(rounds)))
        times.append((time.perf_counter() - clock) / rounds)
        rounds = max(1, min(200, int(1.0 / times[0])))
    return {
        "seconds": min(times),
        "compiling": compiling,
        "scratch_mb": memory.temp_size_in_bytes / 1e6,
        "images_mb": data.nbytes / 1e6,
    }


def logged(counts: tuple[int, ...]) -> list[dict[str, float]]:
    """Host time for the last thousand epochs of so many: history, judge and JSON lines."""
    rows = []
    made = columns(CHUNK)
    with tempfile.TemporaryDirectory() as folder:
        history, judge = (
            History(),
            Judge(Setup("wgan", encoder="none", clip=0.01, total_epochs=counts[-1])),
        )
        writer = JsonLinesWriter(Path(folder, "metrics.jsonl"))
        spent = {"history": 0.0, "judge": 0.0, "lines": 0.0}
        for first in range(0, counts[-1], CHUNK):
            epochs = np.arange(first, first + CHUNK)
            clocks = [time.perf_counter()]
            history.extend(epochs, made)
            clocks.append(time.perf_counter())
            judge.update(history)
            clocks.append(time.perf_counter())
            writer.write_chunk(epochs, made, {})
            clocks.append(time.perf_counter())
            spent = dict(zip(spent, np.diff(clocks).tolist(), strict=True))
            if first + CHUNK in counts:
                rows.append({"epochs": first + CHUNK} | spent)
        writer.close()
    return rows


def reported(epochs: int) -> dict[str, float]:
    """What the report of a run of so many epochs takes, as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        writer, made = JsonLinesWriter(run / "metrics.jsonl"), columns(epochs)
        for first in range(0, epochs, CHUNK):
            part = {key: values[first : first + CHUNK] for key, values in made.items()}
            writer.write_chunk(np.arange(first, first + CHUNK), part, {})
        writer.close()
        clock = time.perf_counter()
        command = (sys.executable, "-c", REPORT, str(run))
        said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        return {
            "epochs": epochs,
            "seconds": time.perf_counter() - clock,
            "memory_mb": int(said) * 1024 / 1e6,
            "lines_mb": (run / "metrics.jsonl").stat().st_size / 1e6,
            "page_mb": (run / "report.html").stat().st_size / 1e6,
        }
