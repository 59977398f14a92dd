"""Ctrl-C and SIGTERM: noticed between two chunks instead of anywhere, and never lost."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class Signals:
    """What was received so far.

    Attributes:
      received: the signal's number, or 0.
      since: when it came, by the monotonic clock.
    """

    received: int = 0
    since: float = 0.0


@contextlib.contextmanager
def remembered() -> Iterator[Signals]:
    """Let Ctrl-C act at once, as always, and remember it.

    Python drops an exception that is raised while it collects garbage, where jax has a callback: a
    run that is being prepared would go on as if nothing had been asked.
    """
    signals, act = Signals(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(act):
        yield signals
        return

    def note(signum: int, frame: FrameType | None) -> None:
        signals.received, signals.since = signum, time.monotonic()
        act(signum, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGINT, act)


@contextlib.contextmanager
def watched(signals: Signals) -> Iterator[None]:
    """Note SIGINT and SIGTERM instead of acting on them; a second one acts at once, as always.

    One that comes within a second of the first is the same one: a cluster sends it to a process and
    its parent, and the parent passes it on.

    Off the main thread, where Python allows no handlers, nothing is watched.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if not signals.received:
            signals.received, signals.since = signum, now
        elif now - signals.since > 1:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.raise_signal(signum)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
