"""How a contestant is timed: a process that plays when told to, so that several take turns.

Needs nothing but Python, since each contestant runs in an environment of its own. All are started
at once and prepare themselves beside the others: they import, compile, and play two rounds. Then a
contestant says on its standard output what it is, one JSON object; each line of its standard input
is a number of rounds to play, and each line it answers the seconds that they took, by the clock and
of processor time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


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
