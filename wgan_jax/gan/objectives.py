"""What the two players minimise: a few functions on scores, in one table.

Each maps scores [batch] to one value per image [batch]; the caller reduces. What the critic
minimises is the sum of its real term R and its fake term F, and the penalty where it pays one; the
metric `d_loss` is half of R + F. What else is true of each, `limits.OBJECTIVES` has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

Term = Callable[[Array], Array]


@dataclass(frozen=True)
class Objective:
    """One adversarial game.

    Attributes:
      real: critic's loss on the scores of real images.
      fake: critic's loss on the scores of fakes.
      generator: generator's loss on the scores of fakes.
    """

    real: Term
    fake: Term
    generator: Term


def _negative(scores: Array) -> Array:
    return -scores


def _identity(scores: Array) -> Array:
    return scores


OBJECTIVES: dict[str, Objective] = {
    # Arjovsky et al. 2017, Algorithm 1.
    "wgan": Objective(_negative, _identity, _negative),
    # Gulrajani et al. 2017, Algorithm 1.
    "wgan_gp": Objective(_negative, _identity, _negative),
    # Goodfellow et al. 2014, section 3: log loss, generator by the non-saturating trick.
    "nsgan": Objective(
        lambda s: jax.nn.softplus(-s), jax.nn.softplus, lambda s: jax.nn.softplus(-s)
    ),
    # Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17.
    "hinge": Objective(lambda s: jax.nn.relu(1 - s), lambda s: jax.nn.relu(1 + s), _negative),
}


def gradient_penalty(
    scores: Callable[[Array], Array], real: Array, fake: Array, key: Array
) -> Array:
    """(|grad f(x)| - 1)^2 at a random point between each pair (Gulrajani et al. 2017, eq. 3).

    Args:
      scores: images [batch, h, w, c] -> scores [batch]; image by image.
      real: images [batch, h, w, c] in [-1, 1].
      fake: images of the same shape.
      key: draws the points, uniformly on the segments.

    Returns:
      One penalty per image [batch], 0 or above.
    """
    mix = jax.random.uniform(key, (len(real), 1, 1, 1), real.dtype)
    between = fake + mix * (real - fake)
    slopes = jax.grad(lambda images: scores(images).sum())(between)
    # The tiny constant keeps the root's own gradient finite where the critic is flat.
    norms = jnp.sqrt(jnp.sum(slopes**2, axis=(1, 2, 3)) + 1e-12)
    return (norms - 1) ** 2
