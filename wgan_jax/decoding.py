"""A picture's file as everyone here reads it: upright, on white, in 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

# What is raised for a file that cannot be read.
ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

_GREY, _CLEAR, _COLOUR = ("1", "L"), ("LA", "PA", "RGBA"), ("RGB", "P", "CMYK", "YCbCr")
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


def _refuse_deep(picture: Image.Image) -> None:
    """Refuse more than 8 bits, which a conversion to RGB would cut off: all white."""
    if picture.mode not in (*_GREY, *_CLEAR, *_COLOUR):
        raise ValueError(f"{picture.mode} pixels: convert it to 8 bits, grey or RGB")


def _is_clear(picture: Image.Image) -> bool:
    return picture.mode in _CLEAR or "transparency" in picture.info


def _lies_on_its_side(picture: Image.Image) -> bool:
    # A PNG would be decoded to look for EXIF behind its pixels, where hardly any program puts it.
    at_hand = picture.format != "PNG" or "exif" in picture.info
    return at_hand and picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
