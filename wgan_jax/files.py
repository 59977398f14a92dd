"""How files are written so that nothing is lost, and where what was computed once is kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from wgan_jax.errors import UserError, one_line

try:
    import fcntl
except ImportError:  # Windows has no flock; there two processes are not kept apart
    fcntl = None  # type: ignore[assignment]

CACHE_VARIABLE = "WGAN_JAX_CACHE"
NOT_KEPT = f"not kept for the next time; ${CACHE_VARIABLE} names another place"


class NotWritten(UserError):
    """A file cannot be written.

    Attributes:
      reason: which, and why; the message says also what to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"{reason}. Nothing saved is lost: mend that (free some space, say) and run the same "
            "command again."
        )
        self.reason = reason


def cache_dir() -> Path:
    """`$WGAN_JAX_CACHE`, else `wgan-jax` in the user's cache directory."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return expanded(own)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "wgan-jax"


def expanded(path: str | Path) -> Path:
    """The path with `~` replaced; as it is where there is no such user."""
    return Path(os.path.expanduser(path))


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a whole file so that a reader, or a crash, finds the old or the new one, never half.

    Raises:
      NotWritten: it cannot be written; the old file, if any, is as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise no_room(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those around it, where it is not there.

    Raises:
      UserError: it is a file, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise no_room(path, error) from error


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a file, made where it is not there, against other processes that ask for it so.

    It is let go at the end, and when the process dies.

    Raises:
      BlockingIOError: another process holds it, and `wait` is false.
    """
    with path.open("a") as file:  # not "w": who is refused changes nothing
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def no_room(path: Path, error: OSError) -> NotWritten:
    """What the user reads when a file cannot be written."""
    return NotWritten(f"{path} cannot be written ({error.strerror or error})")


@contextlib.contextmanager
def if_writable(say: Callable[[str], None], otherwise: str) -> Iterator[None]:
    """Write what can be done without: where it cannot be, `say` is told, and what is so then."""
    try:
        yield
    except NotWritten as error:
        say(one_line(f"{error.reason}: {otherwise}."))
