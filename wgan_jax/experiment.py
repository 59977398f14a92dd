"""Reads an experiment file and the command line's overrides, through ml_collections' flags."""

from __future__ import annotations

import re
import runpy
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from wgan_jax.config import flat, kind_of, resolve, unknown_field
from wgan_jax.errors import UserError, first_line, kind_and_line
from wgan_jax.settings import Settings


def read(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings from an experiment file and flags.

    Args:
      path: a Python file with `get_config() -> ConfigDict`.
      overrides: e.g. `["--config.batch_size=256", "--config.data.classes", "horse"]`.

    Raises:
      UserError: no such file, an error in it, an unknown field or flag, or a value that does not
        fit.
    """
    return resolve(_overridden(_load(path), overrides))


def _load(path: Path) -> ConfigDict:
    if not path.is_file():
        raise UserError(f"--config={path} is not a file: name one, e.g. experiments/cifar_wgan.py.")
    try:
        names = runpy.run_path(str(path))
        config = names["get_config"]() if "get_config" in names else None
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever the file itself may raise
        raise UserError(
            f"--config={path.name} fails: {kind_and_line(error)}. Mend the file."
        ) from error
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config={path.name} needs a get_config() that returns wgan_jax.config.base() or "
            "another ConfigDict."
        )
    return config


def _overridden(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """The config with the flags' values, each cast to the type of its field."""
    for flag in overrides:
        if flag.startswith("--"):
            _refuse_unknown(flag.removeprefix("--").partition("=")[0])
    values, argv = flags.FlagValues(), ["run.py", *last_of_each(overrides)]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    try:
        rest = values(argv)
    except flags.Error as error:
        raise UserError(_explained(error)) from error
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not understood: fields are set by --config.NAME=VALUE.")
    return config


def last_of_each(overrides: Sequence[str]) -> list[str]:
    """The overrides but for those that a later one replaces; the flags' library joins tuples."""
    last: dict[str, list[str]] = {}
    name = ""
    for part in overrides:
        if part.startswith("--"):
            name = part.partition("=")[0]
            last[name] = []
        last.setdefault(name, []).append(part)
    return [part for parts in last.values() for part in parts]


def _refuse_unknown(name: str) -> None:
    """Name the nearest field before the flags' library says its own, longer word."""
    field = name.removeprefix("config.")
    known = flat(Settings())
    if field == name:
        raise UserError(f"--{name} is not a flag: see run.py --help.")
    if any(other.startswith(f"{field}.") for other in known):
        raise UserError(
            f"config.{field} is a group of fields: set one of them, --config.{field}.NAME=VALUE."
        )
    if field not in known:
        raise UserError(unknown_field(field))


def _explained(error: Exception) -> str:
    found = re.match(r"flag --config\.([\w.]+)=(.*?): ", str(error))
    if not found:
        return f"{first_line(error)}. See run.py --help."
    name, value = found.groups()
    return f"config.{name} = {value!r} must be {kind_of(flat(Settings())[name])}."
