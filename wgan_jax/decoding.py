"""Pictures' files as everyone here finds and reads them: upright, on white, in 8 bits."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image, ImageOps

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".jfif")
KINDS = ", ".join(_SUFFIXES)
# What is raised for a file that cannot be read.
ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

_GREY, _CLEAR, _COLOUR = ("1", "L"), ("LA", "PA", "RGBA"), ("RGB", "P", "CMYK", "YCbCr")
_BITS_PER_SAMPLE = 258  # a TIFF's tag, by whatever name it comes
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # EXIF: how the camera was held


@dataclass(frozen=True)
class Look:
    """What a file's beginning says of the picture.

    Attributes:
      size: (width, height) once it stands upright.
      grey: whether it has no colours.
      clear: whether it has transparency, or may have.
    """

    size: tuple[int, int]
    grey: bool
    clear: bool


def find(root: Path) -> list[str]:
    """All files under a folder but for hidden ones, as paths from there, sorted folder by folder.

    Links are followed, but into no folder that one is in already, be it outside of the root.
    """
    found = []
    around = {str(root): _around(os.path.realpath(root))}
    for place, folders, names in os.walk(root, followlinks=True):
        inside = around.pop(place)
        there = {name: os.path.realpath(os.path.join(place, name)) for name in folders}
        folders[:] = [name for name in folders if _is_meant(name) and there[name] not in inside]
        around |= {os.path.join(place, name): inside | _around(there[name]) for name in folders}
        found += [os.path.relpath(os.path.join(place, n), root) for n in names if _is_meant(n)]
    return sorted(found, key=lambda name: name.split(os.sep))


def _around(folder: str) -> set[str]:
    """A folder and all that it lies in, by its real path."""
    return {folder, *map(str, Path(folder).parents)}


def is_picture(name: str) -> bool:
    """Whether a file is one of those that are read, by its name."""
    return name.lower().endswith(_SUFFIXES)


def look(path: Path) -> Look:
    """Read a picture's first bytes. Raises one of `ERRORS`."""
    with Image.open(path) as picture:
        _refuse_deep(picture)
        width, height = picture.size
        size = (height, width) if _lies_on_its_side(picture) else (width, height)
        return Look(size, picture.mode in _GREY, _is_clear(picture))


def decode(path: Path) -> Image.Image:
    """The picture as RGB; what is transparent is white. Raises one of `ERRORS`."""
    with Image.open(path) as picture:
        _refuse_deep(picture)
        upright = ImageOps.exif_transpose(picture)
        if not _is_clear(upright):
            return upright.convert("RGB")
        clear = upright.convert("RGBA")
        # Their colours are no part of the picture: programs leave anything there.
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def zeros_and_ones(images: NDArray[Any]) -> bool:
    """Whether images [n, ...] hold 0 and 1 alone, as the first show: in 8 bits both are black."""
    return max((int(images[i].max()) for i in range(min(images.shape[0], 16))), default=0) == 1


def _is_meant(name: str) -> bool:
    """Whether a file or folder is a person's own: systems and archives leave others beside them."""
    return not name.startswith(".") and name != "__MACOSX"


def _refuse_deep(picture: Image.Image) -> None:
    """Refuse more than 8 bits, which a conversion to RGB would cut off: all white, or all black."""
    if picture.mode not in (*_GREY, *_CLEAR, *_COLOUR):
        raise ValueError(f"{picture.mode} pixels: convert it to 8 bits, grey or RGB")
    if _bits(picture) > 8:
        raise ValueError(f"{picture.mode} pixels of 16 bits: convert it to 8 bits, grey or RGB")


def _bits(picture: Image.Image) -> int:
    """Bits of a channel in the file, of a picture just opened; Pillow's modes have 8 all the same.

    As the tiles say, by how their bytes are read: `RGB;16B`, where `BGR;16` has 16 for all three.
    """
    per_channel: tuple[int, ...] = getattr(picture, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    raw = [re.search(r";(16|32)[BLNS]", str(tile[3])) for tile in getattr(picture, "tile", ())]
    return max([8, *per_channel, *(int(found[1]) for found in raw if found)])


def _is_clear(picture: Image.Image) -> bool:
    return picture.mode in _CLEAR or "transparency" in picture.info


def _lies_on_its_side(picture: Image.Image) -> bool:
    # A PNG would be decoded to look for EXIF behind its pixels, where hardly any program puts it.
    at_hand = picture.format != "PNG" or "exif" in picture.info
    return at_hand and picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
