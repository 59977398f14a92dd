"""Seconds a round on an NVIDIA GPU: ours and PyTorch's, each by its modes and precisions."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import roofline
from benchmarks.contest import Entrant, contest
from benchmarks.rounds import CONTESTS, PEERS, settings_file

PRECISIONS = ("tf32", "bfloat16", "float32")
MODES = ("eager", "compile", "graphs")


def measure(torch: str) -> dict[str, Any]:
    """Every contest, then how close ours are to the hardware.

    `torch` is a Python that has PyTorch for CUDA, or "" for none.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, batch, *_ in CONTESTS:
            settings = str(settings_file(name, Path(folder)))
            common = ("--settings", settings, "--batch_size", str(batch))
            ours = (sys.executable, str(PEERS / "jax_round.py"), *common, "--device", "cuda")
            theirs = (torch, str(PEERS / "torch_round.py"), *common, "--device", "cuda")
            entrants = [
                Entrant(f"ours{name} {p}", (*ours, *flags, "--precision", p))
                for name, flags in (("", ()), (", one graph", ("--gpu_graph",)))
                for p in PRECISIONS
            ]
            entrants += [
                Entrant(f"torch {mode} {p}", (*theirs, "--mode", mode, "--precision", p))
                for mode in MODES
                for p in PRECISIONS
                if torch
            ]
            found[f"{name} {batch}"] = contest(entrants, passes=5, seconds=1.0)
    return {"contests": found, "rooflines": [roofline.measured(p) for p in PRECISIONS]}
