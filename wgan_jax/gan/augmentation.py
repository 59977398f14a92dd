"""Augmentation of all that the critic sees, real images and fakes alike (Zhao et al. 2020).

The generator's gradient passes through it. So the critic has to tell real from fake by many views
of an image, and learns few images by heart less soon; and what is done to the images does not show
in the samples, as it would if only real images were changed. Sizes and ranges are those of the
authors' code (DiffAugment).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax

SHIFT, CUT = 1 / 8, 1 / 2  # of height and width: the farthest translation, the cut-out's side

Draws = dict[str, Array]


@dataclass(frozen=True)
class Kind:
    """One kind of change.

    Attributes:
      draw: (key, n, size) -> what is done to each of n images of this height and width [n, ...].
      change: the images [n, size, size, c], and what was drawn for them -> the images, changed.
    """

    draw: Callable[[Array, int, int], Array]
    change: Callable[[Array, Array], Array]


def draw(kinds: Collection[str], key: Array, n: int, size: int) -> Draws:
    """What is done to each of n images of this height and width.

    Args:
      kinds: some of `KINDS`; each draws the same whichever others are on.
      key: of this batch.
      n: how many images.
      size: their height and width.

    Returns:
      Of the kinds asked for: `color` float32 [n, 3] in [0, 1), which says how much of brightness,
      saturation and contrast; `translation` int32 [n, 2], pixels down and right; `cutout` int32
      [n, 2], row and column of the middle of what is cut out.
    """
    return {
        name: kind.draw(jax.random.fold_in(key, i), n, size)
        for i, (name, kind) in enumerate(KINDS.items())
        if name in kinds
    }


def augment(images: Array, draws: Draws) -> Array:
    """The images [n, size, size, c] in [-1, 1], changed as drawn, one kind after the other.

    What comes in from outside and what is cut out is 0, a middle grey. Colours may leave [-1, 1].
    """
    for name, kind in KINDS.items():
        if name in draws:
            images = kind.change(images, draws[name])
    return images


def _amounts(key: Array, n: int, size: int) -> Array:
    del size
    return jax.random.uniform(key, (n, 3), jnp.float32)


def _recolored(images: Array, amounts: Array) -> Array:
    """Brightness up or down by 0.5 at most, saturation times 0 to 2, contrast times 0.5 to 1.5."""
    brightness, saturation, contrast = (
        amounts[:, i, None, None, None].astype(images.dtype) for i in range(3)
    )
    images = images + (brightness - 0.5)
    images = _spread(images, images.mean(axis=3, keepdims=True), 2 * saturation)
    return _spread(images, images.mean(axis=(1, 2, 3), keepdims=True), contrast + 0.5)


def _spread(images: Array, middle: Array, factor: Array) -> Array:
    return middle + factor * (images - middle)


def _shifts(key: Array, n: int, size: int) -> Array:
    far = _pixels(SHIFT, size)
    return jax.random.randint(key, (n, 2), -far, far + 1)


def _moved(images: Array, shifts: Array) -> Array:
    """Each image so many pixels down and right, at most as far as `SHIFT` says."""
    far = _pixels(SHIFT, images.shape[1])
    framed = jnp.pad(images, ((0, 0), (far, far), (far, far), (0, 0)))

    def window(image: Array, shift: Array) -> Array:
        down, right = shift
        size, _, channels = images.shape[1:]
        return lax.dynamic_slice(image, (far - down, far - right, 0), (size, size, channels))

    return jax.vmap(window)(framed, shifts)


def _middles(key: Array, n: int, size: int) -> Array:
    odd = _pixels(CUT, size) % 2
    return jax.random.randint(key, (n, 2), 0, size + 1 - odd)


def _cut(images: Array, middles: Array) -> Array:
    """Each image without a square around its middle, or what of that lies within."""
    size = images.shape[1]
    side = _pixels(CUT, size)
    first = middles - side // 2
    places = jnp.arange(size)[None, :, None]
    inside = (places >= first[:, None]) & (places < first[:, None] + side)  # [n, size, 2]
    gone = inside[:, :, None, 0] & inside[:, None, :, 1]
    return jnp.where(gone[..., None], 0, images)


def _pixels(share: float, size: int) -> int:
    """A share of height and width in whole pixels, half a pixel up."""
    return int(share * size + 0.5)


# In the order in which they are done.
KINDS: dict[str, Kind] = {
    "color": Kind(_amounts, _recolored),
    "translation": Kind(_shifts, _moved),
    "cutout": Kind(_middles, _cut),
}
