"""The command `sample`: pictures from a checkpoint, needing neither the dataset nor W&B."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from wgan_jax import decoding, devices
from wgan_jax.backend import enough_memory, use_compilation_cache
from wgan_jax.errors import UserError, to_stderr
from wgan_jax.files import not_written
from wgan_jax.gan.state import Game, GanState, Stream, root_key
from wgan_jax.record.samples import save_grid
from wgan_jax.starting import open_run

BATCH = 256  # samples generated at a time
STEPS = 8  # pictures in a row of an interpolation
NEARLY_LINE = 0.01  # sine of the angle of latents whose arc float32 cannot tell
MOST, MOST_IN_A_GRID = 1_000_000, 10_000  # pictures, or rows, at a time

# Compiled once a game: a bound method would be another function, and compiled, at every call.
_sampler = jax.jit(Game.sampler, static_argnums=0)
_pictures = jax.jit(Game.pictures, static_argnums=0)
_scores = jax.jit(Game.scores, static_argnums=0)


def sample(
    workdir: Path,
    n: int = 64,
    *,
    checkpoint: str = "latest",
    out: Path | None = None,
    seed: int = 0,
    grid: bool = False,
    interpolate: bool = False,
) -> Path:
    """Generate pictures and write them as PNG.

    Args:
      workdir: the run's folder.
      n: how many pictures; of an interpolation, rows of eight.
      checkpoint: `latest`, `best`, `healthy`, or a number of epochs.
      out: the folder, or the `.png` of one picture; default: in the run's `generated/`, named after
        the epochs and the seed.
      seed: other latents for another seed.
      grid: one picture of all, instead of a file for each.
      interpolate: one picture whose rows go from one latent to another along the sphere.

    Returns:
      The file or folder written.

    Raises:
      UserError: no such checkpoint, or the folder has other pictures that would stay among these.
    """
    check_request(n, MOST_IN_A_GRID if grid or interpolate else MOST, seed)
    use_compilation_cache()
    game, epoch, state = open_run(workdir, checkpoint, to_stderr)
    kind = "interpolation" if interpolate else "grid" if grid else "samples"
    name, one = f"{kind}_{epoch:06d}_seed{seed}", grid or interpolate
    path = picture_path(out, workdir, name) if one else _folder(out, workdir, name, n)
    latents = sample_latents(game, seed, 2 * n if interpolate else n)
    if interpolate:
        latents = between(latents[:n], latents[n:], STEPS).reshape(n * STEPS, -1)
    with enough_memory("ask for fewer, --n"):
        pictures = draw(game, state, latents)
    if one:
        save_grid(pictures, path, columns=STEPS if interpolate else round(math.sqrt(n)))
    else:
        _save_each(pictures, path)
    to_stderr(f"{len(pictures)} pictures after {epoch} epochs: {path}")
    return path


def check_request(n: int, most: int, seed: int) -> None:
    """Refuse a number of pictures or a seed out of its range."""
    if not 1 <= n <= most:
        raise UserError(f"--n={n} must be at least 1 and at most {most}.")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed={seed} must be at least 0 and below 2**32.")


def picture_path(out: Path | None, workdir: Path, name: str) -> Path:
    """Where one picture goes: `out`, or under its name into that folder."""
    if out and out.suffix.lower() == ".png":
        return out
    if out and out.suffix and not out.is_dir():
        raise UserError(f"--out={out}: a grid is a .png. Name one, or a folder to put it in.")
    return (out or workdir / "generated") / f"{name}.png"


def _folder(out: Path | None, workdir: Path, name: str, n: int) -> Path:
    """Where n pictures go: no others may stay among them, for the folder is measured as one set."""
    folder = out or workdir / "generated" / name
    own = {folder / f"{i:06d}.png" for i in range(n)}
    for path in folder.rglob("*"):
        if decoding.is_picture(path.name) and path not in own:
            raise UserError(
                f"{folder} has other pictures, e.g. {path.name}, that would stay among these: "
                "remove them, or give another folder with --out."
            )
    return folder


def sample_latents(game: Game, seed: int, n: int) -> Array:
    """Latents [n, latent_dim] of a run's samples; others for another seed, 0 to 2**32 - 1."""
    key = jax.random.fold_in(root_key(game.settings.seed), Stream.SAMPLES)
    return game.latents(jax.random.fold_in(key, seed), n)


def draw(game: Game, state: GanState, latents: ArrayLike) -> NDArray[np.uint8]:
    """Pictures uint8 [n, h, w, c] from latents [n, d], in batches sharded over the devices."""
    state = jax.device_put(state, devices.everywhere(devices.mesh()))
    sampler = _sampler(game, state, root_key(game.settings.seed))
    return _by_batches(partial(_pictures, game, sampler), np.asarray(latents))


def score(game: Game, state: GanState, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The critic's scores [n] of images uint8 [n, h, w, c], in batches like `draw`'s."""
    state = jax.device_put(state, devices.everywhere(devices.mesh()))
    return _by_batches(partial(_scores, game, state), images)


def _by_batches(program: Callable[[Array], Array], rows: NDArray[Any]) -> NDArray[Any]:
    """What a program makes of rows [n, ...]: of batches of one size, sharded over the devices."""
    mesh = devices.mesh()
    by_batch = devices.by_batch(mesh)
    size = -(-min(BATCH, len(rows)) // mesh.size) * mesh.size
    padded = np.pad(rows, [(0, -len(rows) % size), *[(0, 0)] * (rows.ndim - 1)])
    batches = [
        np.asarray(program(jax.device_put(padded[start : start + size], by_batch)))
        for start in range(0, len(rows), size)
    ]
    return np.concatenate(batches)[: len(rows)]


def between(first: Array, last: Array, steps: int) -> Array:
    """Spherical interpolation of latents (White 2016): [n, d] twice -> [n, steps, d].

    Latents from N(0, 1) lie near a sphere; a straight line between two would leave it, and show the
    generator inputs of a length that it was never trained on. Directions go along the arc, lengths
    from one to the other: in few dimensions lengths differ, and the arc of the latents themselves
    may go far out. Where no arc is the shortest (opposite ends), or none can be told from a line,
    it is the line.
    """
    first, last = first[:, None], last[:, None]
    share = jnp.linspace(0, 1, steps)[None, :, None]
    a, b = (jnp.linalg.norm(end, axis=-1, keepdims=True) for end in (first, last))
    u, v = first / a, last / b
    angle = jnp.arccos(jnp.clip((u * v).sum(-1, keepdims=True), -1, 1))
    arc = (jnp.sin((1 - share) * angle) * u + jnp.sin(share * angle) * v) / jnp.sin(angle)
    arc *= (1 - share) * a + share * b
    line = (1 - share) * first + share * last
    path: Array = jnp.where(jnp.sin(angle) > NEARLY_LINE, arc, line)
    return path


def _save_each(pictures: NDArray[np.uint8], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for i, picture in enumerate(pictures):
            grey = picture.shape[-1] == 1
            Image.fromarray(picture[..., 0] if grey else picture).save(folder / f"{i:06d}.png")
    except OSError as error:
        raise not_written(folder, error) from error
