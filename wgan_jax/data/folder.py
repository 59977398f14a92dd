"""Your own pictures: a folder of PNG, JPEG, WebP and BMP files, walked recursively."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from wgan_jax import decoding
from wgan_jax.data.sources import Images, digest, edges, in_threads
from wgan_jax.errors import UserError, first_line

_NOT_READ = (".gif", ".tif", ".tiff", ".avif", ".heic")  # many pictures in one, other depths
_BAD_SHARE = 0.01  # more unreadable files than this stop the run
_EDGE = 4096  # bytes read of a file's beginning and end to know it again
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Pictures:
    """Pictures of a folder, each decoded when it is asked for.

    Attributes:
      root: the folder.
      names: paths from there, sorted.
      size: height and width of the images.
    """

    root: Path
    names: tuple[str, ...]
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.names), self.size, self.size, 3)

    def __getitem__(self, index: int, /) -> Images:
        image = _decode(self.root / self.names[index], self.size)
        if isinstance(image, str):
            raise UserError(f"{image} cannot be read: restore it, then run the command again.")
        return image


@dataclass(frozen=True)
class Found:
    """What lies in a folder.

    Attributes:
      pictures: those that can be read, as far as their beginning and end show.
      digest: 32 hex digits that change with a picture's name, length, beginning or end.
      broken: one line on each that cannot be read.
      others: one line on each kind of picture that is not read.
      clear: how many of those that can have an alpha channel.
    """

    pictures: Pictures
    digest: str
    broken: tuple[str, ...]
    others: tuple[str, ...]
    clear: int

    @property
    def names(self) -> str:
        """32 hex digits that change with the names, and with nothing else."""
        return digest(*self.pictures.names)

    @property
    def notes(self) -> tuple[str, ...]:
        n, notes = len(self.pictures.names), list(self.others)
        if self.clear:
            some = f"{self.clear} of {n} pictures have an alpha channel"
            notes.append(f"{some}: what is transparent is white")
        return (*notes, *_left_out(self.broken, n + len(self.broken)))


def survey(root: Path, classes: tuple[str, ...], size: int) -> Found:
    """Look at every picture under `root` without decoding those that look whole.

    Args:
      root: the folder.
      classes: names of subfolders of `root` to keep; empty: all.
      size: height and width of the images.

    Raises:
      UserError: no folder, no picture, an unknown class, or more than 1 % unreadable files.
    """
    if not root.is_dir():
        place = "" if root.is_absolute() else f"; it was looked for in {Path.cwd()}"
        raise UserError(f"{root} is not a folder: config.data.name=folder:<path> needs one{place}.")
    files = _of_classes(root, decoding.find(root), classes)
    names = [name for name in files if decoding.is_picture(name)]
    if not names:
        where = f"its subfolders {', '.join(classes)}" if classes else "it"
        raise UserError(f"{root} has no picture in {where}: it needs {decoding.KINDS} files.")
    marks, kept, broken, clear = [], [], [], 0
    for name, seen in zip(names, in_threads(lambda n: _look(root / n, size), names), strict=True):
        if isinstance(seen, str):
            broken.append(seen)
        else:
            marks.append(seen[0])
            kept.append(name)
            clear += seen[1]
    _refuse_too_many(broken, len(names))
    content = digest(size, *(part for pair in zip(kept, marks, strict=True) for part in pair))
    pictures = Pictures(root, tuple(kept), size)
    return Found(pictures, content, tuple(broken), _not_read(files), clear)


def read(found: Found) -> tuple[Images, tuple[str, ...]]:
    """Every picture, decoded.

    Returns:
      Images uint8 [n, size, size, 3], and notes on files that could not be read.

    Raises:
      UserError: more than 1 % are unreadable.
    """
    pictures = found.pictures
    images = np.empty(pictures.shape, np.uint8)
    count, broken = 0, list(found.broken)
    paths = (pictures.root / name for name in pictures.names)
    for image in in_threads(lambda path: _decode(path, pictures.size), paths):
        if isinstance(image, str):
            broken.append(image)
        else:
            images[count] = image
            count += 1
    _refuse_too_many(broken, len(images) + len(found.broken))
    return images[:count], replace(found, broken=tuple(broken)).notes


def squared(picture: Image.Image, size: int) -> Image.Image:
    """The centre square, resized with antialiasing."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _of_classes(root: Path, names: list[str], classes: tuple[str, ...]) -> list[str]:
    if not classes:
        return names
    known = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    for wanted in classes:
        if wanted not in known:
            raise UserError(
                f"config.data.classes: {root} has no subfolder {wanted!r} (it has: "
                f"{', '.join(known[:8]) or 'none'})."
            )
    return [name for name in names if name.split(os.sep)[0] in classes]


def _not_read(files: list[str]) -> tuple[str, ...]:
    """How many pictures there are of each kind that is not read."""
    kinds = Counter(os.path.splitext(name)[1].lower() for name in files)
    return tuple(f"{kinds[kind]:,} {kind} files are not read" for kind in _NOT_READ if kinds[kind])


def _left_out(broken: Sequence[str], n: int) -> tuple[str, ...]:
    """How many of n pictures cannot be read, and each by name."""
    if not broken:
        return ()
    return (f"{len(broken)} of {n:,} pictures cannot be read", *(f"left out: {b}" for b in broken))


def _refuse_too_many(broken: list[str], n: int) -> None:
    if len(broken) > _BAD_SHARE * n:
        raise UserError(
            f"{len(broken)} of {n} pictures cannot be read (1 % may), the first: "
            f"{broken[0]}. Mend or remove them."
        )


def _look(path: Path, size: int) -> tuple[bytes, bool] | str:
    """What a picture is known again by, and whether it has an alpha channel.

    Or, if it cannot be read, one line that says why not.

    Most damage is a file that is cut short, or no picture at all: what does not begin and end as
    its kind does is decoded, to see.
    """
    try:
        length, head, tail = edges(path, _EDGE)
        clear = not head.startswith(_JPEG) and decoding.look(path).clear  # no JPEG has alpha
    except decoding.ERRORS as error:
        return _reason(path, error)
    if not _looks_whole(length, head, tail):
        image = _decode(path, size)
        if isinstance(image, str):
            return image
    return digest(length, head, tail).encode(), clear


def _looks_whole(length: int, head: bytes, tail: bytes) -> bool:
    if head.startswith(_JPEG):
        return tail.endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return tail.endswith(b"IEND\xaeB`\x82")
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return is_webp and int.from_bytes(head[4:8], "little") + 8 == length


def _decode(path: Path, size: int) -> Images | str:
    """The picture, or one line that says why not: one bad file among thousands is no failure."""
    try:
        return np.asarray(squared(decoding.decode(path), size))
    except decoding.ERRORS as error:
        return _reason(path, error)


def _reason(path: Path, error: Exception) -> str:
    return f"{path} ({first_line(error, 60)})"
