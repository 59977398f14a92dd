"""Contestants take turns: each a process, all alive; once they are prepared, one works at a time.

What is said between them and this is in `benchmarks/peers/serve.py`.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entrant:
    """A contestant to be: what it is called, and the command that starts it."""

    name: str
    command: tuple[str, ...]


class GaveUp(RuntimeError):
    """A contestant ended, or was not waited for any longer."""


def contest(
    entrants: list[Entrant],
    passes: int,
    seconds: float,
    *,
    patience: float = 3600,
    all_needed: bool = True,
) -> dict[str, Any]:
    """Time the entrants in turns, pass by pass; all prepare themselves at once, before.

    Args:
      entrants: the first is what the others are compared with.
      passes: turns each takes.
      seconds: about how long a turn lasts; at least one round.
      patience: seconds that all have to prepare themselves, and that an order may take; who has
        not answered then is ended.
      all_needed: whether the contest ends with any entrant, or with the first alone.

    Returns:
      name -> its own words (`about`), seconds a round of each pass, their median, least and
      greatest, and `ratio`: the median over passes of its time over the first entrant's in the same
      pass, with its least and greatest. Of an entrant that gave up, `gave_up`: why.

    Raises:
      GaveUp: an entrant that is needed did.
    """
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as held:
        playing = [held.enter_context(_Contestant(entrant, patience)) for entrant in entrants]
        needed = playing if all_needed else playing[:1]

        def in_turn(do: Callable[[_Contestant], None]) -> None:
            for contestant in tuple(playing):
                try:
                    do(contestant)
                except GaveUp as error:
                    if contestant in needed:
                        raise
                    print(error, file=sys.stderr)
                    found[contestant.entrant.name] = {"gave_up": str(error)}
                    playing.remove(contestant)

        until = time.monotonic() + patience
        in_turn(lambda contestant: contestant.prepared(until))
        in_turn(lambda contestant: contestant.tried(seconds))
        for _ in range(passes):
            in_turn(lambda contestant: contestant.played())
        found |= {contestant.entrant.name: contestant.row for contestant in playing}
        for contestant in playing:  # at once, not one after the other
            contestant.dismissed()
    rows = [row for row in found.values() if "times" in row]
    for row in rows:
        row |= summary(row["times"])
        ratios = [mine / first for mine, first in zip(row["times"], rows[0]["times"], strict=True)]
        row["ratio"] = summary(ratios)
    return {entrant.name: found[entrant.name] for entrant in entrants}


def summary(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


class _Contestant:
    """An entrant's process: it prepares itself beside the others, and then works by turns."""

    def __init__(self, entrant: Entrant, patience: float) -> None:
        self.entrant = entrant
        self.row: dict[str, Any] = {"times": [], "processor": []}
        self._patience = patience

    def __enter__(self) -> _Contestant:
        self._process = subprocess.Popen(
            self.entrant.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.dismissed()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def dismissed(self) -> None:
        """No more turns: it ends by itself."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def prepared(self, until: float) -> None:
        """Wait until it is, and hear what it says of itself."""
        left = until - time.monotonic()
        self.row["about"] = json.loads(self._answer(max(left, 1.0)))  # it may have spoken already

    def tried(self, seconds: float) -> None:
        """How many rounds take so many seconds."""
        one, _ = self._turn(1)
        self.row["rounds"] = max(1, round(seconds / one))

    def played(self) -> None:
        """A turn that counts."""
        rounds = self.row["rounds"]
        wall, processor = self._turn(rounds)
        # Said at once: what has been measured outlives a command that is cut off.
        print(f"{self.entrant.name}: {wall / rounds:.5f} s a round", flush=True)
        self.row["times"].append(wall / rounds)
        self.row["processor"].append(processor / rounds)

    def _turn(self, rounds: int) -> list[float]:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # the answer will tell
            self._process.stdin.write(f"{rounds}\n")
            self._process.stdin.flush()
        return [float(word) for word in self._answer(self._patience).split()]

    def _answer(self, patience: float) -> str:
        assert self._process.stdout
        watch = threading.Timer(patience, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line:
            raise GaveUp(f"{self.entrant.name} gave up: {' '.join(self.entrant.command)}")
        return line
