"""Runs of a grid side by side: each a process on a device of its own, which ends with this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from wgan_jax import supervision
from wgan_jax.errors import Interrupted
from wgan_jax.grid import RUN, Cell, Plan
from wgan_jax.interruption import Signals, watched

_LOOK = 0.2  # seconds between two looks at which runs have ended


def side_by_side(plan: Plan, cells: Sequence[Cell], devices: int) -> Iterator[tuple[Cell, int]]:
    """Each run once its process has ended, and its exit code; one at a time on each device.

    However this ends, no process stays behind: those at work are told to save and end, and waited
    for.

    Raises:
      Interrupted: Ctrl-C or SIGTERM came.
    """
    waiting, running = deque(cells), dict[int, tuple[Cell, subprocess.Popen[bytes]]]()
    with watched(signals := Signals()):
        try:
            while waiting or running:
                for device in range(devices):
                    if waiting and device not in running and not signals.received:
                        cell = waiting.popleft()
                        running[device] = cell, _started(plan, cell, device)
                time.sleep(_LOOK)
                if signals.received:
                    raise Interrupted(
                        f"{plan.out}: stopped; what its runs have trained is saved. The same "
                        "command goes on from there.",
                        signals.received,
                    )
                for device, (cell, child) in list(running.items()):
                    if child.poll() is not None:
                        del running[device]
                        yield cell, child.returncode
        finally:
            for _, child in running.values():
                child.terminate()
            for _, child in running.values():
                child.wait()


def log_of(plan: Plan, cell: Cell) -> Path:
    """The file that has what a run's process said."""
    return plan.out / f"{cell.name}.log"


def _started(plan: Plan, cell: Cell, device: int) -> subprocess.Popen[bytes]:
    flags = [f"--config.seed={cell.seed}", f"--config.batch_size={cell.batch_size}"]
    flags += ["--config.devices=1", "--num_processes=1"]
    flags += ["--workdir", str(plan.workdir(cell))]
    command = [sys.executable, str(RUN), "--config", str(plan.config), *plan.overrides, *flags]
    with log_of(plan, cell).open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            command,
            env=supervision.for_a_child() | {"CUDA_VISIBLE_DEVICES": _visible(device)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C reaches it once, through its parent
        )


def _visible(device: int) -> str:
    """What CUDA is told of the devices that this process may use, for the child to see one."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(device)] if given is None else given.split(",")
    return names[device % len(names)]  # on a CPU they are of no effect, and may be fewer
