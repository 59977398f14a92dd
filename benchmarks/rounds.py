"""Seconds a round, ours beside those of other libraries, in turns."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.contest import Entrant, contest
from wgan_jax import experiment
from wgan_jax.config import to_dict
from wgan_jax.settings import Settings

PEERS = Path(__file__).resolve().parent / "peers"
EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"

# (experiment, batch size, entrants beside ours, passes, seconds a turn)
CONTESTS = (
    ("cifar_wgan", 64, ("torch", "torch_phases", "keras", "keras_on_batch"), 5, 4.0),
    ("cifar_wgan", 512, ("torch", "torch_phases"), 3, 1.0),
    ("cifar_wgan_gp", 64, ("torch",), 5, 4.0),
    ("cifar_wgan_gp_resnet", 64, ("torch",), 3, 6.0),
    ("lsun_dcgan64", 64, ("torch",), 5, 6.0),
)


def entrant(name: str, torch: str, *arguments: str) -> Entrant:
    """One of ours or a peer, by name."""
    commands = {
        "ours": (sys.executable, "jax_round.py"),
        "torch": (torch, "torch_round.py"),
        "torch_phases": (torch, "torch_round.py", "--phases"),
        "keras": (sys.executable, "keras_round.py"),
        "keras_on_batch": (sys.executable, "keras_round.py", "--predict_on_batch"),
    }
    python, script, *flags = commands[name]
    return Entrant(name, (python, str(PEERS / script), *flags, *arguments))


def settings_of(name: str) -> Settings:
    """An experiment's settings; every critic phase of the usual length."""
    settings = experiment.read(EXPERIMENTS / f"{name}.py")
    schedule = dataclasses.replace(settings.n_critic_schedule, warm_epochs=0, period=0)
    return dataclasses.replace(settings, n_critic_schedule=schedule)


def settings_file(name: str, folder: Path) -> Path:
    """The same as the peers read them."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(to_dict(settings_of(name))))
    return path


def measure(torch: str) -> dict[str, Any]:
    """Every contest; `torch` is a Python that has PyTorch, or "" for none."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, batch, peers, passes, seconds in CONTESTS:
            file = settings_file(name, Path(folder))
            arguments = ("--settings", str(file), "--batch_size", str(batch))
            names = ["ours", *(peer for peer in peers if torch or not peer.startswith("torch"))]
            entrants = [entrant(each, torch, *arguments) for each in names]
            rows = found[f"{name} {batch}"] = contest(entrants, passes, seconds)
            check_sizes(name, rows)
    return found


def check_sizes(name: str, rows: dict[str, Any]) -> None:
    """All who played have networks with as many weights.

    Raises:
      RuntimeError: they have not.
    """
    sizes = [row["about"]["parameters"] for row in rows.values() if "about" in row]
    if any(size != sizes[0] for size in sizes):
        raise RuntimeError(f"{name}: not the same networks: {sizes}")
