"""Reads an experiment file and the command line's overrides, through ml_collections' flags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from wgan_jax.config import Settings, flat, resolve, unknown_field
from wgan_jax.errors import UserError


def read(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings from an experiment file and flags.

    Args:
      path: a Python file with `get_config() -> ConfigDict`.
      overrides: e.g. `["--config.batch_size=256", "--config.data.classes", "horse"]`.

    Raises:
      UserError: no such file, an error in it, an unknown field or flag, or a value that does not
        fit.
    """
    if not path.is_file():
        raise UserError(f"--config={path} is not a file: name one, e.g. experiments/cifar_wgan.py.")
    _refuse_unknown(overrides)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    try:
        rest = values(["run.py", f"--config={path}", *overrides])
        config = values.config
    except flags.Error as error:
        raise UserError(_one_line(error)) from error
    except UserError:
        raise
    except Exception as error:  # whatever the experiment file itself may raise
        raise UserError(f"{path} cannot be read: {type(error).__name__}: {_one_line(error)}") from error
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not understood here: fields are set by --config.NAME=VALUE.")
    if not isinstance(config, ConfigDict):
        raise UserError(f"{path}: get_config() must return a ConfigDict, from wgan_jax.config.base().")
    return resolve(config)


def _refuse_unknown(overrides: Sequence[str]) -> None:
    """Name the nearest field or flag before ml_collections says its own, longer word."""
    fields = set(flat(Settings()))
    for flag in overrides:
        if not flag.startswith("--"):
            continue
        name = flag.removeprefix("--").partition("=")[0]
        if not name.startswith("config."):
            raise UserError(f"--{name} is not a flag: see run.py --help.")
        field = name.removeprefix("config.")
        if field not in fields:
            raise UserError(unknown_field(field))


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return lines[0][:150]
