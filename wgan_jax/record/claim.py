"""A run's folder is one process's at a time."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from wgan_jax.errors import UserError
from wgan_jax.files import absolute, has_locks, locked

_LOCK = ".lock"


@contextlib.contextmanager
def claimed(workdir: Path) -> Iterator[None]:
    """Make the folder and hold it: a second process is refused while this one has it.

    The claim ends with the process, however that ends. Where there are no locks it holds nothing
    (see `is_guarded`).

    Raises:
      UserError: it is a file or a link to nothing, cannot be written or hold checkpoints, or
        another process trains in it.
    """
    _refuse_odd_path(workdir)
    for folder in (workdir, workdir / "checkpoints"):
        if folder.is_symlink() and not folder.exists():  # else the run would begin anew
            raise UserError(
                f"{folder} is a link to what is not there: bring it back (is its disk mounted?), "
                "or remove the link."
            )
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir={workdir} is a file: name a folder.")
    made = [path for path in (workdir, *workdir.parents) if not path.exists()]
    with contextlib.ExitStack() as held:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(workdir / _LOCK))
        except BlockingIOError:
            raise UserError(
                f"Another process trains in {workdir}: wait for it, or choose another folder."
            ) from None
        except OSError as error:
            raise UserError(
                f"--workdir={workdir} cannot be written ({error.strerror}): choose another folder."
            ) from error
        try:
            yield
        except UserError:
            if workdir in made and not begun(workdir):
                _take_back(made)
            raise


def _refuse_odd_path(workdir: Path) -> None:
    """Refuse a path below which checkpoints cannot be saved, or could not be read back."""
    path = absolute(workdir).as_posix()
    bucket = re.match("/(gs|s3|az|hf)(?:/|$)", path)
    if not fnmatchcase(path, path) or "\\" in path:  # and saves what cannot be read
        reason = "orbax takes [...] and \\ in a path for a pattern"
    elif bucket:
        reason = f"orbax takes /{bucket[1]} for a bucket"
    elif any("\ud800" <= sign <= "\udfff" for sign in path):
        reason = "its path is not UTF-8"
    else:
        return
    raise UserError(
        f"--workdir={workdir} cannot hold checkpoints ({reason}): name another folder, or a link "
        "to this one."
    )


def is_guarded(workdir: Path) -> bool:
    """Whether a second process would be refused in the folder: its file system has locks."""
    return has_locks(workdir / _LOCK)


def begun(workdir: Path) -> bool:
    """Whether anything was trained in the folder, or may have been."""
    places = (workdir / "metrics.jsonl", *(workdir / "checkpoints").glob("*"))
    return any(path.is_dir() or (path.is_file() and path.stat().st_size) for path in places)


def _take_back(made: Sequence[Path]) -> None:
    """Remove the folder, and those around it, that a start made which was then refused."""
    shutil.rmtree(made[0], ignore_errors=True)
    for around in made[1:]:
        with contextlib.suppress(OSError):  # another run lies there by now
            around.rmdir()


def check_seen(workdir: Path) -> None:
    """Refuse a folder that only the process which made it can see.

    Raises:
      UserError: this process does not find the run that another has begun there.
    """
    if not (workdir / "config.json").exists():
        raise UserError(
            f"--workdir={workdir} is not the same folder on every host: give one that all share."
        )
