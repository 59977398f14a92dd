"""Does things to runs in processes of their own, and compares what is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wgan_jax import experiment, train

EPOCHS = 60
FLAGS = [
    f"--config.epochs={EPOCHS}",
    "--config.batch_size=8",
    "--config.critic.filters=(4,8)",
    "--config.generator.base_filters=8",
    "--config.generator.filters=(8,4)",
    "--config.log_every=0",
    "--config.sample_every=20",
    "--config.quality_every=0",
    "--config.checkpoint_every=5",
    "--config.wandb.mode=disabled",
]
EXPERIMENT = "experiments/digits_wgan.py"

Result = tuple[bool, bool]


class Bench:
    """A folder for the runs, and the one run that nothing happens to."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.whole = place / "whole"
        self.finish(self.whole)

    def start(self, workdir: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "run.py", "--config", EXPERIMENT, f"--workdir={workdir}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*command, *FLAGS], env=dict(os.environ), **quiet)

    def finish(self, workdir: Path) -> bool:
        return self.start(workdir).wait(timeout=300) == 0

    def verdict(self, workdir: Path) -> Result:
        """(the run came to its end, every weight and every epoch is that of the whole run)."""
        if not self.finish(workdir):
            return False, False
        settings = experiment.read(Path(EXPERIMENT), FLAGS)
        ours, whole = (train(settings, path, quiet=True) for path in (workdir, self.whole))
        keys = whole.game.metric_keys
        same = all(np.array_equal(ours.history[key], whole.history[key]) for key in keys)
        leaves = zip(_leaves(ours.state), _leaves(whole.state), strict=True)
        return True, same and all(np.array_equal(a, b) for a, b in leaves)


def _leaves(state: object) -> list[np.ndarray]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def many_kills(bench: Bench, seed: int, kills: int) -> Result:
    """SIGKILL at random moments after the start, again and again in one run."""
    rng, workdir = random.Random(seed), bench.place / f"kills{seed}"
    for _ in range(kills):
        process = bench.start(workdir)
        time.sleep(rng.uniform(0.2, 9.0))
        process.kill()
        process.wait()
    return bench.verdict(workdir)


def one_signal(number: signal.Signals) -> Callable[[Bench, int, int], Result]:
    """One signal, at a random moment once epochs are being written."""

    def fault(bench: Bench, seed: int, kills: int) -> Result:
        del kills
        rng, workdir = random.Random(seed), bench.place / f"{number.name}{seed}"
        process = bench.start(workdir)
        _wait_for_epochs(workdir, process)
        time.sleep(rng.uniform(0.0, 1.0))
        process.send_signal(number)
        process.wait(timeout=60)
        return bench.verdict(workdir)

    return fault


def damaged(how: str) -> Callable[[Bench, int, int], Result]:
    """A finished half of a run, the newest checkpoint of which is damaged in one random file."""

    def fault(bench: Bench, seed: int, kills: int) -> Result:
        del kills
        rng, workdir = random.Random(seed), bench.place / f"{how}{seed}"
        process = bench.start(workdir)
        _wait_for_epochs(workdir, process)
        process.terminate()
        process.wait(timeout=60)
        checkpoints = [p for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()]
        newest = max(checkpoints, key=lambda path: int(path.name))
        files = sorted(p for p in newest.rglob("*") if p.is_file() and p.stat().st_size)
        victim = rng.choice(files)
        data = bytearray(victim.read_bytes())
        if how == "flipped":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        victim.write_bytes({"flipped": data, "cut": data[: len(data) // 2]}.get(how, b""))
        return bench.verdict(workdir)

    return fault


def _wait_for_epochs(workdir: Path, process: subprocess.Popen[bytes]) -> None:
    metrics, deadline = workdir / "metrics.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.stat().st_size:
            return
        time.sleep(0.02)


FAULTS: dict[str, Callable[[Bench, int, int], Result]] = {
    "SIGKILL, many in one run": many_kills,
    "SIGKILL": one_signal(signal.SIGKILL),
    "SIGTERM": one_signal(signal.SIGTERM),
    "SIGINT": one_signal(signal.SIGINT),
    "newest checkpoint: a file cut": damaged("cut"),
    "newest checkpoint: a file emptied": damaged("emptied"),
    "newest checkpoint: a bit flipped": damaged("flipped"),
}
