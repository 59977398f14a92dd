"""All faults by name, and how often each is tried."""

from __future__ import annotations

import signal

from tests.faults.harness import Fault
from tests.faults.images import CHANGES, changed
from tests.faults.kills import damaged, many_kills, one_signal
from tests.faults.machine import PLACES, clock_jumps, disk_full, two_processes
from tests.faults.numbers import in_gradients, in_weights, not_finite


def faults(kills: int) -> dict[str, Fault]:
    """Name -> fault; one of them kills so often."""
    return {
        f"SIGKILL, {kills} times in one run": many_kills(kills),
        "SIGKILL": one_signal(signal.SIGKILL),
        "SIGTERM": one_signal(signal.SIGTERM),
        "SIGINT": one_signal(signal.SIGINT),
        "newest checkpoint: a file cut": damaged("cut"),
        "newest checkpoint: a file emptied": damaged("emptied"),
        "newest checkpoint: a bit flipped": damaged("flipped"),
        **{f"disk full, writing {where}": disk_full(where) for where in PLACES},
        "the clock jumps": clock_jumps,
        "a second process": two_processes,
        "NaN in weights": not_finite(in_weights),
        "NaN in gradients": not_finite(in_gradients),
        **{f"images: {how}": changed(how) for how in CHANGES},
    }
