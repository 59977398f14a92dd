"""Ctrl-C and SIGTERM, noticed between two chunks instead of anywhere."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class Watch:
    """What was received so far.

    Attributes:
      received: the signal's number, or 0.
    """

    received: int = 0


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Note SIGINT and SIGTERM instead of acting on them; a second one acts at once, as always.

    Off the main thread, where Python allows no handlers, nothing is watched.
    """
    watch = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, frame: FrameType | None) -> None:
        del frame
        watch.received = signum
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
