"""A dataset in memory, and the one function that loads any."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wgan_jax.config import DataSettings
from wgan_jax.data import digits, folder, tfds_images
from wgan_jax.errors import UserError

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Dataset:
    """Images of one size.

    Attributes:
      name: as in the settings, e.g. `tfds:cifar10`.
      images: uint8 [n, size, size, channels], 0 to 255.
      fingerprint: hex digest of shape and pixels: the same images in the same order.
      notes: what a person should know, e.g. how many files could not be read.
    """

    name: str
    images: Images
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        return int(self.images.shape[3])

    @property
    def identity(self) -> dict[str, Any]:
        """What a run keeps to know its images again: name, shape, fingerprint."""
        return {
            "name": self.name,
            "shape": list(self.images.shape),
            "fingerprint": self.fingerprint,
        }


def load(settings: DataSettings, image_size: int) -> Dataset:
    """All images that the settings name, cropped to squares and resized where they need it.

    Raises:
      UserError: an unknown source or class, nothing to read, no network to prepare it.
    """
    kind, _, rest = settings.name.partition(":")
    classes = tuple(name.strip() for name in settings.classes.split(",") if name.strip())
    notes: tuple[str, ...] = ()
    if settings.name == "digits":
        images = digits.read(classes)
        images = images if image_size == digits.SIZE else _resized(images, image_size)
    elif kind == "tfds" and rest:
        cache = Path(settings.cache_dir).expanduser() if settings.cache_dir else None
        images = tfds_images.read(rest, settings.split, classes, cache, image_size)
    elif kind == "folder" and rest:
        images, notes = folder.read(Path(rest).expanduser(), classes, image_size)
    elif settings.name == "arrays":
        raise UserError("config.data.name = 'arrays' needs train(config, images=...) from Python.")
    else:
        raise UserError(
            f"config.data.name = {settings.name!r} is not a source: use digits, "
            "tfds:<name> (e.g. tfds:cifar10), folder:<path>, or images=... from Python."
        )
    return Dataset(settings.name, images, fingerprint(images), notes)


def from_array(images: NDArray[np.generic], image_size: int) -> Dataset:
    """A dataset from an array in memory.

    Args:
      images: uint8 [n, image_size, image_size, 1 or 3], or [n, image_size, image_size] for grey.

    Raises:
      UserError: another shape, dtype or range.
    """
    if images.dtype != np.uint8:
        raise UserError(
            f"images must be uint8 from 0 to 255, got {images.dtype} from {images.min():.3g} to "
            f"{images.max():.3g}: convert first, e.g. (127.5 * (x + 1)).round().astype('uint8')."
        )
    if images.ndim == 3:
        images = images[..., None]
    wanted = (image_size, image_size)
    if images.ndim != 4 or images.shape[1:3] != wanted or images.shape[3] not in (1, 3):
        raise UserError(
            f"images must be [n, {image_size}, {image_size}, 1 or 3], got {list(images.shape)}: "
            "resize them, or set config.image_size."
        )
    if not len(images):
        raise UserError("images is empty: give at least one batch of images.")
    own = np.ascontiguousarray(images)
    return Dataset("arrays", own, fingerprint(own))


def fingerprint(images: Images) -> str:
    """32 hex digits that change with any pixel, the shape, or the order."""
    digest = hashlib.blake2b(repr(images.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _resized(images: Images, size: int) -> Images:
    grey = images.shape[3] == 1
    pictures: Sequence[Image.Image] = [
        Image.fromarray(image[..., 0] if grey else image) for image in images
    ]
    out = np.stack([np.asarray(folder.squared(picture, size)) for picture in pictures])
    return out[..., None] if grey else out
