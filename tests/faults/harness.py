"""Does things to runs in processes of their own, and compares what is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wgan_jax import experiment, train
from wgan_jax.notebook import Run

EXPERIMENT = "experiments/digits_wgan.py"
FLAGS = (
    "--config.batch_size=8",
    "--config.critic.filters=(4,8)",
    "--config.generator.base_filters=8",
    "--config.generator.filters=(8,4)",
    "--config.log_every=0",
    "--config.sample_every=20",
    "--config.quality_every=0",
    "--config.wandb.mode=disabled",
)
SHORT = ("--config.epochs=60", "--config.checkpoint_every=5")

Result = tuple[bool, bool]  # the run behaved and came to its end; its bits are those of another
LOST: Result = (False, False)
Fault = Callable[["Bench", int], Result]


class Bench:
    """A folder for the runs, and the runs that nothing happens to."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._whole: set[Path] = set()  # finished, by this bench

    def start(
        self, workdir: Path, length: Sequence[str] = SHORT, program: Sequence[str] = ("run.py",)
    ) -> subprocess.Popen[str]:
        command = [sys.executable, *program, "--config", EXPERIMENT, f"--workdir={workdir}"]
        return subprocess.Popen(
            [*command, *FLAGS, *length],
            env=dict(os.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, workdir: Path, length: Sequence[str] = SHORT) -> bool:
        process = self.start(workdir, length)
        said(process)
        return process.returncode == 0

    def verdict(self, workdir: Path, length: Sequence[str] = SHORT) -> Result:
        """(the same command comes to its end, every weight and every epoch is the whole run's)."""
        whole = self.place / "-".join(["whole", *(flag.partition("=")[2] for flag in length)])
        for path in {workdir, whole} - self._whole:
            if not self.finish(path, length):
                return LOST
        self._whole.add(whole)
        settings = experiment.read(Path(EXPERIMENT), [*FLAGS, *length])
        return True, same(*(train(settings, path, quiet=True) for path in (workdir, whole)))


def same(ours: Run, whole: Run) -> bool:
    """Whether two runs have the same history and weights, bit for bit."""
    keys = whole.game.metric_keys
    leaves = zip(_leaves(ours.state), _leaves(whole.state), strict=True)
    return all(np.array_equal(ours.history[key], whole.history[key]) for key in keys) and all(
        np.array_equal(a, b) for a, b in leaves
    )


def _leaves(state: object) -> list[np.ndarray]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def said(process: subprocess.Popen[str]) -> str:
    """What a process wrote on stderr until its end; one that hangs is killed, and that an error."""
    try:
        return process.communicate(timeout=900)[1]
    finally:
        process.kill()


def refused(process: subprocess.Popen[str], *says: str) -> bool:
    """Whether a process ended with exit code 2 and one line of ours, with one of these words in it.

    tensorstore's threads may add words of theirs where the disk fills while they write.
    """
    lines = said(process).splitlines()
    ours = [line for line in lines if "run.py: " in line]
    good = process.returncode == 2 and len(ours) == 1 and any(word in ours[0] for word in says)
    if not good:
        shown = "\n".join(line[:160] for line in [*lines[:8], "...", *lines[-8:]])
        print(f"exit code {process.returncode}, and said:\n{shown}", file=sys.stderr)
    return good


def wait_for_epochs(workdir: Path, process: subprocess.Popen[str], rng: random.Random) -> None:
    """Until epochs are written, and a moment more."""
    metrics, deadline = workdir / "metrics.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.stat().st_size:
            time.sleep(rng.uniform(0.0, 1.0))
            return
        time.sleep(0.02)


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> None:
    """Send a signal, and wait for the end."""
    process.send_signal(number)
    said(process)


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of so many kilobytes, mounted on a folder that is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount(place: Path) -> bool:
    """Whether small disks can be had here: a mount needs its rights."""
    try:
        with small_disk(place / "try", 64):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
