"""The command `evaluate` for a run."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.backend import use_compilation_cache
from wgan_jax.data.dataset import Dataset, load
from wgan_jax.errors import UserError, to_stderr
from wgan_jax.evaluator import Evaluator
from wgan_jax.files import append_line, if_writable, replace_object
from wgan_jax.gan.state import root_key
from wgan_jax.measurement import Quality, as_json
from wgan_jax.quality.encoders import ENCODERS
from wgan_jax.record import identity
from wgan_jax.record.samples import save_grid
from wgan_jax.sampling import draw
from wgan_jax.settings import DataSettings, Settings
from wgan_jax.starting import open_run

MOST = 1_000_000  # samples in a measurement


@dataclass(frozen=True)
class Options:
    """How pictures are encoded; what is empty is as the statistics files say, or the default.

    Attributes:
      encoder: `inception` (default) or `digits`.
      weights: name of the encoder's weights.
      resize: `tf1` (default) or `pytorch`.
      protocol: input protocol of plain statistics files, `tf1` or `pytorch`.
      dtype: `float32` (default) or `bfloat16`.
      batch_size: images per batch; None: the run's `quality.batch_size`, for two sets 64.
      image_size: side of the squares that datasets and folders are brought to, as in training; 0: a
        folder's own size, a dataset's own or that of the pictures it is compared with.
    """

    encoder: str = ""
    weights: str = ""
    resize: str = ""
    protocol: str = ""
    dtype: str = ""
    batch_size: int | None = None
    image_size: int = 0

    def __post_init__(self) -> None:
        for flag, value, known in (
            ("--encoder", self.encoder, tuple(ENCODERS)),
            ("--resize", self.resize, ("tf1", "pytorch")),
            ("--protocol", self.protocol, ("tf1", "pytorch")),
            ("--dtype", self.dtype, ("float32", "bfloat16")),
        ):
            if value and value not in known:
                raise UserError(f"{flag} {value} is not one of {', '.join(known)}.")
        if (self.batch_size is not None and self.batch_size < 1) or self.image_size < 0:
            raise UserError("--batch-size and --image-size must be at least 1.")

    @classmethod
    def of(cls, parsed: Any) -> Options:
        """From an object that has these attributes, among others."""
        return cls(**{field.name: getattr(parsed, field.name) for field in fields(cls)})


def evaluate_run(
    workdir: Path, checkpoint: str = "latest", n: int = 0, options: Options | None = None
) -> Quality:
    """Measure a run's samples against its own data; writes `quality.json` and `quality.png`.

    Every measurement of the run is kept, as a line of `quality.jsonl`. If the folder cannot be
    written (it may be another user's), the measurement is returned all the same.

    Args:
      workdir: the run's folder.
      checkpoint: `latest`, `best`, `healthy`, or a number of epochs.
      n: samples; 0: the run's `quality.n`.
      options: encoder, weights, resize, dtype, batch_size; empty ones are the run's own.

    Raises:
      UserError: no such checkpoint, or its images are not to be had, or are others.
    """
    options = options or Options()
    check_count(n)
    use_compilation_cache()
    game, epoch, state = open_run(workdir, checkpoint, to_stderr)
    dataset = own_images(workdir, game.settings, ".measure(images=...)")
    own = game.settings.quality
    quality = replace(
        own,
        encoder=options.encoder or own.encoder,
        weights=options.weights or own.weights,
        resize=options.resize or own.resize,
        batch_size=options.batch_size or own.batch_size,
    )
    game = replace(game, settings=replace(game.settings, quality=quality))
    evaluator = Evaluator(game, dataset, to_stderr, dtype=options.dtype or "float32")
    found = evaluator.measure(state, epoch, n=n, all_distances=True)
    found = replace(found, protocol=found.protocol | {"checkpoint": checkpoint})
    row = as_json(found)
    with if_writable(to_stderr, "the measurement is printed alone"):
        append_line(workdir / "quality.jsonl", json.dumps(row, ensure_ascii=False))
        replace_object(workdir / "quality.json", row)
    pictures = draw(game, state, game.grid_latents(root_key(game.settings.seed)))
    with if_writable(to_stderr, "the samples are not shown"):
        save_grid(pictures, workdir / "quality.png", columns=8)
    return found


def own_images(workdir: Path, settings: Settings, of_a_run: str) -> Dataset:
    """The images that a run was trained on, read again.

    Args:
      workdir: the run's folder.
      settings: the run's.
      of_a_run: what does the same in Python, e.g. `.measure(images=...)`.

    Raises:
      UserError: only Python can give them, they are not to be had, or they are others now.
    """
    if settings.data.name == "arrays":
        raise UserError(
            f"{workdir} was trained on an array, which only Python can give: "
            f"wgan_jax.load({str(workdir)!r}){of_a_run}."
        )
    dataset = load_images(settings.data, settings.image_size)
    identity.refuse_other_images(workdir, dataset.identity)
    return dataset


def check_count(n: int) -> None:
    """Refuse a number of samples out of its range, or no whole one; 0 is the run's own."""
    if not isinstance(n, int | np.integer) or not 0 <= n <= MOST:
        raise UserError(f"n = {n!r} must be at least 1 and at most {MOST}, a whole number.")


def load_images(data: DataSettings, image_size: int) -> Dataset:
    """`data.load`, with what it says while it prepares a dataset on stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        return load(data, image_size)
