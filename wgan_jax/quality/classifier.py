"""A small classifier of handwritten digits: features and logits with no download.

Trained in seconds, at first use, on the 8x8 digits that scikit-learn ships, with a fixed seed, and
kept in the cache directory. Its numbers are named `FID[digits]` and `IS[digits]`: they compare
digits with digits, and are on another scale than Inception's.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from wgan_jax.backend import RANDOM_BITS

SIZE = 8  # pixels; what the classifier sees, whatever the size of the images
CLASSES = 10
WIDTHS = (SIZE * SIZE, 256, 64, CLASSES)  # the last but one is the feature dimension
VERSION = 1  # raise it when the recipe below changes: cached weights of another are not used
SEED, HELD_OUT, STEPS, BATCH, RATE = 0, 360, 3000, 128, 2e-3
NOISE = 0.15  # standard deviation of noise added in training, of pixels in [0, 1]

Weights = dict[str, Array]


class Trained(NamedTuple):
    """Weights, and the share of the held-out digits that they get right."""

    weights: dict[str, NDArray[np.float32]]
    accuracy: float


def apply(weights: Weights, images: Array) -> tuple[Array, Array]:
    """Features [n, 64] and logits [n, 10], float32, of images uint8 [n, H, W, C]."""
    return _layers(weights, prepare(images))


def prepare(images: Array) -> Array:
    """Images uint8 [n, H, W, C] as [n, 64] in [0, 1]: grey, area-averaged to 8 x 8."""
    _, height, width, _ = images.shape
    grey = images.astype(jnp.float32).mean(axis=3) / 255
    rows, columns = jnp.asarray(area_matrix(height)), jnp.asarray(area_matrix(width))
    highest = jax.lax.Precision.HIGHEST
    small = jnp.einsum("yh,nhw,xw->nyx", rows, grey, columns, precision=highest)
    return small.reshape(len(images), -1)


@lru_cache(maxsize=16)
def area_matrix(size: int) -> NDArray[np.float32]:
    """Area averaging of a row of `size` pixels to 8, as a matrix [8, size].

    Each row holds the overlap of one output pixel with each input pixel and sums to 1.
    """
    edges = np.arange(SIZE + 1) * size / SIZE
    pixel = np.arange(size)
    low = np.maximum(edges[:-1, None], pixel)
    high = np.minimum(edges[1:, None], pixel + 1)
    overlap = np.clip(high - low, 0, None)
    shares = overlap / overlap.sum(axis=1, keepdims=True)
    return np.asarray(shares, np.float32)


def train(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Trained:
    """Train on all but 360 of the digits, drawn by the seed, which then measure the accuracy.

    Args:
      images: uint8 [n, 8, 8, 1].
      labels: digits, int64 [n].
    """
    order = np.random.default_rng(SEED).permutation(len(images))
    x = np.asarray(prepare(jnp.asarray(images)))
    test, rest = order[:HELD_OUT], order[HELD_OUT:]
    key = jax.random.key(SEED, impl=RANDOM_BITS)
    weights = _fit(jnp.asarray(x[rest]), jnp.asarray(labels[rest]), key)
    _, logits = _layers(weights, jnp.asarray(x[test]))
    accuracy = float((np.asarray(logits).argmax(axis=1) == labels[test]).mean())
    return Trained({name: np.asarray(value) for name, value in weights.items()}, accuracy)


@jax.jit
def _fit(x: Array, labels: Array, key: Array) -> Weights:
    """Adam on the cross-entropy of digits [n, 64], shifted by up to a pixel and made noisy."""
    weights = _initial(jax.random.fold_in(key, 0))
    tx = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    def loss(weights: Weights, batch: Array, wanted: Array) -> Array:
        _, logits = _layers(weights, batch)
        losses: Array = optax.softmax_cross_entropy_with_integer_labels(logits, wanted)
        return losses.mean()

    def step(
        carry: tuple[Weights, optax.OptState], key: Array
    ) -> tuple[tuple[Weights, optax.OptState], None]:
        weights, opt_state = carry
        pick, shift, noise = jax.random.split(key, 3)
        index = jax.random.randint(pick, (BATCH,), 0, len(x))
        batch = _shifted(x[index], shift)
        batch += NOISE * jax.random.normal(noise, batch.shape)
        updates, opt_state = tx.update(jax.grad(loss)(weights, batch, labels[index]), opt_state)
        return (optax.apply_updates(weights, updates), opt_state), None

    keys = jax.random.split(jax.random.fold_in(key, 1), STEPS)
    (weights, _), _ = jax.lax.scan(step, (weights, tx.init(weights)), keys)
    return weights


def _shifted(batch: Array, key: Array) -> Array:
    """Digits [n, 64], all moved alike by -1, 0 or 1 pixels sideways; the border fills with 0."""
    pictures = jnp.pad(batch.reshape(-1, SIZE, SIZE), ((0, 0), (0, 0), (1, 1)))
    start = jax.random.randint(key, (), 0, 3)
    moved = jax.lax.dynamic_slice_in_dim(pictures, start, SIZE, axis=2)
    return moved.reshape(batch.shape)


def _initial(key: Array) -> Weights:
    weights: Weights = {}
    for i, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        scale = jnp.sqrt(2 / inputs)
        normal = jax.random.normal(jax.random.fold_in(key, i), (inputs, outputs))
        weights[f"kernel_{i}"] = scale * normal
        weights[f"bias_{i}"] = jnp.zeros(outputs)
    return weights


def _layers(weights: Weights, x: Array) -> tuple[Array, Array]:
    """Features and logits of digits [n, 64]."""
    for i in range(len(WIDTHS) - 2):
        x = jax.nn.relu(_dense(weights, i, x))
    return x, _dense(weights, len(WIDTHS) - 2, x)


def _dense(weights: Weights, i: int, x: Array) -> Array:
    product = jnp.matmul(x, weights[f"kernel_{i}"], precision=jax.lax.Precision.HIGHEST)
    return product + weights[f"bias_{i}"]
