"""How files are written so that nothing is lost, read though damaged, and kept in a cache."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from wgan_jax.errors import UserError, one_line

try:
    import fcntl
except ImportError:  # Windows has no flock; there two processes are not kept apart
    fcntl = None  # type: ignore[assignment]

# What flock says where a file system has no locks: Lustre by default, some NFS.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
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
    """`$WGAN_JAX_CACHE`, else `wgan-jax` in the user's cache directory.

    A user without a home, as in some containers, has none that could be written.
    """
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return expanded(own)
    found = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (Path("/nonexistent") if found.parts[0] == "~" else found) / "wgan-jax"


def expanded(path: str | Path) -> Path:
    """The path with `~` replaced; as it is where there is no such user."""
    return Path(os.path.expanduser(path))


def absolute(path: Path) -> Path:
    """The whole path as it was given: a folder that is a link keeps its place and name."""
    return Path(os.path.abspath(path))


def as_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object in a file's bytes; None where they hold another thing, or are damaged."""
    try:
        found = json.loads(data.decode("utf-8-sig"))  # of bytes, json would guess UTF-16 too
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is none, it is damaged, or cannot be read."""
    try:
        return as_object(path.read_bytes())
    except OSError:
        return None


def replace_bytes(path: Path, data: bytes) -> None:
    """Write a whole file so that a reader, or a crash, finds the old or the new one, never half.

    Raises:
      NotWritten: it cannot be written; the old file, if any, is as it was.
    """
    # Not by the process's number: those of two containers or hosts may be the same.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
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
        raise not_written(path, error) from error


def utf8(text: str) -> bytes:
    """Text for a file; bytes of a name that are not UTF-8 are escaped, as JSON escapes them."""
    return text.encode(errors="backslashreplace")


def replace_text(path: Path, text: str) -> None:
    """`replace_bytes` of a text in UTF-8."""
    replace_bytes(path, utf8(text))


def replace_object(path: Path, found: Mapping[str, Any]) -> None:
    """`replace_bytes` of a JSON object, as `read_object` reads it."""
    replace_text(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def check_writable(path: Path) -> None:
    """Before long work: could its result be written to this file?

    Raises:
      NotWritten: it could not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise not_written(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder, and those around it, where it is not there.

    Raises:
      UserError: it is a file, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, error) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; where a crash cut the last line short, it begins a new one.

    Raises:
      NotWritten: it cannot be.
    """
    try:
        with path.open("ab+") as file:
            file.seek(max(file.tell() - 1, 0))
            torn = file.read() not in (b"", b"\n")
            file.write(b"\n" * torn + utf8(line) + b"\n")
    except OSError as error:
        raise not_written(path, error) from error


@contextlib.contextmanager
def locked(path: Path, *, patience: float = 0.0) -> Iterator[bool]:
    """Lock a file, made if it is not there, against other processes that lock it so.

    The lock ends with the `with`, or with the process. Yields whether it is held: where the system,
    or the file system, has no locks, it is not.

    Raises:
      BlockingIOError: another process holds it, still after `patience` seconds.
    """
    with path.open("a") as file:  # not "w": who is refused changes nothing
        yield _held(file, time.monotonic() + patience)


def _held(file: IO[str], until: float) -> bool:
    try:
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.02)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return False


def has_locks(path: Path) -> bool:
    """Whether a file, which this process may hold itself, can be held at all."""
    try:
        with locked(path) as held:
            return held
    except BlockingIOError:
        return True


def not_written(path: Path, error: OSError) -> NotWritten:
    """What the user reads when a file cannot be written."""
    return NotWritten(f"{path} cannot be written ({error.strerror or error})")


@contextlib.contextmanager
def if_writable(say: Callable[[str], None], otherwise: str) -> Iterator[None]:
    """For files that are not needed: where one cannot be written, tell `say` and go on.

    Args:
      say: takes one line: the reason, and the consequence.
      otherwise: the consequence.
    """
    try:
        yield
    except NotWritten as error:
        say(one_line(f"{error.reason}: {otherwise}."))
