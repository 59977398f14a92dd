"""A writer on a thread of its own, so that writing overlaps with the device's work.

Each writer has its own thread, so that a mirror that hangs holds neither training nor the record.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.record.writers import Columns, Extras, Writer

Call = tuple[str, tuple[Any, ...], threading.Event]
CAPACITY = 4096  # calls that may wait in line


class _OnThread:
    """Calls another writer's methods, in their order, on a thread, until one fails."""

    def __init__(self, make: Callable[[], Writer], capacity: int = CAPACITY) -> None:
        """Start the thread.

        Args:
          make: builds the writer, on the thread: logging in to a server may take its time.
          capacity: calls that may wait in line.
        """
        self._calls: queue.Queue[Call] = queue.Queue(capacity)
        self._failed = False
        threading.Thread(target=self._work, args=(make,), daemon=True).start()

    def _work(self, make: Callable[[], Writer]) -> None:
        writer: Writer | None = None
        try:
            writer = make()
        except Exception as error:
            self._fail(error)
        while True:
            name, arguments, done = self._calls.get()
            if writer and not self._failed:
                try:
                    getattr(writer, name)(*arguments)
                except Exception as error:
                    self._fail(error)
            done.set()
            if name == "close":
                return

    def _fail(self, error: Exception) -> None:
        raise NotImplementedError

    def _hand_over(self, name: str, *arguments: Any) -> threading.Event:
        """Put a call in line; the event is set once it was made, or cannot be."""
        raise NotImplementedError

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        self._hand_over("write_chunk", epochs, columns, extras)

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        self._hand_over("write_images", step, images)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._hand_over("write_hparams", hparams)

    def write_summary(self, values: Mapping[str, object]) -> None:
        self._hand_over("write_summary", values)


class InBackground(_OnThread):
    """For the record: its first error is raised once, at the next call.

    `flush` and `close` wait until all that was handed over is written; where the line is full,
    every call waits.
    """

    def __init__(self, make: Callable[[], Writer]) -> None:
        self._error: Exception | None = None
        super().__init__(make)

    def flush(self) -> None:
        self._hand_over("flush").wait()
        self._raise()

    def close(self) -> None:
        self._hand_over("close").wait()
        self._raise()

    def _fail(self, error: Exception) -> None:
        self._failed, self._error = True, error

    def _hand_over(self, name: str, *arguments: Any) -> threading.Event:
        self._raise()
        done = threading.Event()
        self._calls.put((name, arguments, done))
        return done

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error:
            raise error


class Mirror(_OnThread):
    """For a mirror: its first error goes to `on_error` once, and it is not called again.

    Only `close` waits, and no longer than `patience`. A mirror that lags by a full line has failed.
    """

    def __init__(
        self,
        make: Callable[[], Writer],
        on_error: Callable[[Exception], None],
        patience: float = 30.0,
        capacity: int = CAPACITY,
    ) -> None:
        """Start the thread.

        Args:
          make: builds the writer, on the thread.
          on_error: is told of the first error, on whichever thread notices it; what it raises is
            lost.
          patience: seconds that `close` waits.
          capacity: calls that may wait in line.
        """
        self._on_error, self._patience = on_error, patience
        self._lock = threading.Lock()
        super().__init__(make, capacity)

    def flush(self) -> None:
        self._hand_over("flush")

    def close(self) -> None:
        if not self._hand_over("close").wait(self._patience):
            self._fail(TimeoutError(f"no answer for {self._patience:g} s"))

    def _fail(self, error: Exception) -> None:
        with self._lock:
            if self._failed:
                return
            self._failed = True
        self._on_error(error)

    def _hand_over(self, name: str, *arguments: Any) -> threading.Event:
        done = threading.Event()
        try:
            self._calls.put_nowait((name, arguments, done))
        except queue.Full:
            self._fail(TimeoutError(f"{self._calls.maxsize} messages behind"))
            done.set()
        return done
