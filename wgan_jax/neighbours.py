"""`sample --nearest`: each sample beside the real images most like it.

They show whether a generator repeats what it was trained on, which neither FID nor a loss tells.
Pixels are compared, so that a copy that is moved by a pixel is missed, and a blurred sample is near
to everything (Theis et al. 2016, arXiv:1511.01844).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan_jax.backend import enough_memory, use_compilation_cache, waiting
from wgan_jax.data.dataset import Dataset
from wgan_jax.data.held_out import evenly, some
from wgan_jax.data.sources import Images
from wgan_jax.errors import to_stderr
from wgan_jax.evaluation import own_images
from wgan_jax.history import Floats
from wgan_jax.record.samples import PAPER, save_grid
from wgan_jax.sampling import check_request, draw, picture_path, sample_latents
from wgan_jax.starting import open_run

BESIDE = 6  # real images in a sample's row
BATCH = 256  # real images at a time
MOST = 1000  # samples
PATIENCE = 5.0  # seconds after which it is said what is waited for


def show(
    workdir: Path, n: int = 64, checkpoint: str = "latest", out: Path | None = None, seed: int = 0
) -> Path:
    """Write one picture: in each row a sample, and the real images nearest to it, nearest first.

    Says how far samples are from them, and how far real images are from each other.

    Args:
      workdir: the run's folder.
      n: samples, the same as `sample` makes.
      checkpoint: `latest`, `best`, `healthy`, or a number of epochs.
      out: the `.png`, or a folder to put it in; default: the run's `generated/`.
      seed: other samples for another seed.

    Raises:
      UserError: no such checkpoint, or the run's images are not to be had.
    """
    check_request(n, MOST, seed)
    use_compilation_cache()
    game, epoch, state = open_run(workdir, checkpoint, to_stderr)
    path = picture_path(out, workdir, f"nearest_{epoch:06d}_seed{seed}")
    dataset = own_images(workdir, game.settings, ".sample(n), and compare with your array")
    with enough_memory("ask for fewer, --n"):
        samples = draw(game, state, sample_latents(game, seed, n))
    numbers = evenly(len(dataset), min(n, len(dataset)))
    both = np.concatenate([samples, some(dataset.source, len(numbers))])
    but = np.concatenate([np.full(n, -1), numbers])
    with waiting(to_stderr, f"Comparing with {len(dataset):,} real images ...", PATIENCE):
        found, distances = nearest(both, dataset, BESIDE, flip=game.settings.data.flip, but=but)
    gap = np.full_like(samples, PAPER)
    rows = np.concatenate([samples[:, None], gap[:, None], found[:n]], axis=1)
    save_grid(rows.reshape(-1, *samples.shape[1:]), path, columns=rows.shape[1])
    to_stderr(f"{n} samples after {epoch} epochs, and the real images nearest to each: {path}")
    to_stderr(
        f"Median distance to the nearest real image: {np.median(distances[:n, 0]):.3f}; of a real "
        f"one to another: {np.median(distances[n:, 0]):.3f} (root mean square of pixels, 0 to 1)"
    )
    return path


def nearest(
    images: Images,
    dataset: Dataset,
    k: int,
    *,
    flip: bool = False,
    but: NDArray[np.int64] | None = None,
) -> tuple[Images, Floats]:
    """The k real images nearest to each image, nearest first; of equal ones, the first.

    Args:
      images: uint8 [n, h, w, c].
      dataset: the real ones, of the same shape; where they are fewer than k, all of them.
      k: how many.
      flip: compare with mirror images, too: the nearer of both counts, and is what is returned.
      but: for each image the number of a real one [n] that does not count, as it is itself: its
        distance is infinite. -1: all count.

    Returns:
      The real images, uint8 [n, k, h, w, c], and the root mean square differences of their pixels,
      float64 [n, k], 0 to 1.
    """
    rows = _flat(images)
    k = min(k, len(dataset))
    squares, numbers = np.full((len(rows), k), np.inf), np.zeros((len(rows), k), np.int64)
    first = 0
    for batch in dataset.batches(BATCH):
        found = _squares(rows, batch)
        if flip:
            found = np.minimum(found, _squares(rows, batch[:, :, ::-1]))
        here = np.broadcast_to(np.arange(first, first + len(batch)), found.shape)
        if but is not None:
            found[here == but[:, None]] = np.inf
        first += len(batch)
        squares, numbers = np.hstack([squares, found]), np.hstack([numbers, here])
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        squares = np.take_along_axis(squares, order, axis=1)
        numbers = np.take_along_axis(numbers, order, axis=1)
    shown = np.zeros((*numbers.shape, *images.shape[1:]), np.uint8)
    for (i, j), number in np.ndenumerate(numbers):
        real = np.asarray(dataset.source[int(number)])
        mirrored = flip and _squares(rows[i : i + 1], real[None])[0, 0] > squares[i, j]
        shown[i, j] = real[:, ::-1] if mirrored else real
    return shown, np.sqrt(squares / rows.shape[1]) / 255


def _flat(images: Images) -> Floats:
    """[n, h w c]"""
    return images.reshape(len(images), -1).astype(np.float64)


def _squares(rows: Floats, images: Images) -> Floats:
    """Squared distances [n, m] of rows [n, d] to images [m, h, w, c]: whole numbers, exact."""
    others = _flat(images)
    squares: Floats = (rows**2).sum(1)[:, None] + (others**2).sum(1) - 2 * rows @ others.T
    return squares
