"""Your own pictures: a folder of PNG, JPEG and WebP files, walked recursively."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from wgan_jax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_BAD_SHARE = 0.01  # more unreadable files than this stop the run


def find(root: Path) -> list[Path]:
    """All pictures under a folder, sorted by path."""
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: config.data.name=folder:<path> needs one.")
    found = [
        Path(place, name)
        for place, _, names in os.walk(root, followlinks=True)
        for name in names
        if name.lower().endswith(SUFFIXES)
    ]
    if not found:
        raise UserError(f"{root} has no picture in it: it needs {', '.join(SUFFIXES)} files.")
    return sorted(found)


def read(
    root: Path, classes: tuple[str, ...], size: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Every picture under `root`, its centre square resized.

    Args:
      root: the folder.
      classes: names of subfolders of `root` to keep; empty: all.
      size: height and width of the result.

    Returns:
      Images uint8 [n, size, size, 3], sorted by path, and notes on files that could not be read.

    Raises:
      UserError: no folder, no picture, an unknown class, or more than 1 % unreadable files.
    """
    paths = find(root)
    if classes:
        known = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        for name in classes:
            if name not in known:
                raise UserError(
                    f"config.data.classes: {root} has no subfolder {name!r} (it has: "
                    f"{', '.join(known[:8]) or 'none'})."
                )
        paths = [path for path in paths if path.relative_to(root).parts[0] in classes]
        if not paths:
            raise UserError(f"{root} has no picture in its subfolders {', '.join(classes)}.")
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda path: _decode(path, size), paths))
    images = [image for image in results if isinstance(image, np.ndarray)]
    broken = [str(error) for error in results if isinstance(error, str)]
    if len(broken) > _BAD_SHARE * len(paths):
        raise UserError(
            f"{len(broken)} of {len(paths)} pictures cannot be read (1 % may), the first: "
            f"{broken[0]}. Mend or remove them."
        )
    notes = tuple(f"left out: {line}" for line in broken)
    return np.stack(images), notes


def squared(picture: Image.Image, size: int) -> Image.Image:
    """The centre square, resized with antialiasing."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _decode(path: Path, size: int) -> NDArray[np.uint8] | str:
    """The picture, or one line that says why not: one bad file among thousands is no failure."""
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            return np.asarray(squared(upright, size))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{path} ({str(error).splitlines()[0][:60]})"
