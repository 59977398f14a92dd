"""Runs with a label each, from a folder of logs and its `index.csv`, and how to count verdicts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan_jax.health.logs import runlog
from wgan_jax.health.past import LOSSES
from wgan_jax.history import History


@dataclass(frozen=True)
class Run:
    """A labelled run: its log, what it was, and from where on it was lost."""

    name: str
    objective: str | None
    label: str
    onset: int | None
    full: History
    bare: History  # the losses alone

    @property
    def lost(self) -> bool:
        return self.label in ("collapsed", "never_trained")

    @property
    def healthy(self) -> bool:
        return self.label == "healthy"


def load(folder: Path) -> list[Run]:
    """All runs that the folder's index names."""
    ours = {"wasserstein": "wgan", "unknown": None}
    runs = []
    with (folder / "index.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            full = runlog.read(folder / f"{row['run']}.csv").history
            bare = History()
            bare.extend(full.epochs, {key: full[key] for key in LOSSES})
            onset = int(row["onset_epoch"]) if row["onset_epoch"] else None
            objective = ours.get(row["objective"], row["objective"])
            runs.append(Run(row["run"], objective, row["label"], onset, full, bare))
    return runs


def count(runs: Sequence[Run], said: Sequence[bool]) -> dict[str, Any]:
    """How many lost runs were found and healthy ones accused, and which."""
    pairs = list(zip(runs, said, strict=True))
    missed = [run.name for run, failing in pairs if run.lost and not failing]
    accused = [run.name for run, failing in pairs if run.healthy and failing]
    lost, healthy = sum(run.lost for run in runs), sum(run.healthy for run in runs)
    return {
        "found": lost - len(missed),
        "lost": lost,
        "false_alarms": len(accused),
        "healthy": healthy,
        "missed": missed,
        "accused": accused,
    }
