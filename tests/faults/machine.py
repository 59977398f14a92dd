"""What befalls the machine: a full disk, a clock that jumps, a second process on the folder."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from pathlib import Path

from tests.faults.harness import (
    LOST,
    SHORT,
    Bench,
    Fault,
    Result,
    refused,
    said,
    small_disk,
    stop,
    wait_for_epochs,
)

HOUR = 3600.0
# Where the disk is full: the folder in the run that lies on a small one (of so many kilobytes), and
# how often what lies there is written.
PLACES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "checkpoints": ("checkpoints", 4096, SHORT),
    "metrics": (".", 4096, ("--config.epochs=400", "--config.checkpoint_every=100")),
    "samples": ("samples", 4096, (*SHORT, "--config.sample_every=2")),
}


def disk_full(where: str) -> Fault:
    """The disk fills at a random moment; there is room again after a second, vain, start."""
    inside, kilobytes, length = PLACES[where]

    def fault(bench: Bench, seed: int) -> Result:
        rng, workdir = random.Random(seed), bench.place / f"full_{where}{seed}"
        with small_disk(workdir / inside, kilobytes) as disk:
            process = bench.start(workdir, length)
            wait_for_epochs(workdir, process, rng)
            ballast = disk / "ballast"
            fill(ballast)
            for attempt in (process, bench.start(workdir, length)):
                if not refused(attempt, "cannot be written", "was not saved"):
                    return LOST
            ballast.unlink()
            return bench.verdict(workdir, length)

    return fault


def fill(ballast: Path) -> None:
    """Write until the disk is full, to the last byte."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


def clock_jumps(bench: Bench, seed: int) -> Result:
    """About twice a second the clock is set hours forward or back; files get such ages too."""
    rng, workdir = random.Random(seed), bench.place / f"clock{seed}"
    program = ("-m", "tests.faults.machine", str(seed))
    process = bench.start(workdir, program=program)
    wait_for_epochs(workdir, process, rng)
    stop(process)
    for path in workdir.rglob("*"):
        moment = time.time() + rng.uniform(-100, 100) * HOUR
        os.utime(path, (moment, moment))
    again = bench.start(workdir, program=program)
    words = said(again)
    if again.returncode:
        print(words[-1000:], file=sys.stderr)
        return LOST
    return bench.verdict(workdir)


def two_processes(bench: Bench, seed: int) -> Result:
    """A second process on the same folder, at a random moment."""
    rng, workdir = random.Random(seed), bench.place / f"two{seed}"
    first = bench.start(workdir)
    wait_for_epochs(workdir, first, rng)
    first.send_signal(19)  # SIGSTOP: it has the folder for as long as the second one looks
    second = bench.start(workdir)
    good = refused(second, "Another process trains")
    first.send_signal(18)  # SIGCONT
    said(first)
    survived, equal = bench.verdict(workdir)
    return survived and good and first.returncode == 0, equal


def run_with_a_mad_clock(seed: int, argv: list[str]) -> int:
    """The command line where all clocks jump but those that cannot be set, e.g. `perf_counter`."""
    rng, real = random.Random(seed), time.time
    gmtime, localtime = time.gmtime, time.localtime
    off = {"by": 0.0, "until": 0.0}

    def mad() -> float:
        if time.monotonic() > off["until"]:
            off.update(by=rng.uniform(-100, 100) * HOUR, until=time.monotonic() + rng.random())
        return real() + off["by"]

    time.time = mad
    time.time_ns = lambda: int(mad() * 1e9)
    time.gmtime = lambda seconds=None: gmtime(mad() if seconds is None else seconds)
    time.localtime = lambda seconds=None: localtime(mad() if seconds is None else seconds)
    import run

    return run.main(argv)


if __name__ == "__main__":
    sys.exit(run_with_a_mad_clock(int(sys.argv[1]), sys.argv[2:]))
