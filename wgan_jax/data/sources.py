"""What images are read from, one at a time; a folder and a TFDS split are sources of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError

Images = NDArray[np.uint8]

_PIECE = 2**23  # bytes
_MANY = 4096  # items given to threads at a time: millions at once would fill the memory

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Source(Protocol):
    """Images in a fixed order, each read when it is asked for. A numpy array is one.

    Can be pickled, for processes that decode, and read by several threads at once. Reading raises
    UserError, which names the file, where an image cannot be had.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""

    def __getitem__(self, index: int, /) -> Any:
        """Image number `index` of n: uint8 [height, width, channels]."""


@dataclass(frozen=True)
class ArrayFile:
    """Images that lie in a file one behind the other, as in an `.npy` file.

    They are read, not mapped: a mapped file that is cut short ends the process by a signal, and
    what was once mapped counts as the process's memory.

    Attributes:
      path: the file.
      offset: bytes before the first image.
      shape: (n, height, width, channels).
    """

    path: Path
    offset: int
    shape: tuple[int, ...]

    def __getitem__(self, index: int, /) -> Images:
        length = int(np.prod(self.shape[1:]))
        pixels = self._read(self.offset + index * length, length)
        return np.frombuffer(pixels, np.uint8).reshape(self.shape[1:])

    def pieces(self) -> Iterator[bytes]:
        """All pixels, some megabytes at a time."""
        end = self.offset + int(np.prod(self.shape))
        for start in range(self.offset, end, _PIECE):
            yield self._read(start, min(_PIECE, end - start))

    def _read(self, start: int, length: int) -> bytes:
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                found = file.read(length)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(found) < length:
            raise unreadable(self.path, "it is shorter than it was")
        return found


def unreadable(path: Path | str, error: object) -> UserError:
    """What the user reads when a file of the dataset vanished or was damaged."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0][:60]
    return UserError(f"{path} cannot be read ({reason}): restore it, then run the command again.")


def read_all(source: Source) -> Images:
    """Every image of a source, uint8 [n, h, w, c], decoded by threads."""
    images = np.empty(source.shape, np.uint8)

    def put(index: int) -> None:
        images[index] = source[index]

    for _ in in_threads(put, range(len(images))):
        pass
    return images


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """`map`, by threads and in order, of any number of items in bounded memory."""
    remaining = iter(items)
    with ThreadPoolExecutor() as pool:
        while some := list(islice(remaining, _MANY)):
            yield from pool.map(function, some)


def edges(path: Path | str, length: int) -> tuple[int, bytes, bytes]:
    """A file's size in bytes, and its first and last `length` bytes. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        head = tail = file.read(length)
        if size > length:
            file.seek(size - length)
            tail = file.read(length)
    return size, head, tail


def digest(*parts: object) -> str:
    """32 hex digits over the parts: bytes as they are, all else by its `repr`."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part if isinstance(part, bytes) else repr(part).encode())
        found.update(b"\0")
    return found.hexdigest()


def fingerprint(images: Images | ArrayFile) -> str:
    """32 hex digits that change with any pixel, the shape, or the order."""
    found = hashlib.blake2b(repr(tuple(images.shape)).encode(), digest_size=16)
    if isinstance(images, ArrayFile):
        for piece in images.pieces():
            found.update(piece)
    else:
        found.update(np.ascontiguousarray(images).data)
    return found.hexdigest()


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
