"""The convolutions of `gan.conv` as one would write them: what the fast forms must equal."""

import jax
import jax.numpy as jnp
from jax import lax

LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv2d(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT)


def upconv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv2d(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel)


def conv_transpose2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """out[2y + a - low] += x[y] kernel[a], low = max(k - 2, 0) // 2."""
    size = kernel.shape[0]
    low = max(size - 2, 0) // 2
    pad = (size - 1 - low, size - 1 - (max(size - 2, 0) - low))
    flipped = kernel[::-1, ::-1]
    return lax.conv_general_dilated(x, flipped, (1, 1), (pad, pad), (2, 2), None, LAYOUT)
