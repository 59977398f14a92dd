"""Whether the critic tells images apart that it should not: those it trained on from others."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from wgan_jax import devices
from wgan_jax.backend import RANDOM_BITS, compiler_options
from wgan_jax.data.dataset import Dataset
from wgan_jax.data.held_out import some
from wgan_jax.data.sources import Images
from wgan_jax.gan.augmentation import augment
from wgan_jax.gan.state import Game, GanState, Stream, Tree, from_uint8
from wgan_jax.history import Floats

BATCH = 256  # images of each kind at a time
SURE = 2.0  # standard errors that real images and samples must be apart by, or nothing is said


class Overfitting:
    """Scores images that the critic trained on, held-out ones and samples, as many of each.

    They are the same images and latents at every call, and the same views of them where the run
    augments, so that epochs are compared by nothing but the critic and the generator.
    """

    def __init__(self, game: Game, dataset: Dataset) -> None:
        """Choose the images, spread evenly over each set.

        Args:
          game: whose critic it is.
          dataset: the images it trains on, with some that are held out.
        """
        assert dataset.held_out is not None, "nothing is held out"
        self._count = min(len(dataset.held_out), len(dataset))
        self._size = -(-min(BATCH, self._count) // game.mesh.size) * game.mesh.size
        self._trained = some(dataset.source, self._count)
        self._held_out = some(dataset.held_out, self._count)
        self._program = jax.jit(
            partial(_scores, game),
            out_shardings=devices.everywhere(game.mesh),
            compiler_options=compiler_options(),
        )

    def measure(self, state: GanState, sampler: Tree, key: NDArray[np.uint32]) -> float | None:
        """How far held-out images score from those trained on towards samples; see `share`.

        Args:
          state: arrays of the game; only read.
          sampler: the generator's variables, of `Game.sampler`.
          key: words of the run's root key.
        """
        scores = [
            np.asarray(self._program(state, sampler, *self._images(start), key, start))
            for start in range(0, self._count, self._size)
        ]
        trained, held_out, samples = np.concatenate(scores, axis=1)[:, : self._count]
        return share(trained, held_out, samples)

    def _images(self, start: int) -> tuple[Images, Images]:
        """A batch of each kind of real images; the last is filled up from the beginning."""
        numbers = np.arange(start, start + self._size) % self._count
        return self._trained[numbers], self._held_out[numbers]


def share(trained: Floats, held_out: Floats, samples: Floats) -> float | None:
    """(mean of trained - mean of held out) / (mean of trained - mean of samples).

    The first heuristic of Karras et al. 2020 (arXiv:2006.06676, section 3, equation 1): 0 where
    the critic scores images it never saw as those it trained on, 1 where it scores them as samples.

    Args:
      trained, held_out, samples: scores [n] of as many images of each kind.

    Returns:
      None where the critic does not tell the images it trained on from samples, scores are no
      numbers, or it is one image of each kind, whose scores have no spread.
    """
    if len(trained) < 2:
        return None
    gap = float(trained.mean(dtype=np.float64) - samples.mean(dtype=np.float64))
    error = float(np.sqrt((trained.var(ddof=1) + samples.var(ddof=1)) / len(trained)))
    if not gap > SURE * error:
        return None
    return float(trained.mean(dtype=np.float64) - held_out.mean(dtype=np.float64)) / gap


def _scores(
    game: Game,
    state: GanState,
    sampler: Tree,
    trained: Array,
    held_out: Array,
    words: Array,
    start: Array,
) -> Array:
    """Scores [3, n] of n images of each kind, augmented as in training, by `Game.scores`."""
    key = jax.random.wrap_key_data(words, impl=RANDOM_BITS)
    n = len(trained)

    def latent(i: Array) -> Array:  # its own, whatever the batch
        return game.latents(jax.random.fold_in(jax.random.fold_in(key, Stream.HELD_OUT), i), 1)[0]

    latents = jax.vmap(latent)(start + jnp.arange(n))
    samples = game.generate(sampler, game.sharded(latents))
    views = game.views(n, key, Stream.HELD_OUT_VIEWS, start)

    def of(images: Any) -> Array:
        return game.scores(state, augment(game.sharded(images), views))

    return jnp.stack([of(from_uint8(trained)), of(from_uint8(held_out)), of(samples)])
