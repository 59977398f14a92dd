"""Sets of pictures to be judged: a folder, or an `.npz` of uint8 images, at their own size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax import decoding
from wgan_jax.errors import UserError, first_line

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """A set of pictures of one size.

    Attributes:
      source: what to call it.
      n: how many.
      shape: (height, width).
      batches: gives them all, in order, as uint8 [at most the size asked, H, W, 1 or 3].
      notes: what a reader must know of how they were read.
    """

    source: str
    n: int
    shape: tuple[int, int]
    batches: Callable[[int], Iterator[Images]]
    notes: tuple[str, ...] = ()


def from_folder(folder: Path) -> Pictures:
    """The pictures under a folder, recursively, sorted by path; they stay on the disk until used.

    Raises:
      UserError: no picture, one that cannot be read, or pictures of different sizes.
    """
    found = [folder / name for name in decoding.find(folder) if decoding.is_picture(name)]
    if not found:
        raise UserError(f"{folder} has no picture in it: it needs {decoding.KINDS} files.")
    with ThreadPoolExecutor() as pool:
        looks = list(pool.map(_look, found))
    first, size = found[0], looks[0].size
    for path, (width, height) in zip(found, (seen.size for seen in looks), strict=True):
        if (width, height) != size:
            raise UserError(
                f"{folder} mixes sizes: {first.name} is {size[0]}x{size[1]}, {path.name} "
                f"{width}x{height}. Give --image-size N for squares as in training, or resize them."
            )
    grey, clear = sum(seen.grey for seen in looks), sum(seen.clear for seen in looks)
    notes = []
    if grey:
        notes.append(f"{grey} of {len(found)} pictures of {folder.name} are grey, read as RGB")
    if clear:
        notes.append(
            f"{clear} of {len(found)} pictures of {folder.name} have an alpha channel: what is "
            "transparent is white"
        )

    def batches(most: int) -> Iterator[Images]:
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(found), most):
                yield np.stack(list(pool.map(_decode, found[start : start + most])))

    return Pictures(str(folder), len(found), (size[1], size[0]), batches, tuple(notes))


def from_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> Pictures:
    """The images in an `.npz`: its one array, or that called `images`.

    Raises:
      UserError: which array is meant is not clear, or it is not uint8 [n, H, W, 1 or 3].
    """
    if "images" not in arrays and len(arrays) != 1:
        raise UserError(
            f"{path} holds {', '.join(sorted(arrays)[:5]) or 'nothing'}: call the uint8 images in "
            "it `images`, or give a statistics file with `mu` and `sigma`."
        )
    images = arrays["images"] if "images" in arrays else next(iter(arrays.values()))
    return from_array(images, str(path))


def from_array(images: NDArray[Any], source: str) -> Pictures:
    """Images uint8 [n, H, W], [n, H, W, 1] or [n, H, W, 3]."""
    if images.dtype != np.uint8:
        broken = np.issubdtype(images.dtype, np.floating) and not np.isfinite(images).all()
        what = "NaN or infinite pixels" if broken else f"{images.dtype} pixels"
        raise UserError(f"{source} has {what}: images must be uint8, 0 to 255.")
    if images.ndim == 3 and images.shape[2] not in (1, 3, 4):  # or it is a single picture
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise UserError(
            f"{source} has shape {list(images.shape)}: images must be [n, height, width, 1 or 3]"
            + (", without an alpha channel." if images.shape[-1:] == (4,) else ".")
        )
    if decoding.zeros_and_ones(images):
        raise UserError(
            f"{source} has images of 0 and 1, which both are black in 8 bits: give 0 and 255."
        )

    def batches(most: int) -> Iterator[Images]:
        return (images[start : start + most] for start in range(0, len(images), most))

    return Pictures(source, len(images), (images.shape[1], images.shape[2]), batches)


def _look(path: Path) -> decoding.Look:
    try:
        return decoding.look(path)
    except decoding.ERRORS as error:
        raise _unreadable(path, error) from None


def _decode(path: Path) -> Images:
    """A picture's pixels, uint8 [H, W, 3]."""
    try:
        return np.asarray(decoding.decode(path))
    except decoding.ERRORS as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read ({first_line(error, 60)}): mend or remove it.")
