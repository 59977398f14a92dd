"""How a contestant is timed: a process that plays when told to, so that several take turns.

Needs nothing but Python, since each contestant runs in an environment of its own. All are started
at once. What others may disturb, imports and compiling, is done by `wait_for_start`; then come, one
contestant after the other, those first rounds in which libraries choose their kernels by timing
them. A contestant then says on its standard output what it is, one JSON object; each further line
of its standard input is a number of rounds to play, and each line it answers the seconds that they
took, by the clock and of processor time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def wait_for_start() -> None:
    """Say that what may be disturbed is done, and wait until no other contestant is at work."""
    print("prepared", flush=True)
    sys.stdin.readline()


def serve(play: Callable[[int], None], about: dict[str, Any]) -> None:
    """Answer orders until there are none; `play(n)` returns when its n rounds are done."""
    clock = time.perf_counter()
    play(1)
    about["seconds_to_first"] = time.perf_counter() - clock
    play(1)
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        clock, used = time.perf_counter(), time.process_time()
        play(int(line))
        print(time.perf_counter() - clock, time.process_time() - used, flush=True)
