"""Seconds a round on an NVIDIA GPU: ours and PyTorch's, each by its modes and precisions."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from benchmarks import hlo, roofline
from benchmarks.contest import Entrant, contest
from benchmarks.rounds import CONTESTS, PEERS, check_sizes, settings_file, settings_of
from wgan_jax.settings import Settings

DEVICE = "cuda"
PRECISIONS = ("tf32", "bfloat16", "float32")
ON_TENSOR_CORES = ("tf32", "bfloat16")
# Who plays: the script's flags, and the precisions.
Modes = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
OURS: Modes = {"ours": ((), PRECISIONS)}
THEIRS: Modes = {
    "torch": ((), PRECISIONS),
    "torch, compiled": (("--compile",), ("tf32",)),
    "torch, graph": (("--graph",), ON_TENSOR_CORES),
    "torch, compiled, graph": (("--compile", "--graph"), PRECISIONS),
    "torch, compiled, graph, folded": (("--compile", "--graph", "--phases"), ON_TENSOR_CORES),
}
# PyTorch's fastest ways with plain upsampling, wherever all were measured.
BEST = ("torch, graph", "torch, compiled, graph")
PATIENCE = 600.0  # seconds; all have compiled within them (on 16 cores within 185)


def measure(torch: str, name: str, which: str = "") -> dict[str, Any]:
    """A contest for each batch size, and what this device can do at most.

    An entrant that fails is left out. It takes about four minutes: all are started at once, since
    most of that is compiling. So libraries pick kernels by timing them while others do.

    Args:
      torch: a Python that has PyTorch for CUDA, or "" for none.
      name: an experiment's.
      which: "best": on tensor cores alone, and of PyTorch's modes those of `BEST`.
    """
    precisions = ON_TENSOR_CORES if which else PRECISIONS
    theirs = {who: THEIRS[who] for who in BEST} if which else THEIRS
    batches = [batch for each, batch, *_ in CONTESTS if each == name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = settings_file(name, folder)
        entrants = [
            entrant
            for batch in batches
            for entrant in _entrants(torch, settings, batch, theirs, precisions)
        ]
        rows = contest(entrants, passes=5, seconds=0.25, patience=PATIENCE, all_needed=False)
        programs = {path.stem: path.read_text() for path in folder.glob("*.hlo")}
    check_sizes(name, rows)
    peaks = {precision: roofline.peaks(precision) for precision in precisions}
    found = {}
    for batch in batches:
        hardware = {
            precision: _share(
                dataclasses.replace(settings_of(name), batch_size=batch, precision=precision),
                peaks[precision],
                programs.get(f"{precision} {batch}"),
            )
            for precision in precisions
        }
        ending = f" {batch}"
        of_it = {k.removesuffix(ending): row for k, row in rows.items() if k.endswith(ending)}
        found[str(batch)] = {"rows": of_it, "hardware": hardware}
    return {"name": name, "device": jax.devices()[0].device_kind, "batches": found}


def _entrants(
    torch: str, settings: Path, batch: int, theirs: Modes, precisions: tuple[str, ...]
) -> Iterator[Entrant]:
    """Named by who it is, its precision and its batch."""
    common = ("--settings", str(settings), "--batch_size", str(batch), "--device", DEVICE)
    scripts = [(sys.executable, "jax_round.py", OURS)]
    if torch:
        scripts.append((torch, "torch_round.py", theirs))
    for python, script, modes in scripts:
        for who, (flags, its) in modes.items():
            for precision in (each for each in precisions if each in its):
                options = (*common, *flags, "--precision", precision)
                if who == "ours":
                    options += ("--hlo", str(settings.with_name(f"{precision} {batch}.hlo")))
                yield Entrant(f"{who} {precision} {batch}", (python, str(PEERS / script), *options))


def _share(settings: Settings, peaks: dict[str, float], program: str | None) -> dict[str, Any]:
    """Peaks of the device, and what they allow: the round's work, and that of our program."""
    work = roofline.by_hand(settings, 3)
    found = dataclasses.asdict(work) | {"peaks": peaks, "bound": work.seconds(peaks)}
    if program:
        try:
            found["program"] = hlo.total(program) | {"bound": hlo.least_seconds(program, peaks)}
        except ValueError as error:  # a kernel that is not known there
            print(error, file=sys.stderr)
    return found
