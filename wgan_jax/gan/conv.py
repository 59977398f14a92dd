"""Convolutions in the form that the platform runs fast: equal values, equal gradients.

Everywhere, upsampling is folded into the kernel. On GPUs and TPUs gradients are left to XLA, which
is given convolutions of stride 1 alone: the pixels of a block of the stride become channels. On an
H100 that gains more than the zeros cost that it adds to a kernel of odd size. Where a kernel is
larger than its result (5x5 for 4x4 places), XLA would exchange image and kernel in the gradient,
which is slow: that convolution is a matrix product. Where a convolution makes blocks of pixels,
they stay blocks until a convolution needs rows of pixels (`pixels`): to make rows is a pass over
memory, and a convolution of stride 2 needs none.

On the CPU gradients are written here. XLA's backend hands a convolution to its fast library
only in the canonical form (NHWC x HWIO, nothing reversed). The ones that autodiff writes for
gradients are not canonical, and inside a device loop they run 10 to 100 times slower.
Image, kernel and result enter a convolution's gradients alike: with any two of them given,
`_to_result`, `_to_image` and `_to_kernel` make the third, and the gradients of each function are
the other two. So gradients of every order are canonical. Where there are channels enough, all three
are made with fewer multiplications, by `gan.winograd`.

All arrays: images [n, height, width, channels], or in blocks of b x b pixels, [n, height / b,
width / b, b, b, channels]; kernels [k, k, in, out]; padding "SAME".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from wgan_jax.gan import winograd
from wgan_jax.gan.place import Place
from wgan_jax.gan.sums import spread

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_FEW = 4  # channels for which the library is badly used


def conv2d(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    stride: int = 1,
    *,
    platform: str | None = None,
) -> Array:
    """SAME convolution [n, h, w, i] -> [n, ceil(h / stride), ceil(w / stride), o], plus bias [o].

    The form is that for `platform`, by default the one that jax uses. As for all three, image and
    result may be in blocks.
    """
    place = _same(x, kernel, stride)
    block = _block(place, kernel, platform)
    if block > 1:
        kernel = _widened(kernel, block, stride)
        rows, columns = place.result
        result = (rows // block, columns // block)
        place = replace(place, taps=kernel.shape[:2], result=result, stride=block * stride)
    if _is_cpu(platform):
        y = _to_result(pixels(x), kernel, place)
    else:
        y = _at_stride_1(x, kernel, place)
    return _finished(y, bias, block, platform)


def upconv2d(
    x: Array, kernel: Array, bias: Array | None = None, *, platform: str | None = None
) -> Array:
    """Nearest 2x upsampling, then SAME convolution: [n, h, w, i] -> [n, 2h, 2w, o], plus bias [o].

    Each 2x2 block of the result sees few distinct pixels, so that a small convolution to 4 o
    channels, those of a block, gives the same with 2.7 times fewer operations (k = 5).
    """
    x, phases = pixels(x), kernel
    for axis in (0, 1):
        phases, low = _folded(phases, axis)
    phases = phases.reshape(*phases.shape[:3], -1)  # [taps, taps, i, 2 2 o]
    size, taps = x.shape[1:3], phases.shape[:2]
    convolution = _to_result if _is_cpu(platform) else _library
    small = convolution(x, phases, Place(size, taps, size, 1, (low, low)))
    return _finished(small, bias, 2, platform)


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
    laid = _widened(kernel, stride, 1)
    mean = laid.reshape(*laid.shape[:3], stride**2, -1).mean(3)
    return conv2d(x, mean, bias, stride, platform=platform)


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


def conv_transpose2d(
    x: Array, kernel: Array, bias: Array | None = None, *, platform: str | None = None
) -> Array:
    """Transpose of the SAME stride-2 convolution: [n, h, w, i] -> [n, 2h, 2w, o], plus bias [o].

    out[2y + a - low] += x[y] kernel[a], as PyTorch's ConvTranspose2d(k, 2, padding=low); where k is
    odd, without the row and the column that PyTorch has behind the last.
    """
    x = pixels(x)
    size, (rows, columns) = kernel.shape[0], x.shape[1:3]
    low = max(size - 2, 0) // 2
    if _is_cpu(platform):
        place = Place((2 * rows, 2 * columns), (size, size), (rows, columns), 2, (low, low))
        y = _to_image(x, kernel.transpose(0, 1, 3, 2), place)
    else:
        flipped = kernel[::-1, ::-1]
        pad = (size - 1 - low, size - 1 - (max(size - 2, 0) - low))
        y = lax.conv_general_dilated(x, flipped, (1, 1), (pad, pad), (2, 2), None, _LAYOUT)
    return _finished(y, bias, 1, platform)


def pixels(x: Array) -> Array:
    """[n, h / b, w / b, b, b, c] in rows of pixels, [n, h, w, c]; what is so already, as it is."""
    if x.ndim == 4:
        return x
    n, rows, columns, b, _, c = x.shape
    return x.swapaxes(2, 3).reshape(n, b * rows, b * columns, c)


def _size(x: Array) -> tuple[int, int]:
    """Height and width in pixels."""
    side = x.shape[3] if x.ndim == 6 else 1
    return side * x.shape[1], side * x.shape[2]


def _is_cpu(platform: str | None) -> bool:
    return (platform or jax.default_backend()) == "cpu"


def _same(x: Array, kernel: Array, stride: int) -> Place:
    """As TensorFlow's SAME: of an odd number of zeros the odd one goes after the image."""
    image, taps = _size(x), kernel.shape[:2]
    result = (-(-image[0] // stride), -(-image[1] // stride))
    place = Place(image, taps, result, stride, (0, 0))
    rows, columns = (max(high, 0) // 2 for _, high in place.pads)
    return replace(place, low=(rows, columns))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _to_result(x: Array, kernel: Array, place: Place) -> Array:
    """The convolution: image [n, h, w, i], kernel [k, k, i, o] -> result [n, h', w', o]."""
    if winograd.pays(kernel.shape, place, x.dtype):
        return winograd.to_result(x, kernel, place)
    if place.stride == 1 and _has_few_places(place):
        return _as_product(x, kernel, place)
    return _library(x, kernel, place)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _to_image(result: Array, kernel: Array, place: Place) -> Array:
    """Its transpose: result [n, h', w', o], kernel [k, k, i, o] -> image [n, h, w, i].

    A pixel block of the image's stride sees the same few places of the kernel: a stride-1
    convolution makes all the pixels of a block as channels.
    """
    if winograd.pays(kernel.shape, place, result.dtype):
        return winograd.to_image(result, kernel, place)
    stride = place.stride
    rows, columns = _blocks(place, 0), _blocks(place, 1)
    fills = [
        (along.lead, along.reach * stride - along.lead - taps)
        for along, taps in zip((rows, columns), place.taps, strict=True)
    ]
    even = jnp.pad(kernel, (*fills, (0, 0), (0, 0)))
    phases = even.reshape(rows.reach, stride, columns.reach, stride, *kernel.shape[2:])
    phases = phases[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)  # [taps, taps, o, stride, stride, i]
    phases = phases.reshape(rows.reach, columns.reach, kernel.shape[3], -1)
    low = (rows.reach - 1 - rows.first, columns.reach - 1 - columns.first)
    inner = Place(place.result, phases.shape[:2], (rows.count, columns.count), 1, low)
    image = pixels(_as_blocks(_to_result(result, phases, inner), stride))
    (height, width), top, left = place.image, rows.skipped, columns.skipped
    return image[:, top : top + height, left : left + width]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _to_kernel(x: Array, result: Array, place: Place) -> Array:
    """Sum over the batch: image [n, h, w, i], result [n, h', w', o] -> kernel [k, k, i, o].

    The batch takes the place of the channels, and the result that of the kernel.
    """
    shape = (*place.taps, x.shape[3], result.shape[3])
    if winograd.pays(shape, place, x.dtype):
        return winograd.to_kernel(x, result, place)
    kernel = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        result.transpose(1, 2, 0, 3),
        (1, 1),
        place.pads,
        rhs_dilation=(place.stride, place.stride),
        dimension_numbers=_LAYOUT,
    )
    return kernel.transpose(1, 2, 0, 3)


_to_result.defvjp(
    lambda x, kernel, place: (_to_result(x, kernel, place), (x, kernel)),
    lambda place, saved, grad: (
        _to_image(grad, saved[1], place),
        _to_kernel(saved[0], grad, place),
    ),
)
_to_image.defvjp(
    lambda result, kernel, place: (_to_image(result, kernel, place), (result, kernel)),
    lambda place, saved, grad: (
        _to_result(grad, saved[1], place),
        _to_kernel(grad, saved[0], place),
    ),
)
_to_kernel.defvjp(
    lambda x, result, place: (_to_kernel(x, result, place), (x, result)),
    lambda place, saved, grad: (
        _to_image(saved[1], grad, place),
        _to_result(saved[0], grad, place),
    ),
)


def _at_stride_1(x: Array, kernel: Array, place: Place) -> Array:
    """As `_to_result`, for XLA to take the gradients of."""
    if place.stride > 1:
        x, kernel, place = _of_phases(x, kernel, place)
    else:
        x = pixels(x)
    return (_as_product if _has_few_places(place) else _library)(x, kernel, place)


def _library(x: Array, kernel: Array, place: Place) -> Array:
    strides = (place.stride, place.stride)
    return lax.conv_general_dilated(x, kernel, strides, place.pads, dimension_numbers=_LAYOUT)


def _finished(y: Array, bias: Array | None, block: int, platform: str | None) -> Array:
    """[n, h, w, b b o] in blocks, and plus the bias [o].

    GPUs' library adds it to its own result, so it comes first there; on the CPU, where it is one
    pass with the rest and with putting the pixels in rows, last.
    """
    if _is_cpu(platform):
        y = pixels(_as_blocks(y, block))
        return y if bias is None else y + spread(bias, y.shape)
    if bias is not None:
        y += spread(jnp.tile(bias, block**2), y.shape)
    return _as_blocks(y, block)


def _as_blocks(y: Array, block: int) -> Array:
    """[n, h, w, b b c], channels ordered (row, column, c), in blocks where b is more than 1."""
    return y if block == 1 else y.reshape(*y.shape[:3], block, block, -1)


def _has_few_places(place: Place) -> bool:
    return math.prod(place.taps) > math.prod(place.result)


@dataclass(frozen=True)
class Blocks:
    """Blocks of `stride` pixels along an image, as they are made from the places of a kernel.

    Attributes:
      lead: zeros before the kernel's first tap, which shift the blocks.
      reach: how many places a block sees.
      first: number of the first block that holds a pixel of the image.
      count: how many do.
      skipped: pixels of the first that lie before the image.
    """

    lead: int
    reach: int
    first: int
    count: int
    skipped: int


def _blocks(place: Place, axis: int) -> Blocks:
    """Along this axis, the blocks that need the fewest operations."""
    length, taps, low = place.image[axis], place.taps[axis], place.low[axis]

    def shifted(lead: int) -> Blocks:
        first, skipped = divmod(low + lead, place.stride)
        last = (low + lead + length - 1) // place.stride
        return Blocks(lead, -(-(taps + lead) // place.stride), first, last - first + 1, skipped)

    options = [shifted(lead) for lead in range(place.stride)]
    return min(options, key=lambda blocks: blocks.reach * blocks.count)


def _block(place: Place, kernel: Array, platform: str | None) -> int:
    """Side of the block of results that is made at once, where channels are few.

    The library is made for many: of 3, it makes 3 at the price of 16 or 32. GPUs gain with few
    channels of the image, too.
    """
    inputs, outputs = kernel.shape[2:]
    if place.stride == 1 and outputs <= _FEW:
        most = 4
    elif place.stride > 1 and inputs <= _FEW and not _is_cpu(platform):
        most = 2
    else:
        most = 1
    return math.gcd(most, *place.result)


def _widened(kernel: Array, block: int, stride: int) -> Array:
    """A kernel [k, k, i, o] for each result of a block, side by side in one:

    [k + (block - 1) stride, the same, i, block block o], channels ordered (row, column, o).
    """
    shifts = range(0, block * stride, stride)
    rest = shifts[-1]
    moved = [
        jnp.pad(kernel, ((row, rest - row), (column, rest - column), (0, 0), (0, 0)))
        for row in shifts
        for column in shifts
    ]
    return jnp.concatenate(moved, axis=3)


def _as_product(x: Array, kernel: Array, place: Place) -> Array:
    """Stride 1 as one matrix product, for kernels larger than the image."""
    matrix = kernel
    for axis in (0, 1):
        matrix = _slid(matrix, place, axis)
    matrix = matrix.reshape(x[0].size, -1)  # [h w i, h' w' o]
    return (x.reshape(len(x), -1) @ matrix).reshape(len(x), *place.result, -1)


def _slid(kernel: Array, place: Place, axis: int) -> Array:
    """The taps that lie over each pixel of a line, for each place of the kernel along it.

    The axis of the taps becomes one of pixels; the places come before the last axis.
    """
    length, taps, places = place.image[axis], place.taps[axis], place.result[axis]
    low = place.low[axis]
    before, after = max(places - 1 - low, 0), max(length + low - taps, 0)
    padding = [(0, 0)] * kernel.ndim
    padding[axis] = (before, after)
    padded = jnp.pad(kernel, padding)
    starts = [before + low - at for at in range(places)]
    return jnp.stack(
        [lax.slice_in_dim(padded, start, start + length, axis=axis) for start in starts], axis=-2
    )


def _of_phases(x: Array, kernel: Array, place: Place) -> tuple[Array, Array, Place]:
    """Image, kernel and place of the same convolution with stride 1.

    The pixels of a block of the stride become channels, and so do the kernel's taps. An image that
    is in such blocks is taken as it lies there.
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
    """[n, h, w, ...], and so many zeros before, -> [n, blocks, blocks, side, side, ...]."""
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
    """For both phases of a doubled line, the taps that meet the same small pixel, added up.

    The axis becomes one of small pixels; the phases [2] come before the last axis. The number is
    how many of these pixels lie before the one that the phases belong to.
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
