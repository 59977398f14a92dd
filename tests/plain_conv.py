"""The convolutions of `gan.conv` as one would write them: what the fast forms must equal."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv2d(x: Array, kernel: Array, bias: Array | None = None, stride: int = 1) -> Array:
    y = lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT)
    return y if bias is None else y + bias


def upconv2d(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    return conv2d(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel, bias)


def downconv2d(x: Array, kernel: Array, bias: Array | None = None, stride: int = 2) -> Array:
    y = conv2d(x, kernel, bias)
    rows, columns = (range(stride) for _ in "yx")
    return jnp.asarray(sum(y[:, i::stride, j::stride] for i in rows for j in columns) / stride**2)


def conv_transpose2d(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """out[2y + a - low] += x[y] kernel[a], low = max(k - 2, 0) // 2."""
    size = kernel.shape[0]
    low = max(size - 2, 0) // 2
    pad = (size - 1 - low, size - 1 - (max(size - 2, 0) - low))
    flipped = kernel[::-1, ::-1]
    y = lax.conv_general_dilated(x, flipped, (1, 1), (pad, pad), (2, 2), None, LAYOUT)
    return y if bias is None else y + bias
