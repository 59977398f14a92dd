"""Seconds a round on an NVIDIA GPU: ours and PyTorch's, each by its modes and precisions."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import roofline
from benchmarks.contest import Entrant, contest
from benchmarks.rounds import PEERS, settings_file, settings_of

DEVICE = "cuda"
PRECISIONS = ("tf32", "bfloat16", "float32")
# Who plays, in each precision: the script, and its flags.
OURS = {"ours": (), "ours, one graph": ("--gpu_graph",)}
THEIRS = {
    "torch": ("--mode", "eager"),
    "torch compiled": ("--mode", "compile"),
    "torch graphs": ("--mode", "graphs"),
}
PATIENCE = 240.0  # seconds; autotuning and compiling are done within one


def measure(torch: str, name: str, batch: str) -> dict[str, Any]:
    """One contest, and what this device can do at most.

    Entrants start one after the other, as each picks its kernels by trying them; one that fails is
    left out. With them all it takes about eight minutes.

    Args:
      torch: a Python that has PyTorch for CUDA, or "" for none.
      name: an experiment's.
      batch: its batch size.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = str(settings_file(name, Path(folder)))
        common = ("--settings", settings, "--batch_size", batch, "--device", DEVICE)
        scripts = [((sys.executable, str(PEERS / "jax_round.py")), OURS)]
        if torch:
            scripts.append(((torch, str(PEERS / "torch_round.py")), THEIRS))
        entrants = [
            Entrant(f"{who} {precision}", (*script, *common, *flags, "--precision", precision))
            for script, modes in scripts
            for who, flags in modes.items()
            for precision in PRECISIONS
        ]
        rows = contest(entrants, passes=5, seconds=1.0, patience=PATIENCE, all_needed=False)
    hardware = {}
    for precision in PRECISIONS:
        settings_in = dataclasses.replace(
            settings_of(name), batch_size=int(batch), precision=precision
        )
        work, peaks = roofline.by_hand(settings_in, 3), roofline.peaks(precision)
        hardware[precision] = dataclasses.asdict(work) | {"peaks": peaks}
        hardware[precision]["bound"] = work.seconds(peaks)
    return {"name": name, "batch": int(batch), "rows": rows, "hardware": hardware}
