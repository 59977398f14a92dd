"""Convolutions with two to four times fewer multiplications: Winograd's minimal filtering.

A tile of m x m places of an r x r kernel takes (m + r - 1)^2 products instead of (m r)^2, because
polynomials can be multiplied by their values at a few points (Lavin and Gray 2016, "Fast Algorithms
for Convolutional Neural Networks", arXiv:1509.09308, section 4). Three linear maps transform the
tiles of an image, a kernel, and the tiles of a result. Two of these three, transformed and
multiplied point by point, as matrix products over tiles and channels, give the third, transformed;
the transpose of its map recovers it.

A kernel of stride s is s kernels of stride 1 along each axis, one for each phase of the image. The
phases along a row lie beside the channels already, and count as such; the products of those along
a column are added up.

Each map is one along the rows, then one along the columns. What the first makes is read for several
points, and XLA would fuse it into each reader and so make it again for each. A call of its own
keeps it: rounds take 5 to 17 % less time, compiling 30 to 45 % (`_kept`).

All is exact algebra. In float32 the round-off is about ten times that of the plain sum: 3e-6 of the
largest value with m = 4 and r = 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import linear_call
from jax.experimental.xla_metadata import set_xla_metadata

from wgan_jax.gan.place import Place

_POINTS = (0, 1, -1, 2, -2)  # and infinity; round-off grows fast with more of them
# For the matrix products to be worth the maps around them, and their compilation:
_CHANNELS = 32  # in and out
_WORK = 2**21  # multiplications of the plain form, for each image


@dataclass(frozen=True)
class Axis:
    """How one axis of an image is cut into tiles.

    Attributes:
      length: pixels.
      stride: pixels from one place of the kernel to the next.
      low: zeros before the first pixel.
      size: taps of the kernel.
      places: places of the kernel in a tile (m).
      count: tiles.
    """

    length: int
    stride: int
    low: int
    size: int
    places: int
    count: int

    @property
    def taps(self) -> int:
        """Taps along the axis once the stride is 1 (r)."""
        return -(-self.size // self.stride)

    @property
    def overhang(self) -> int:
        """Tiles behind the last that its window reaches into."""
        return -(-(self.taps - 1) // self.places)

    @property
    def blocked(self) -> int:
        """Pixels that are cut into tiles."""
        return (self.count + self.overhang) * self.places * self.stride


@dataclass(frozen=True)
class Maps:
    """Rows of the three linear maps, one for each point: [points, ...].

    Attributes:
      pixels: B^T in the paper, of the m + r - 1 pixels of a tile.
      taps: G in the paper, of the r taps.
      places: A in the paper, what each of the m places takes of the product.
    """

    pixels: np.ndarray
    taps: np.ndarray
    places: np.ndarray


_Form = Callable[[Array, Array, Place], Array]
_Along = Callable[[Axis, int, Array], list[Array]]


def _once(form: _Form) -> _Form:
    """Traced once for each shape, not at every use: the maps are hundreds of operations."""
    traced: _Form = jax.jit(form, static_argnums=2)
    return traced


def pays(shape: tuple[int, ...], place: Place, dtype: jnp.dtype) -> bool:
    """Whether this form is to be used with a kernel of this shape, [k, k, in, out].

    Not with 16 bits, whose round-off it would multiply beyond use.
    """
    channels = shape[2:]
    large = min(channels) >= _CHANNELS and math.prod((*shape, *place.result)) >= _WORK
    return large and dtype.itemsize >= 4 and all(_axis(place, i) for i in (0, 1))


@_once
def to_result(x: Array, kernel: Array, place: Place) -> Array:
    """Image [n, h, w, i], kernel [k, k, i, o] -> result [n, h', w', o]."""
    axes = _axes(place)
    values = zip(_of_pixels(x, axes), _of_kernel(kernel, axes), strict=True)
    products = [pixels @ taps for pixels, taps in values]
    shape = (len(x), *place.result, kernel.shape[3])
    return _transposed(partial(_of_places, axes=axes), shape, products)


@_once
def to_image(result: Array, kernel: Array, place: Place) -> Array:
    """Result [n, h', w', o], kernel [k, k, i, o] -> image [n, h, w, i]: the transpose."""
    axes = _axes(place)
    values = zip(_of_places(result, axes), _of_kernel(kernel, axes), strict=True)
    products = [places @ taps.T for places, taps in values]
    shape = (len(result), *place.image, kernel.shape[2])
    return _transposed(partial(_of_pixels, axes=axes), shape, products)


@_once
def to_kernel(x: Array, result: Array, place: Place) -> Array:
    """Image [n, h, w, i], result [n, h', w', o] -> kernel [k, k, i, o], summed over the batch."""
    axes = _axes(place)
    values = zip(_of_pixels(x, axes), _of_places(result, axes), strict=True)
    products = [(places.T @ pixels).T for pixels, places in values]
    shape = (*place.taps, x.shape[3], result.shape[3])
    return _transposed(partial(_of_kernel, axes=axes), shape, products)


def _of_pixels(x: Array, axes: Sequence[Axis]) -> list[Array]:
    """The values of every tile: [n, h, w, i] -> phases points points of [tiles, stride i]."""
    rows, columns = axes
    edges = [(axis.low, axis.blocked - axis.low - axis.length) for axis in axes]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*edge, 0) for edge in edges), (0, 0, 0)])
    n, _, _, depth = x.shape
    s, tiles = rows.stride, columns.count + columns.overhang
    x = x.reshape(n, -1, rows.places, s, tiles, columns.places, s * depth)
    values = []
    for phase in _split(x, 3):
        for line in _kept(_pixels_along, rows, 1, phase):
            values += _values(_pixels_along, columns, 2, line)
    return [value.reshape(-1, s * depth) for value in values]


def _of_kernel(kernel: Array, axes: Sequence[Axis]) -> list[Array]:
    """The values of the kernel: [k, k, i, o] -> phases points points of [stride i, o]."""
    rows, columns = axes
    s, (_, _, depth, features) = rows.stride, kernel.shape
    rest = [(0, s * axis.taps - axis.size) for axis in axes]
    kernel = jnp.pad(kernel, (*rest, (0, 0), (0, 0)))
    kernel = kernel.reshape(rows.taps, s, columns.taps, s * depth, features)
    values = []
    for phase in _split(kernel, 1):
        for line in _kept(_taps_along, rows, 0, phase):
            values += _values(_taps_along, columns, 0, line)
    return values


def _of_places(result: Array, axes: Sequence[Axis]) -> list[Array]:
    """The values of the result: [n, h', w', o] -> phases points points of [tiles, o].

    The same ones for each phase: its transpose adds up what the phases make.
    """
    rows, columns = axes
    n, _, _, o = result.shape
    blocks = result.reshape(n, rows.count, rows.places, columns.count, columns.places, o)
    values = []
    for line in _kept(_places_along, rows, 2, blocks):
        values += _values(_places_along, columns, 3, line)
    return [value.reshape(-1, o) for value in values] * rows.stride


def _pixels_along(axis: Axis, at: int, blocks: Array) -> list[Array]:
    return _sums(_maps(axis).pixels, _windows(blocks, axis, at))


def _taps_along(axis: Axis, at: int, kernel: Array) -> list[Array]:
    return _sums(_maps(axis).taps, _split(kernel, at))


def _places_along(axis: Axis, at: int, blocks: Array) -> list[Array]:
    return _sums(_maps(axis).places, _split(blocks, at))


# Both traced once for all lines of a shape: a network has a thousand of them.
@partial(jax.jit, static_argnums=(0, 1, 2))
def _values(along: _Along, axis: Axis, at: int, line: Array) -> list[Array]:
    return along(axis, at, line)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _line(along: _Along, axis: Axis, at: int, shape: tuple[int, ...], values: list[Array]) -> Array:
    return _transposed(partial(along, axis, at), shape, values)


def _kept(along: _Along, axis: Axis, at: int, x: Array) -> list[Array]:
    """`along` of `x`, in a call of its own that XLA neither inlines nor fuses; so its transpose."""

    def forth(_: tuple[()], x: Array) -> list[Array]:
        with set_xla_metadata(inlineable="false"):
            values: list[Array] = _values(along, axis, at, x)
            return values

    def back(_: tuple[()], values: list[Array]) -> Array:
        with set_xla_metadata(inlineable="false"):
            return jnp.asarray(_line(along, axis, at, x.shape, values))

    values: list[Array] = linear_call(forth, back, (), x)
    return values


def _transposed(
    linear: Callable[[Array], list[Array]], shape: tuple[int, ...], values: list[Array]
) -> Array:
    primal = jax.ShapeDtypeStruct(shape, values[0].dtype)
    (image,) = jax.linear_transpose(linear, primal)(values)
    return jnp.asarray(image)


def _axes(place: Place) -> tuple[Axis, Axis]:
    rows, columns = _axis(place, 0), _axis(place, 1)
    assert rows
    assert columns
    return rows, columns


def _axis(place: Place, i: int) -> Axis | None:
    """The largest tile that fits; None where there is none, or nothing is won."""
    size, stride = place.taps[i], place.stride
    taps = -(-size // stride)
    for places in (4, 2):
        if taps > 1 and places + taps - 2 <= len(_POINTS) and place.result[i] % places == 0:
            count = place.result[i] // places
            return Axis(place.image[i], stride, place.low[i], size, places, count)
    return None


@lru_cache
def _maps(axis: Axis) -> Maps:
    """By Lagrange's polynomials through all finite points, and the one that is zero at them."""
    points = _POINTS[: axis.places + axis.taps - 2]
    pixels: list[Any] = []
    taps: list[Any] = []
    places: list[Any] = []
    for point in points:
        others = [other for other in points if other != point]
        pixels.append([*np.poly(others)[::-1], 0.0])
        taps.append(float(point) ** np.arange(axis.taps) / math.prod(point - x for x in others))
        places.append(float(point) ** np.arange(axis.places))
    pixels.append(np.poly(points)[::-1])
    taps.append(np.eye(axis.taps)[-1])
    places.append(np.eye(axis.places)[-1])
    return Maps(np.array(pixels), np.array(taps), np.array(places))


def _windows(blocks: Array, axis: Axis, at: int) -> list[Array]:
    """The m + r - 1 pixels of each tile, along axes `at` (tiles and more) and `at + 1` (m)."""
    pixels: list[Array] = []
    for first in range(axis.overhang + 1):
        wanted = min(axis.places, axis.places + axis.taps - 1 - len(pixels))
        tiles = lax.slice_in_dim(blocks, first, first + axis.count, axis=at)
        pixels += _split(lax.slice_in_dim(tiles, 0, wanted, axis=at + 1), at + 1)
    return pixels


def _split(x: Array, axis: int) -> list[Array]:
    parts = lax.split(x, (1,) * x.shape[axis], axis)
    return [lax.squeeze(part, (axis,)) for part in parts]


def _sums(weights: np.ndarray, values: Sequence[Array]) -> list[Array]:
    return [_sum(row, values) for row in weights]


def _sum(weights: np.ndarray, values: Sequence[Array]) -> Array:
    """By `lax`, which traces faster than the operators of arrays."""
    terms = [
        value if weight == 1 else lax.mul(value, lax.full_like(value, weight))
        for weight, value in zip(weights.tolist(), values, strict=True)
        if weight
    ]
    return reduce(lax.add, terms)
