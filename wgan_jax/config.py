"""What a user configures -> settings, resolved once, at the door.

An experiment file starts from `base()`, which is the fields of `Settings` as an
`ml_collections.ConfigDict`, and overrides a few; the command line overrides any
(`--config.batch_size=256`); `resolve` turns the result into frozen, validated `Settings`, which is
all that the rest of the program sees. Imports neither jax nor TensorFlow.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any, get_type_hints

from ml_collections import ConfigDict

from wgan_jax.errors import UserError
from wgan_jax.limits import MOST_UPDATES, check
from wgan_jax.settings import Settings, critic_updates


def base() -> ConfigDict:
    """The defaults (the guide's CIFAR-10 run) as a ConfigDict, for experiment files to override."""
    return ConfigDict(to_dict(Settings()))


def to_dict(settings: Any) -> dict[str, Any]:
    """Nested plain dictionary of settings; tuples stay tuples (JSON turns them into lists)."""
    return dataclasses.asdict(settings)


def resolve(config: Mapping[str, Any] | ConfigDict | Settings) -> Settings:
    """Validated settings from a config.

    Raises:
      UserError: no config at all, an unknown field (naming the nearest right one), a value of the
        wrong type, or one out of its range.
    """
    if isinstance(config, Settings):
        settings = config
    elif not isinstance(config, Mapping | ConfigDict):
        raise UserError(
            f"config must be a ConfigDict or a dictionary, got {type(config).__name__}: begin with "
            "wgan_jax.config.base(), or with an experiment's get_config()."
        )
    else:
        given = config.to_dict() if isinstance(config, ConfigDict) else config
        settings = _build(Settings, given, "")
    check(_walk(settings, ""))
    _check_updates(settings)
    return settings


def flat(settings: Settings) -> dict[str, Any]:
    """Every setting under its dotted name, e.g. `data.flip`."""
    return {name: value for name, value, _ in _walk(settings, "")}


def difference(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Settings that differ and change the result of a run: dotted name -> (old, new).

    That is the trained weights, and what is measured of them: a FID by another protocol is no
    better or worse than those before it.
    """
    was = flat(old)
    return {
        name: (was[name], value)
        for name, value, field in _walk(new, "")
        if field.metadata["result"] and was[name] != value
    }


def describe() -> list[tuple[str, Any, str]]:
    """(dotted name, default, meaning) of every field, for the help and the docs."""
    return [
        (name, value, field.metadata["meaning"]) for name, value, field in _walk(Settings(), "")
    ]


def _check_updates(settings: Settings) -> None:
    """Refuse more critic updates than their counter holds."""
    epochs = max(settings.epochs, settings.critic_optimizer.decay_epochs)
    updates = critic_updates(settings, 0, epochs)
    if updates > MOST_UPDATES:
        raise UserError(
            f"{epochs} epochs, of config.epochs or config.critic_optimizer.decay_epochs, have "
            f"{updates} critic updates, above {MOST_UPDATES}: lower them, config.n_critic or "
            "config.n_critic_schedule."
        )


def _walk(settings: Any, prefix: str) -> list[tuple[str, Any, dataclasses.Field[Any]]]:
    rows: list[tuple[str, Any, dataclasses.Field[Any]]] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            rows += _walk(value, f"{prefix}{field.name}.")
        else:
            rows.append((prefix + field.name, value, field))
    return rows


def _build(cls: type[Any], given: Mapping[str, Any], prefix: str) -> Any:
    types = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            raise UserError(unknown_field(prefix + str(name)))
        if dataclasses.is_dataclass(types[name]):
            if not isinstance(value, Mapping):
                raise UserError(f"config.{prefix}{name} is a group of fields: set one of them.")
            values[name] = _build(types[name], value, f"{prefix}{name}.")
        else:
            values[name] = _cast(_plain(value), types[name], prefix + name)
    return cls(**values)


def unknown_field(name: str) -> str:
    """The message for a field that does not exist, naming the nearest that does."""
    known = [row[0] for row in describe()]
    if name in known:
        group, _, field = name.rpartition(".")
        return f"config.{name} belongs in its group: {{'{group}': {{'{field}': ...}}}}."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean config.{near[0]}?" if near else " run.py --fields lists those that do."
    return f"config.{name} does not exist.{hint}"


def _plain(value: Any) -> Any:
    """Numbers of NumPy, which is not imported for this, as Python's: notebooks have them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _cast(value: Any, wanted: Any, name: str) -> Any:
    """The value in the field's type, or a UserError; an int is a float, a list a tuple."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    if wanted in (int, float, str, bool) and type(value) is wanted:
        return value
    if (
        wanted not in (int, float, str, bool)
        and isinstance(value, list | tuple)
        and all(type(item) is int for item in value)
    ):
        return tuple(value)
    raise UserError(f"config.{name} = {value!r} must be {_KINDS.get(wanted, _LIST)}.")


def fits(value: Any, default: Any) -> bool:
    """Whether a value, as JSON has it, is of the kind that a field with this default takes."""
    try:
        _cast(value, type(default), "")
    except UserError:
        return False
    return True


_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}
_LIST = "a list of integers"


def kind_of(default: Any) -> str:
    """In words, what a field with this default takes."""
    return _KINDS.get(type(default), _LIST)
