"""A grid of runs over seeds and batch sizes: what is in it, and where it lies."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from wgan_jax import experiment
from wgan_jax.config import resolve
from wgan_jax.errors import UserError
from wgan_jax.settings import Settings

MOST = 10_000  # numbers on a side of a grid
RUN = Path(__file__).resolve().parent.parent / "run.py"  # wherever a grid was called from


class Cell(NamedTuple):
    """A run's place in the grid."""

    seed: int
    batch_size: int

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return f"batch_{self.batch_size}_seed_{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A grid.

    Attributes:
      config: the experiment file.
      overrides: `--config.name=value`, as given.
      seeds, batch_sizes: the two sides of the grid.
      out: folder of the runs.
    """

    config: Path
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    out: Path

    def __post_init__(self) -> None:
        for name, flag in (("seed", "--seeds"), ("batch_size", "--batch_sizes")):
            if any(o.partition("=")[0] == f"--config.{name}" for o in self.overrides):
                raise UserError(f"--config.{name} is what the grid varies: give {flag} instead.")

    def cells(self) -> list[Cell]:
        """Seed by seed: every batch size is seen early."""
        return [Cell(seed, size) for seed in self.seeds for size in self.batch_sizes]

    def workdir(self, cell: Cell) -> Path:
        return self.out / cell.name

    @cached_property
    def base(self) -> Settings:
        """The experiment's own settings; its file is a program, and runs once."""
        return experiment.read(self.config, self.overrides)

    def settings(self, cell: Cell) -> Settings:
        return resolve(dataclasses.replace(self.base, **cell._asdict()))

    def command(self, name: str, *changes: str) -> str:
        """The command line of a run `fix_<name>` with these settings changed, e.g. `seed=3`."""
        flags = experiment.last_of_each([*self.overrides, *(f"--config.{c}" for c in changes)])
        workdir = self.out / f"fix_{name}"
        files = ["--config", str(self.config)]
        return shlex.join(["python", "run.py", *files, *flags, "--workdir", str(workdir)])


def whole_numbers(text: str, flag: str) -> tuple[int, ...]:
    """`0:8` (0 to 7) or `64,256,1024` as numbers, each once.

    Raises:
      UserError: anything else.
    """
    try:
        if ":" in text:
            first, last = map(int, text.split(":"))
            numbers = tuple(range(first, min(last, first + MOST + 1)))
        else:
            numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UserError(
            f"{flag} {text!r} is neither a range like 0:8 nor a list like 1,2."
        ) from None
    if not numbers or min(numbers) < 0:
        raise UserError(f"{flag} {text!r} names no number of 0 or above.")
    if len(numbers) > MOST:
        raise UserError(f"{flag} {text!r} names more than {MOST} numbers: name fewer.")
    return numbers
