"""How long one waits: for the help, and for the first round of the demo, cold and warm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.contest import summary
from benchmarks.quality import timed

ROOT = Path(__file__).resolve().parent.parent
DEMO = ("run.py", "--config", "experiments/digits_wgan.py", "--config.wandb.mode=disabled")


def measure(torch: str) -> dict[str, Any]:
    """Seconds of `run.py --help`, and from the command to the first line of metrics.jsonl.

    Cold: no compiled programs, no weights of the digits' encoder; warm: the second such start.
    """
    del torch
    help_times = timed(
        lambda: subprocess.run(
            [sys.executable, "run.py", "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        ),
        repeats=5,
    )
    found: dict[str, Any] = {"help": summary(help_times), "cold": [], "warm": []}
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("cold", "warm"):
                found[kind].append(first_round(Path(folder), Path(folder, kind)))
    return found | {kind: summary(found[kind]) for kind in ("cold", "warm")}


def first_round(cache: Path, workdir: Path) -> float:
    """Seconds until the demo has played and written its first round; it is stopped then."""
    environment = os.environ | {"WGAN_JAX_CACHE": str(cache)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    clock = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *DEMO, "--workdir", str(workdir)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lines = workdir / "metrics.jsonl"
    try:
        while not (lines.exists() and lines.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError(f"the demo ended with {process.returncode}")
            time.sleep(0.02)
        return time.perf_counter() - clock
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
