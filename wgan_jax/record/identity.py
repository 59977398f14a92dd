"""What makes a folder's run the run it is: its settings and its images; no other goes on there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan_jax.config import difference, resolve, to_dict
from wgan_jax.errors import UserError
from wgan_jax.files import as_object, replace_object
from wgan_jax.record.claim import begun
from wgan_jax.record.events import ended
from wgan_jax.settings import Settings


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
    if path.exists() and begun(workdir):  # else there is nothing yet that could be mixed
        old = load_settings(workdir)
        _refuse_other_settings(workdir, old, settings)
        if ended(workdir) and (workdir / "checkpoints" / str(settings.epochs)).is_dir():
            settings = dataclasses.replace(old, data=settings.data)
    if data_path.exists() and begun(workdir):
        refuse_other_images(workdir, dataset)
    replace_object(path, to_dict(settings))
    replace_object(data_path, dataset)


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
