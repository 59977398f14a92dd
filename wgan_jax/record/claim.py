"""A run's folder as its owner sees it: one process at a time, one run, and its events."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from wgan_jax.config import difference, resolve, to_dict
from wgan_jax.errors import UserError
from wgan_jax.files import absolute, append_line, as_object, has_locks, locked, replace_object
from wgan_jax.history import parsed
from wgan_jax.record.writers import to_json
from wgan_jax.settings import Settings

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
            if workdir in made and not _begun(workdir):
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


def _begun(workdir: Path) -> bool:
    """Whether anything was trained in the folder, or may have been."""
    places = (workdir / "metrics.jsonl", *(workdir / "checkpoints").glob("*"))
    return any(path.is_dir() or (path.is_file() and path.stat().st_size) for path in places)


def _take_back(made: Sequence[Path]) -> None:
    """Remove the folder, and those around it, that a start made which was then refused."""
    shutil.rmtree(made[0], ignore_errors=True)
    for around in made[1:]:
        with contextlib.suppress(OSError):  # another run lies there by now
            around.rmdir()


def settle(workdir: Path, settings: Settings, dataset: Mapping[str, Any]) -> None:
    """Write the settings and what identifies the data; refuse to mix two runs in one folder.

    A run that has nothing left to do keeps its settings, except for where its images are.

    Args:
      workdir: the run's folder.
      settings: of this start.
      dataset: what the images are known by: `name`, `shape`, `fingerprint`, `files`, `names`.

    Raises:
      UserError: the folder holds a run whose settings or images differ in what changes the result.
    """
    path, data_path = workdir / "config.json", workdir / "dataset.json"
    if path.exists() and _begun(workdir):  # else there is nothing yet that could be mixed
        old = load_settings(workdir)
        _refuse_other_settings(workdir, old, settings)
        if ended(workdir) and (workdir / "checkpoints" / str(settings.epochs)).is_dir():
            settings = dataclasses.replace(old, data=settings.data)
    if data_path.exists() and _begun(workdir):
        refuse_other_images(workdir, dataset)
    replace_object(path, to_dict(settings))
    replace_object(data_path, dataset)


def check_seen(workdir: Path) -> None:
    """Refuse a folder that only the process which made it can see.

    Raises:
      UserError: this process does not find the run that another has begun there.
    """
    if not (workdir / "config.json").exists():
        raise UserError(
            f"--workdir={workdir} is not the same folder on every host: give one that all share."
        )


def load_settings(workdir: Path) -> Settings:
    """The settings that a run was started with.

    Raises:
      UserError: there is no run in the folder, or its `config.json` is damaged.
    """
    found = _read_json(workdir, "config.json")
    found.pop("gpu_graph", None)  # once a setting, of no effect on results
    try:
        return resolve(found)
    except UserError as error:
        raise UserError(f"{workdir / 'config.json'} does not fit this version: {error}") from None


def load_dataset(workdir: Path) -> dict[str, Any]:
    """What the images are known by that a run was trained on, as `settle` was given it.

    Raises:
      UserError: there is no run in the folder, or its `dataset.json` is damaged.
    """
    found = _read_json(workdir, "dataset.json")
    shape = found.get("shape")
    whole = isinstance(shape, list) and len(shape) == 4 and all(type(n) is int for n in shape)
    if not whole or not isinstance(found.get("fingerprint"), str):
        raise _damaged(workdir / "dataset.json")
    return found


def _read_json(workdir: Path, name: str) -> dict[str, Any]:
    path = workdir / name
    try:
        found = as_object(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{workdir} holds no run (it has no {name}): name a run's folder."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path.") from None
    if found is None:
        raise _damaged(path)
    return found


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged: restore it, or choose another folder.")


def _refuse_other_settings(workdir: Path, old: Settings, new: Settings) -> None:
    changed = difference(old, new)
    folders = all(name.startswith("folder:") for name in (old.data.name, new.data.name))
    if folders and (workdir / "dataset.json").exists():
        changed.pop("data.name", None)  # pictures may have moved: `refuse_other_images` knows them
    if new.epochs < old.epochs:
        changed["epochs"] = (old.epochs, new.epochs)
    elif new.epochs != old.epochs:
        for player in ("critic_optimizer", "generator_optimizer"):
            optimizer = getattr(new, player)
            if optimizer.schedule != "constant" and not optimizer.decay_epochs:
                changed["epochs, the end of the learning rate's schedule,"] = (
                    old.epochs,
                    new.epochs,
                )
    if changed:
        shown = "; ".join(
            f"{name} {was} -> {now}" for name, (was, now) in list(changed.items())[:3]
        )
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        measures = any(name.startswith("quality.") for name in changed)
        otherwise = " run.py evaluate measures it in other ways." if measures else ""
        raise UserError(
            f"{workdir} holds a run with other settings ({shown}{more}): "
            f"choose another --workdir, or take these back.{otherwise}"
        )


def refuse_other_images(workdir: Path, new: Mapping[str, Any]) -> None:
    """Refuse a dataset that is not the one that the folder's run was trained on.

    Raises:
      UserError: it says in what the two differ.
    """
    old = load_dataset(workdir)
    if not same_images(old, new):
        raise UserError(
            f"The images are not those that {workdir} was trained on: {_other(old, new)}. Bring "
            "them back, or choose another --workdir."
        )


def _other(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In what two datasets differ: the first of source, number, size, names, pixels that does."""
    (was, *size), (now, *new_size) = old["shape"], new["shape"]
    if old.get("name") != new["name"]:
        return f"{old.get('name')} then, {new['name']} now"
    if was != now:
        return f"{was} then, {now} now"
    if size != new_size:
        return f"of size {size} then, {new_size} now"
    if old.get("names") and new.get("names") and old["names"] != new["names"]:
        return f"still {now}, but files have other names"
    return f"still {now}, but some have other pixels"


def same_images(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two datasets, as in `dataset.json`, hold the same images in the same order.

    Where one is resident, and known by its pixels, and the other streamed, and known by its files,
    the files decide: a run may go on either way.
    """
    if old.get("fingerprint") == new.get("fingerprint"):
        return True
    one_streamed = (old.get("fingerprint") == old.get("files")) != (
        new.get("fingerprint") == new.get("files")
    )
    return one_streamed and all(old.get(key) == new.get(key) for key in ("files", "shape"))


def new_event(event: str, epoch: int, **details: Any) -> dict[str, Any]:
    """What happened to the run, at which epoch, and when: now, unless the details say."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"time": now, "epoch": epoch, "event": event, **details}


def append_event(workdir: Path, event: str, epoch: int, **details: Any) -> None:
    """One line in `events.jsonl`, a `new_event`."""
    append_line(workdir / "events.jsonl", to_json(new_event(event, epoch, **details)))


def events(workdir: Path) -> list[dict[str, Any]]:
    """All events of a run, oldest first; a damaged line, or one cut short, is left out."""
    path = workdir / "events.jsonl"
    if not path.exists():
        return []
    with path.open("rb") as lines:
        found = [parsed(line) for line in lines]
    return [event for event in found if event and isinstance(event.get("event"), str)]


def ended(workdir: Path) -> bool:
    """Whether the run in a folder has nothing left to do."""
    last = events(workdir)[-1:]
    return bool(last) and last[0]["event"] in ("finished", "failed")
