"""Convolutions whose gradients of every order are canonical: those that a CPU runs fast.

XLA's CPU backend hands a convolution to its fast library only in the canonical form (NHWC x HWIO,
nothing reversed). The ones that autodiff writes for gradients are not canonical, and inside a
device loop they run 10 to 100 times slower. Image, kernel and result enter a convolution's
gradients alike: with any two of them given, `to_result`, `to_image` and `to_kernel` make the third,
and the gradients of each function are the other two. Where there are channels enough, all three are
made with fewer multiplications, by `gan.winograd`.

All arrays: images [n, height, width, channels], kernels [k, k, in, out].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from wgan_jax.gan import winograd
from wgan_jax.gan.images import as_blocks, pixels
from wgan_jax.gan.place import Place

LAYOUT = ("NHWC", "HWIO", "NHWC")


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def to_result(x: Array, kernel: Array, place: Place) -> Array:
    """The convolution: image [n, h, w, i], kernel [k, k, i, o] -> result [n, h', w', o]."""
    if winograd.pays(kernel.shape, place, x.dtype):
        return winograd.to_result(x, kernel, place)
    if place.exceeds_image:
        return as_product(x, kernel, place)
    return library(x, kernel, place)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def to_image(result: Array, kernel: Array, place: Place) -> Array:
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
    image = pixels(as_blocks(to_result(result, phases, inner), stride))
    (height, width), top, left = place.image, rows.skipped, columns.skipped
    return image[:, top : top + height, left : left + width]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def to_kernel(x: Array, result: Array, place: Place) -> Array:
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
        dimension_numbers=LAYOUT,
    )
    return kernel.transpose(1, 2, 0, 3)


to_result.defvjp(
    lambda x, kernel, place: (to_result(x, kernel, place), (x, kernel)),
    lambda place, saved, grad: (
        to_image(grad, saved[1], place),
        to_kernel(saved[0], grad, place),
    ),
)
to_image.defvjp(
    lambda result, kernel, place: (to_image(result, kernel, place), (result, kernel)),
    lambda place, saved, grad: (
        to_result(grad, saved[1], place),
        to_kernel(grad, saved[0], place),
    ),
)
to_kernel.defvjp(
    lambda x, result, place: (to_kernel(x, result, place), (x, result)),
    lambda place, saved, grad: (
        to_image(saved[1], grad, place),
        to_result(saved[0], grad, place),
    ),
)


def library(x: Array, kernel: Array, place: Place) -> Array:
    """As XLA's library has it."""
    strides = (place.stride, place.stride)
    return lax.conv_general_dilated(x, kernel, strides, place.pads, dimension_numbers=LAYOUT)


def as_product(x: Array, kernel: Array, place: Place) -> Array:
    """One matrix product, for kernels larger than the image: those the library has no form for."""
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
    low, stride = place.low[axis], place.stride
    before, after = max((places - 1) * stride - low, 0), max(length + low - taps, 0)
    padding = [(0, 0)] * kernel.ndim
    padding[axis] = (before, after)
    padded = jnp.pad(kernel, padding)
    starts = [before + low - at * stride for at in range(places)]
    return jnp.stack(
        [lax.slice_in_dim(padded, start, start + length, axis=axis) for start in starts], axis=-2
    )


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
