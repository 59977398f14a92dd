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


class InBackground:
    """Calls another writer's methods, in their order, on a thread.

    Without `on_error` (the record): the first error is raised once, at the next call; `flush` and
    `close` wait for all that was handed over.
    With `on_error` (a mirror): the first error goes to `on_error` once, on whichever thread notices
    it, and the writer is not called again. Only `close` waits, and no longer than `patience`.
    """

    def __init__(
        self,
        make: Callable[[], Writer],
        *,
        on_error: Callable[[Exception], None] | None = None,
        patience: float = 30.0,
        capacity: int = 4096,
    ) -> None:
        """Start the thread.

        Args:
          make: builds the writer, on the thread: logging in to a server may take its time.
          on_error: is told of the first error; what raises there is lost.
          patience: seconds that `close` waits for a mirror.
          capacity: calls that may wait in line. A mirror that lags further behind has failed; the
            record makes the loop wait instead.
        """
        self._on_error = on_error
        self._patience = patience if on_error else None
        self._calls: queue.Queue[Call] = queue.Queue(capacity)
        self._error: Exception | None = None
        self._failed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, args=(make,), daemon=True)
        self._thread.start()

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
        with self._lock:
            if self._failed:
                return
            self._failed, self._error = True, error
        if self._on_error:
            self._on_error(error)

    def _hand_over(self, name: str, *arguments: Any) -> threading.Event:
        self._raise()
        done = threading.Event()
        call = (name, arguments, done)
        if self._on_error is None:
            self._calls.put(call)
            return done
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._fail(TimeoutError(f"{self._calls.maxsize} messages behind"))
            done.set()
        return done

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error and self._on_error is None:
            raise error

    def _await(self, name: str) -> None:
        if not self._hand_over(name).wait(self._patience):
            self._fail(TimeoutError(f"no answer for {self._patience:g} s"))
        self._raise()

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        self._hand_over("write_chunk", epochs, columns, extras)

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        self._hand_over("write_images", step, images)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._hand_over("write_hparams", hparams)

    def write_summary(self, values: Mapping[str, object]) -> None:
        self._hand_over("write_summary", values)

    def flush(self) -> None:
        """Of the record: waits until all is on the disk. A mirror is asked, and not waited for."""
        if self._on_error is None:
            self._await("flush")
        else:
            self._hand_over("flush")

    def close(self) -> None:
        self._await("close")
