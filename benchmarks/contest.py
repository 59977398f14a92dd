"""Contestants take turns: each a process, all alive, one at work at a time."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entrant:
    """A contestant to be: what it is called, and the command that starts it."""

    name: str
    command: tuple[str, ...]


def contest(entrants: list[Entrant], passes: int, seconds: float) -> dict[str, Any]:
    """Time the entrants in turns, pass by pass.

    Args:
      entrants: the first is what the others are compared with.
      passes: turns each takes.
      seconds: about how long a turn lasts; at least one round.

    Returns:
      name -> its own words (`about`), seconds a round of each pass, their median, least and
      greatest, and `ratio`: the median over passes of its time over the first entrant's in the same
      pass, with its least and greatest.
    """
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as held:
        processes = {}
        for entrant in entrants:
            process = processes[entrant.name] = held.enter_context(_start(entrant))
            about = json.loads(_answer(entrant, process))  # one starts when the last is ready
            one, _ = _turn(entrant, process, 1)
            rounds = max(1, round(seconds / one))
            found[entrant.name] = {"about": about, "rounds": rounds, "times": [], "processor": []}
        for _ in range(passes):
            for entrant in entrants:
                row = found[entrant.name]
                wall, processor = _turn(entrant, processes[entrant.name], row["rounds"])
                row["times"].append(wall / row["rounds"])
                row["processor"].append(processor / row["rounds"])
    first = found[entrants[0].name]["times"]
    for row in found.values():
        row |= summary(row["times"])
        ratios = [mine / theirs for mine, theirs in zip(row["times"], first, strict=True)]
        row["ratio"] = summary(ratios)
    return found


def summary(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def _start(entrant: Entrant) -> subprocess.Popen[str]:
    return subprocess.Popen(
        entrant.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _turn(entrant: Entrant, process: subprocess.Popen[str], rounds: int) -> list[float]:
    assert process.stdin
    process.stdin.write(f"{rounds}\n")
    process.stdin.flush()
    return [float(word) for word in _answer(entrant, process).split()]


def _answer(entrant: Entrant, process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{entrant.name} ended: {' '.join(entrant.command)}")
    return line
