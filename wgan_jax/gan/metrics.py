"""What is measured on the device in every round; the keys are those of `wgan_jax.keys`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

WINDOW = 100  # epochs over which the variance of the critic's loss is taken
_TINY = 1e-10  # below it |G| counts as 0 in the ratio
# Clipped weights are exactly +-c in float32; the tolerance allows for c itself being rounded.
_BOUNDARY = 1e-5


def mean_and_std(params: optax.Params) -> tuple[Array, Array]:
    """Mean and population standard deviation over all weights of a network."""
    weights = _as_one(params)
    return weights.mean(), weights.std()


def gradient_norm(grads: optax.Updates) -> Array:
    """L2 norm over all weights of a network."""
    if jax.default_backend() == "cpu":
        # From one row, XLA would compile the optimiser's update to other bits, and no faster.
        return jnp.asarray(optax.tree.norm(grads))
    return jnp.asarray(jnp.linalg.norm(_as_one(grads)))


def share_at_boundary(params: optax.Params, c: float) -> Array:
    """Share of weights at -c or c, from 0 to 1."""
    hits = jnp.abs(_as_one(params)) >= c * (1 - _BOUNDARY)
    share: Array = jnp.sum(hits) / hits.size  # counted in integers: float32 ends at 2^24
    return share


def _as_one(weights: optax.Params) -> Array:
    """All weights in one row [weights]: a GPU needs a few kernels for it, not a few per array.

    XLA would split a sum over the row into sums over its parts, and fuse each with the optimiser's
    update of that part: a slow kernel on a GPU, where a barrier prevents it.
    """
    row = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(weights)])
    if jax.default_backend() == "cpu":
        return row
    return jnp.asarray(lax.optimization_barrier(row))


def windowed_variance(recent: Array, count: Array) -> Array:
    """Population variance of the first `count` values of `recent` [window], or of all there are."""
    return jnp.var(recent, where=jnp.arange(len(recent)) < count)


def loss_ratio(d_loss: Array, g_loss: Array) -> Array:
    """|D| / |G|, and 0 where |G| < 1e-10."""
    small = jnp.abs(g_loss) < _TINY
    return jnp.where(small, 0.0, jnp.abs(d_loss) / jnp.where(small, 1.0, jnp.abs(g_loss)))
