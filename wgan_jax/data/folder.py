"""Your own pictures: a folder of PNG, JPEG, WebP and BMP files, walked recursively."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from wgan_jax import decoding
from wgan_jax.data.sources import Images, digest, edges, in_threads, unreadable
from wgan_jax.errors import LIMIT, UserError, first_line, shorten

_NOT_READ = (".gif", ".tif", ".tiff", ".avif", ".heic")  # many pictures in one, other depths
_BAD_SHARE = 0.01  # more unreadable files than this stop the run
_LEAST_NAMES = 80  # characters for the names of those; a longer path of their folder is cut
_EDGE = 4096  # bytes read of a file's beginning and end to know it again
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class PictureFiles:
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
        path = self.root / self.names[index]
        image = _decode(path, self.size)
        if isinstance(image, str):
            raise unreadable(path, image)
        return image


@dataclass(frozen=True)
class Found:
    """What lies in a folder.

    Attributes:
      pictures: those that can be read, as far as their beginning and end show.
      digest: 32 hex digits that change with a picture's name, length, beginning or end.
      broken: name -> why it cannot be read.
      others: one line on each kind of picture that is not read.
      clear: how many of those that can have an alpha channel.
    """

    pictures: PictureFiles
    digest: str
    broken: Mapping[str, str]
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
        if self.broken:
            notes.append(f"{len(self.broken)} of {n + len(self.broken):,} pictures cannot be read")
        root = self.pictures.root
        return (*notes, *(f"left out: {root / name} ({why})" for name, why in self.broken.items()))


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
    marks, kept, broken, clear = [], [], dict[str, str](), 0
    for name, seen in zip(names, in_threads(lambda n: _look(root / n, size), names), strict=True):
        if isinstance(seen, str):
            broken[name] = seen
        else:
            marks.append(seen[0])
            kept.append(name)
            clear += seen[1]
    _refuse_too_many(root, broken, len(names))
    content = digest(size, *(part for pair in zip(kept, marks, strict=True) for part in pair))
    pictures = PictureFiles(root, tuple(kept), size)
    return Found(pictures, content, broken, _not_read(files), clear)


def read(found: Found) -> tuple[Images, tuple[str, ...]]:
    """Every picture, decoded.

    Returns:
      Images uint8 [n, size, size, 3], and notes on files that could not be read.

    Raises:
      UserError: more than 1 % are unreadable.
    """
    pictures = found.pictures
    images = np.empty(pictures.shape, np.uint8)
    count, broken, names = 0, dict(found.broken), pictures.names
    decoded = in_threads(lambda name: _decode(pictures.root / name, pictures.size), names)
    for name, image in zip(names, decoded, strict=True):
        if isinstance(image, str):
            broken[name] = image
        else:
            images[count] = image
            count += 1
    _refuse_too_many(pictures.root, broken, len(images) + len(found.broken))
    return images[:count], replace(found, broken=broken).notes


def squared(picture: Image.Image, size: int) -> Image.Image:
    """The centre square, resized with antialiasing."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def fitted(image: Images, size: int) -> Images:
    """An image [h, w, 1 or 3] as an array, `squared`; one of that size as it is."""
    if image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(squared(picture, size)).reshape(size, size, -1)


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


def _refuse_too_many(root: Path, broken: Mapping[str, str], n: int) -> None:
    """Refuse more broken ones of n pictures than may be, with as many names as fit in a line."""
    if len(broken) <= _BAD_SHARE * n:
        return
    first, *others = broken
    head = f"{len(broken)} of {n} pictures cannot be read (1 % may) in {root}: "
    tail = ". Mend or remove them."
    room = max(LIMIT - len(head + tail), _LEAST_NAMES)
    raise UserError(head + shorten([f"{first} ({broken[first]})", *others], room) + tail)


def _look(path: Path, size: int) -> tuple[bytes, bool] | str:
    """A picture's digest and whether it has an alpha channel; or why it cannot be read.

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
    """The picture, or why it cannot be read: one bad file among thousands is no failure."""
    try:
        return np.asarray(squared(decoding.decode(path), size))
    except decoding.ERRORS as error:
        return _reason(path, error)


def _reason(path: Path, error: Exception) -> str:
    """Why, in at most 60 characters; without the path, which stands beside it."""
    return first_line(error, 120 + len(str(path))).partition(repr(str(path)))[0].rstrip(": ")[:60]
