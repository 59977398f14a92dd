"""Convolutions in the form that the platform runs fast: equal values, equal gradients.

Everywhere, upsampling and means are folded into the kernel. On the CPU gradients are written by
hand (`gan.canonical`).

On GPUs gradients are left to XLA, which is given convolutions of stride 1 only: each block of
stride x stride pixels becomes the channels of one pixel. That adds zeros to a kernel of odd size,
but on an H100 the gain is larger. Where a kernel is larger than its result (5x5 for 4x4 places),
XLA would exchange image and kernel in the gradient, which is slow: that convolution is a matrix
product. A convolution may make blocks of pixels, and they stay blocks until another one needs rows
(`pixels`): making rows is a pass over memory, and a convolution of stride 2 takes blocks.

On TPUs the compiler chooses the layout itself. It is given each convolution with its stride, and
upsampling as a transposed one: making blocks would only be passes over memory.

All arrays: images in rows or in blocks (`gan.images`); kernels [k, k, in, out]; padding "SAME".
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array, lax

from wgan_jax.gan.canonical import LAYOUT, as_product, library, to_image, to_result
from wgan_jax.gan.images import as_blocks, pixels, sides
from wgan_jax.gan.place import Place
from wgan_jax.gan.sums import spread

_FEW = 4  # channels: with so few, most of the library's work would be in vain


def conv2d(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    stride: int = 1,
    *,
    platform: str | None = None,
) -> Array:
    """SAME convolution [n, h, w, i] -> [n, ceil(h / stride), ceil(w / stride), o], plus bias [o].

    The form is the one for `platform`, by default that of jax. Here and below, images and results
    may be in blocks.
    """
    on, place = platform or jax.default_backend(), _same(x, kernel, stride)
    block = _block(place, kernel, on)
    if block > 1:
        kernel = _widened(kernel, block, stride)
        rows, columns = place.result
        result = (rows // block, columns // block)
        place = replace(place, taps=kernel.shape[:2], result=result, stride=block * stride)
    if on == "cpu":
        y = to_result(pixels(x), kernel, place)
    elif on == "tpu":
        y = library(pixels(x), kernel, place)
    else:
        y = _at_stride_1(x, kernel, place)
    return _finished(y, bias, block, on)


def upconv2d(
    x: Array, kernel: Array, bias: Array | None = None, *, platform: str | None = None
) -> Array:
    """Nearest 2x upsampling, then SAME convolution: [n, h, w, i] -> [n, 2h, 2w, o], plus bias [o].

    Each 2x2 block of the result sees few distinct pixels, so that a small convolution to 4 o
    channels, those of a block, gives the same with 2.7 times fewer operations (k = 5). On TPUs a
    transposed convolution gives it, with the sum of the kernel laid over each pixel of a block.
    """
    on, x = platform or jax.default_backend(), pixels(x)
    if on == "tpu":
        laid = _laid(kernel, 2).sum(3)
        return _finished(_dilated(x, laid, (len(kernel) + 1) // 2), bias, 1, on)
    phases = kernel
    for axis in (0, 1):
        phases, low = _folded(phases, axis)
    phases = phases.reshape(*phases.shape[:3], -1)  # [taps, taps, i, 2 2 o]
    size, taps = x.shape[1:3], phases.shape[:2]
    convolution = to_result if on == "cpu" else library
    small = convolution(x, phases, Place(size, taps, size, 1, (low, low)))
    return _finished(small, bias, 2, on)


def downconv2d(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    stride: int = 2,
    *,
    platform: str | None = None,
) -> Array:
    """SAME convolution, then the mean of every block of stride x stride places; plus bias [o].

    [n, h, w, i] -> [n, h / stride, w / stride, o], both sides whole. One convolution of that stride
    gives the same, with the mean of the kernel laid over each place of a block: for 3x3 and a
    stride of 2 of 4x4 taps, 2.25 times fewer operations.
    """
    return conv2d(x, _laid(kernel, stride).mean(3), bias, stride, platform=platform)


def conv_transpose2d(
    x: Array, kernel: Array, bias: Array | None = None, *, platform: str | None = None
) -> Array:
    """Transpose of the SAME stride-2 convolution: [n, h, w, i] -> [n, 2h, 2w, o], plus bias [o].

    out[2y + a - low] += x[y] kernel[a], as PyTorch's ConvTranspose2d(k, 2, padding=low); where k is
    odd, without the row and the column that PyTorch has behind the last.
    """
    on, x = platform or jax.default_backend(), pixels(x)
    size, (rows, columns) = kernel.shape[0], x.shape[1:3]
    low = (size - 2) // 2
    if on == "cpu":
        place = Place((2 * rows, 2 * columns), (size, size), (rows, columns), 2, (low, low))
        y = to_image(x, kernel.transpose(0, 1, 3, 2), place)
    else:
        y = _dilated(x, kernel[::-1, ::-1], size - 1 - low)
    return _finished(y, bias, 1, on)


def _same(x: Array, kernel: Array, stride: int) -> Place:
    """As TensorFlow's SAME: of an odd number of zeros the odd one goes after the image."""
    image, taps = sides(x), kernel.shape[:2]
    result = (-(-image[0] // stride), -(-image[1] // stride))
    place = Place(image, taps, result, stride, (0, 0))
    rows, columns = (max(high, 0) // 2 for _, high in place.pads)
    return replace(place, low=(rows, columns))


def _at_stride_1(x: Array, kernel: Array, place: Place) -> Array:
    """As `to_result`, for XLA to take the gradients of."""
    if place.stride > 1:
        x, kernel, place = _of_phases(x, kernel, place)
    else:
        x = pixels(x)
    return (as_product if place.is_small else library)(x, kernel, place)


def _dilated(x: Array, kernel: Array, before: int) -> Array:
    """A convolution of the image with zeros between its pixels: [n, h, w, i] -> [n, 2h, 2w, o].

    Args:
      before: zeros before the first pixel; `len(kernel) - before` follow the last.
    """
    pad = (before, len(kernel) - before)
    return lax.conv_general_dilated(x, kernel, (1, 1), (pad, pad), (2, 2), None, LAYOUT)


def _finished(y: Array, bias: Array | None, block: int, platform: str) -> Array:
    """A result [n, h, w, b b o] plus bias [o]: in blocks of b x b pixels, on the CPU in rows.

    On GPUs the bias comes first, for their library adds it to its own result. On the CPU it comes
    last, in the same pass over memory that makes the rows.
    """
    if platform == "cpu":
        y = pixels(as_blocks(y, block))
        return y if bias is None else y + spread(bias, y.shape)
    if bias is not None:
        y += spread(jnp.tile(bias, block**2), y.shape)
    return as_blocks(y, block)


def _block(place: Place, kernel: Array, platform: str) -> int:
    """Side of the block of pixels that each place of the kernel makes; 1 where channels are many.

    The library makes 16 or 32 channels at a time: 3 cost as much, and a block has more. GPUs also
    gain where the input has few channels.
    """
    inputs, outputs = kernel.shape[2:]
    if place.stride == 1 and outputs <= _FEW and platform != "tpu":
        most = 4
    elif place.stride > 1 and inputs <= _FEW and platform == "gpu":
        most = 2
    else:
        most = 1
    return math.gcd(most, *place.result)


def _widened(kernel: Array, block: int, stride: int) -> Array:
    """The kernel [k, k, i, o] shifted to each result of a block, side by side in one kernel.

    That is [k + (block - 1) stride, the same, i, block block o], channels ordered (row, column, o).
    """
    shifts = range(0, block * stride, stride)
    rest = shifts[-1]
    moved = [
        jnp.pad(kernel, ((row, rest - row), (column, rest - column), (0, 0), (0, 0)))
        for row in shifts
        for column in shifts
    ]
    return jnp.concatenate(moved, axis=3)


def _laid(kernel: Array, side: int) -> Array:
    """A kernel laid over each place of a block: [k + side - 1, the same, i, side side, o]."""
    laid = _widened(kernel, side, 1)
    return laid.reshape(*laid.shape[:3], side**2, -1)


def _of_phases(x: Array, kernel: Array, place: Place) -> tuple[Array, Array, Place]:
    """Image, kernel and place of the same convolution with stride 1.

    Each block of stride x stride pixels becomes the channels of one pixel, and the kernel's taps
    likewise. An image that is in such blocks already is not copied.
    """
    s, size = place.stride, kernel.shape[3]
    lines = zip(place.low, place.taps, strict=True)
    (top, above), (left, before) = (_aligned(low, taps, s) for low, taps in lines)
    if x.ndim == 4 or x.shape[3] != s or top or left:
        x = _in_blocks(pixels(x), (top, left), s)
    kernel = _in_blocks(kernel[None], (above, before), s)[0]
    blocks, taps = x.shape[1:3], kernel.shape[:2]
    x, kernel = x.reshape(len(x), *blocks, -1), kernel.reshape(*taps, -1, size)
    low = ((place.low[0] + above - top) // s, (place.low[1] + before - left) // s)
    return x, kernel, Place(blocks, taps, place.result, 1, low)


def _in_blocks(images: Array, zeros: tuple[int, int], side: int) -> Array:
    """[n, h, w, ...], `zeros` put before it, -> [n, blocks, blocks, side, side, ...]."""
    n, height, width, *rest = images.shape
    rows, columns = (
        -(-(before + length) // side) for before, length in zip(zeros, (height, width), strict=True)
    )
    pads = [(0, 0)] * images.ndim
    pads[1] = (zeros[0], rows * side - zeros[0] - height)
    pads[2] = (zeros[1], columns * side - zeros[1] - width)
    return jnp.pad(images, pads).reshape(n, rows, side, columns, side, *rest).swapaxes(2, 3)


def _aligned(low: int, size: int, stride: int) -> tuple[int, int]:
    """Zeros before the image and before the kernel, so that its first tap begins a block.

    The kernel is padded where that adds no block of taps: then the image is not copied.
    """
    lead = -low % stride
    return (0, lead) if -(-(size + lead) // stride) == -(-size // stride) else (low, 0)


def _folded(kernel: Array, axis: int) -> tuple[Array, int]:
    """A kernel over a doubled line as two kernels over the small one: one for each phase.

    A small pixel is doubled into two phases. For each of them, the taps that fall on the same small
    pixel are added up. The axis becomes one of small pixels, and the phases [2] come before the
    last axis. Also returns how many small pixels lie before the one that is doubled.
    """
    taps = [
        lax.index_in_dim(kernel, tap, axis, keepdims=False) for tap in range(kernel.shape[axis])
    ]
    low = (len(taps) - 1) // 2
    met = [[(phase + tap - low) // 2 for tap in range(len(taps))] for phase in (0, 1)]
    first, last = min(map(min, met)), max(map(max, met))

    def sums(pixels: list[int]) -> Array:
        small = [jnp.zeros_like(taps[0])] * (last - first + 1)
        for tap, pixel in zip(taps, pixels, strict=True):
            small[pixel - first] += tap
        return jnp.stack(small, axis)

    return jnp.stack([sums(pixels) for pixels in met], axis=-2), -first
