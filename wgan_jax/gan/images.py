"""Images as they lie in memory: in rows of pixels, or in blocks.

In rows, [n, height, width, channels]; in blocks of b x b pixels, [n, height / b, width / b, b, b,
channels].
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def pixels(x: Array) -> Array:
    """Blocks [n, h / b, w / b, b, b, c] as rows of pixels [n, h, w, c]; rows stay as they are."""
    if x.ndim == 4:
        return x
    n, rows, columns, b, _, c = x.shape
    return x.swapaxes(2, 3).reshape(n, b * rows, b * columns, c)


def as_blocks(y: Array, block: int) -> Array:
    """Channels [n, h, w, b b c], ordered (row, column, c), as blocks; nothing to do for b = 1."""
    return y if block == 1 else y.reshape(*y.shape[:3], block, block, -1)


def sides(x: Array) -> tuple[int, int]:
    """Height and width in pixels."""
    side = x.shape[3] if x.ndim == 6 else 1
    return side * x.shape[1], side * x.shape[2]


def mean_pooled(x: Array, side: int) -> Array:
    """The mean of every block of side x side pixels: [n, h, w, c] -> [n, h / side, w / side, c]."""
    x = pixels(x)
    n, height, width, c = x.shape
    return x.reshape(n, height // side, side, width // side, side, c).mean((2, 4))


def upsampled(x: Array) -> Array:
    """Nearest 2x upsampling: [n, h, w, c] -> [n, 2h, 2w, c]."""
    x = pixels(x)
    n, height, width, c = x.shape
    return pixels(jnp.broadcast_to(x[:, :, :, None, None], (n, height, width, 2, 2, c)))
