"""Seconds a round on an NVIDIA GPU: ours and PyTorch's, each by its modes and precisions."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import hlo, roofline
from benchmarks.contest import Entrant, contest
from benchmarks.rounds import PEERS, settings_file, settings_of

DEVICE = "cuda"
PRECISIONS = ("tf32", "bfloat16", "float32")
# Who plays, in each precision, by the script's flags.
OURS = {"ours": (), "ours, one graph": ("--gpu_graph",)}
THEIRS = {
    "torch": (),
    "torch, compiled": ("--compile",),
    "torch, graph": ("--graph",),
    "torch, compiled, graph": ("--compile", "--graph"),
    "torch, compiled, graph, folded": ("--compile", "--graph", "--phases"),
}
# Without tensor cores, nobody's choice: those that tell enough.
IN_FLOAT32 = ("ours", "torch", "torch, compiled, graph")
PATIENCE = 240.0  # seconds; compiling, or autotuning, is done within one


def measure(torch: str, name: str, batch: str) -> dict[str, Any]:
    """One contest, and what this device can do at most.

    An entrant that fails is left out. It takes about three minutes.

    Args:
      torch: a Python that has PyTorch for CUDA, or "" for none.
      name: an experiment's.
      batch: its batch size.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = str(settings_file(name, Path(folder)))
        common = ("--settings", settings, "--batch_size", batch, "--device", DEVICE)
        # Which kernels XLA found fastest, the second program of a precision has from the first.
        tuned = f"JAX_COMPILATION_CACHE_DIR={folder}/xla"
        scripts = [(("env", tuned, sys.executable, str(PEERS / "jax_round.py")), OURS)]
        if torch:
            scripts.append(((torch, str(PEERS / "torch_round.py")), THEIRS))
        entrants = list[Entrant]()
        for precision, (script, modes) in itertools.product(PRECISIONS, scripts):
            for who, flags in modes.items():
                if precision == "float32" and who not in IN_FLOAT32:
                    continue
                written = ("--hlo", f"{folder}/{precision}.txt") if who == "ours" else ()
                options = (*common, *flags, *written, "--precision", precision)
                entrants.append(Entrant(f"{who} {precision}", (*script, *options)))
        rows = contest(entrants, passes=5, seconds=0.3, patience=PATIENCE, all_needed=False)
        programs = {
            precision: path.read_text()
            for precision in PRECISIONS
            if (path := Path(folder) / f"{precision}.txt").exists()
        }
    hardware = {
        precision: _share(name, int(batch), precision, programs.get(precision))
        for precision in PRECISIONS
    }
    return {"name": name, "batch": int(batch), "rows": rows, "hardware": hardware}


def _share(name: str, batch: int, precision: str, program: str | None) -> dict[str, Any]:
    """Peaks of the device, and what they allow: the round's work, and that of our program."""
    settings = dataclasses.replace(settings_of(name), batch_size=batch, precision=precision)
    work, peaks = roofline.by_hand(settings, 3), roofline.peaks(precision)
    found = dataclasses.asdict(work) | {"peaks": peaks, "bound": work.seconds(peaks)}
    if program:
        try:
            found["program"] = hlo.total(program) | {"bound": hlo.least_seconds(program, peaks)}
        except ValueError as error:  # a kernel that is not known there
            print(error, file=sys.stderr)
    return found
