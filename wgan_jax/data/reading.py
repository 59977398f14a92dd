"""Batches of images, decoded ahead of their use by processes or threads, through Grain."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wgan_jax.data.sources import Images, Source, usable_cores
from wgan_jax.errors import RunFailed, UserError

AHEAD = 64 * 2**20  # bytes of decoded images that may wait to be used
_MOST_BATCHES = 256  # decoded ahead, however small they are


class Batching(Protocol):
    """Which images are in which batch. Can be pickled."""

    def __len__(self) -> int:
        """How many batches there are."""

    def __call__(self, number: int) -> NDArray[Any]:
        """Indices [m] of the images in batch `number`; as many in each but perhaps the last."""


@dataclass(frozen=True)
class InTurn:
    """All n images once, in batches of `size`; the last may be smaller."""

    n: int
    size: int

    def __len__(self) -> int:
        return -(-self.n // self.size)

    def __call__(self, number: int) -> NDArray[Any]:
        return np.arange(number * self.size, min(self.n, (number + 1) * self.size))


@dataclass(frozen=True)
class _BatchSource:
    """Batches of a source's images, as a data source of Grain's."""

    source: Source
    batching: Batching

    def __len__(self) -> int:
        return len(self.batching)

    def __getitem__(self, number: int) -> Images:
        return np.stack([self.source[int(index)] for index in self.batching(number)])


class Reader:
    """An iterator over a source's images in batches, uint8 [m, h, w, c] each, in order.

    Decoding starts at once, in the background. Close it after use.

    Raises, when a batch is asked for:
      UserError: an image cannot be read.
      RunFailed: a decoding process came to an end.
    """

    def __init__(self, source: Source, batching: Batching, workers: int) -> None:
        """Begin to decode.

        Args:
          source: the images.
          batching: which of them are in which batch.
          workers: processes that decode; 0: threads of this one. Images that lie in memory need
            no decoding, and are taken by threads.
        """
        try:
            import grain
        except ImportError:
            raise UserError(
                "config.data.stream: Grain is not installed (it has no release for Windows): "
                "leave it off, so that all images are kept on the device."
            ) from None
        from absl import flags

        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads flags of its own: at their defaults

        size = max(1, len(batching(0)) * int(np.prod(source.shape[1:])))
        ahead = max(1, min(_MOST_BATCHES, _room() // size))
        workers = 0 if isinstance(source, np.ndarray) else workers
        threads = 0 if workers else min(usable_cores(), ahead)
        batches = grain.MapDataset.source(_BatchSource(source, batching)).to_iter_dataset(
            grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads and ahead)
        )
        if workers:
            each = max(1, ahead // (2 * workers))  # Grain keeps as many again on this side
            batches = batches.mp_prefetch(
                grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=each),
                worker_init_fn=_begin_worker,
            )
        self._batches: Any = iter(batches)
        # Before interpreter and multiprocessing are taken down, where closing would fail.
        atexit.register(self.close)
        with _signals_held_back():
            if workers:
                self._batches.get_state()  # makes the iterators whose processes are then started
            self._batches.start_prefetch()

    def __iter__(self) -> Iterator[Images]:
        return self

    def __next__(self) -> Images:
        try:
            # A copy: what a process decoded lies in memory shared with it.
            return np.array(next(self._batches))
        except (StopIteration, UserError):
            raise
        except RuntimeError as error:
            raise RunFailed(
                f"A decoding process ended ({str(error).partition('. ')[0]}): if memory was short, "
                "run the same command with fewer --config.data.workers."
            ) from error

    def close(self) -> None:
        """End the threads and processes; a second time does nothing."""
        atexit.unregister(self.close)
        batches, self._batches = self._batches, iter(())
        if hasattr(batches, "close"):
            batches.close()


def _room() -> int:
    """Bytes for batches decoded ahead; processes hand them over in /dev/shm, often a small one."""
    shared = Path("/dev/shm")
    return min(AHEAD, shutil.disk_usage(shared).free // 2) if shared.is_dir() else AHEAD


def _begin_worker(index: int, count: int) -> None:
    """What a decoding process does first: see to it that it never outlives the run."""
    del index, count
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Threads and processes started in here never see Ctrl-C or SIGTERM: the run decides.

    A terminal's Ctrl-C, and many a cluster's SIGTERM, reach every process of a job; those that
    decode are needed until the run has saved. A process inherits what its starter held back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it lets these signals through again
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
