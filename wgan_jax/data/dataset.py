"""A dataset, in memory or streamed, and the one function that opens any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax import decoding
from wgan_jax.data import digits, folder, tfds_images
from wgan_jax.data.held_out import rest, some
from wgan_jax.data.sources import ArrayFile, Images, Source, digest, fingerprint, read_all
from wgan_jax.errors import UserError, printable
from wgan_jax.files import expanded
from wgan_jax.settings import DataSettings

NOTES = 4  # of a dataset's notes that are printed; a run's `dataset.json` has all


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one size: resident, all in memory, or streamed, each read when it is needed.

    Attributes:
      name: as in the settings, e.g. `tfds:cifar10`.
      source: uint8 [n, size, size, channels], 0 to 255: an array if resident.
      fingerprint: 32 hex digits, of shape and pixels if resident (the same images in the same
        order), of the files if streamed.
      notes: what a person should know: how many files could not be read, and which.
      files: digest of the files that the images come from, by name, length, beginning and end;
        "" where they come from none.
      names: digest of the names of these files; "" where they have none.
      streamed: whether images are to be read while they are used.
      workers: processes that decode what is streamed; 0: threads.
      held_out: images of the same kind that are none of these, uint8 [k, size, size, channels];
        None where there are none.
    """

    name: str
    source: Source | Images
    fingerprint: str
    notes: tuple[str, ...] = ()
    files: str = ""
    names: str = ""
    streamed: bool = False
    workers: int = 0
    held_out: Images | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, height, width, channels)."""
        n, height, width, channels = self.source.shape
        return (n, height, width, channels)

    @property
    def channels(self) -> int:
        return self.shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of all images, decoded."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def images(self) -> Images:
        """All images of a resident dataset, uint8 [n, size, size, channels]."""
        if self.streamed or not isinstance(self.source, np.ndarray):
            raise TypeError(f"{self.name} is streamed: its images are not all in memory")
        return self.source

    @property
    def identity(self) -> dict[str, Any]:
        """What a run keeps to know its images again, and the notes on them."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "fingerprint": self.fingerprint,
            "files": self.files,
            "names": self.names,
            "notes": list(self.notes),
            "held_out": 0 if self.held_out is None else len(self.held_out),
        }

    @property
    def words(self) -> str:
        """What it is and the first notes, for the person at the terminal."""
        lines = [
            f"{self.name}: {len(self):,} images of {'x'.join(map(str, self.shape[1:]))}, "
            f"{self.nbytes / 1e6:.1f} MB, fingerprint {self.fingerprint[:8]}"
        ]
        if self.held_out is not None:
            lines.append(f"{len(self.held_out):,} more are held out, and not trained on")
        lines += self.notes[:NOTES]
        if len(self.notes) > NOTES:
            lines.append(f"and {len(self.notes) - NOTES} more")
        return "\n  ".join(map(printable, lines))

    def __len__(self) -> int:
        return self.shape[0]

    def batches(self, size: int) -> Iterator[Images]:
        """All images in order, uint8 [size, h, w, c] at a time; the last batch may be smaller."""
        if isinstance(self.source, np.ndarray):
            source = self.source
            yield from (source[start : start + size] for start in range(0, len(self), size))
            return
        from wgan_jax.data.reading import InTurn, Reader  # Grain: for those who stream

        reader = Reader(self.source, InTurn(len(self), size), self.workers)
        try:
            yield from reader
        finally:
            reader.close()


def load(settings: DataSettings, image_size: int, room: int | None = None) -> Dataset:
    """All images that the settings name, cropped to squares and resized where they need it.

    Args:
      settings: which images, and whether they are streamed.
      image_size: height and width.
      room: bytes of a device's memory, if they are to lie there; None: they are not, or it is the
        host's.

    Raises:
      UserError: an unknown source or class, nothing to read, no network to prepare it, or more
        images than there is memory, if they are to be resident.
    """
    kind, _, where = settings.name.partition(":")
    classes = tuple(name.strip() for name in settings.classes.split(",") if name.strip())
    if settings.name == "digits":
        images = np.stack([folder.fitted(image, image_size) for image in digits.read(classes)])
        found = Dataset(settings.name, images, fingerprint(images))
    elif kind == "tfds" and where:
        cache = expanded(settings.cache_dir) if settings.cache_dir else None
        records = tfds_images.Records(where, settings.split, classes, cache, image_size)
        found = Dataset(settings.name, records, records.digest, files=records.digest)
        if not settings.stream:
            _refuse_too_large(found, room)
            images = read_all(records)
            found = replace(found, source=images, fingerprint=fingerprint(images))
        if settings.held_out_split:
            others = tfds_images.Records(where, settings.held_out_split, classes, cache, image_size)
            found = replace(found, held_out=_some_of(others, settings))
    elif kind == "folder" and where:
        survey = folder.survey(expanded(where), classes, image_size)
        pictures, content = survey.pictures, survey.digest
        found = Dataset(
            settings.name, pictures, content, survey.notes, files=content, names=survey.names
        )
        if not settings.stream:
            _refuse_too_large(found, room)
            images, notes = folder.read(survey)
            found = replace(found, source=images, fingerprint=fingerprint(images), notes=notes)
    elif settings.name == "arrays":
        raise UserError("config.data.name = 'arrays' needs train(config, images=...) from Python.")
    else:
        raise UserError(
            f"config.data.name = {settings.name!r} is not a source: use digits, "
            "tfds:<name> (e.g. tfds:cifar10), folder:<path>, or images=... from Python."
        )
    if not settings.stream:
        _checked(found.images, image_size)
        _refuse_zeros_and_ones(found.name, found.images)
    found = replace(found, streamed=settings.stream, workers=settings.workers)
    return _without_held_out(found, settings)


def _without_held_out(dataset: Dataset, settings: DataSettings) -> Dataset:
    """The dataset less the images that are held out of it, if any are."""
    count = settings.held_out
    if not count or dataset.held_out is not None:
        return dataset
    held_out = _some_of(dataset.source, settings)
    if count == len(dataset):
        raise UserError(
            f"config.data.held_out = {count} leaves none of {dataset.name} to train on."
        )
    return replace(
        dataset,
        source=rest(dataset.source, count),
        fingerprint=digest(dataset.fingerprint, "held out", count),
        files=dataset.files and digest(dataset.files, "held out", count),
        held_out=held_out,
    )


def _some_of(source: Source | Images, settings: DataSettings) -> Images:
    if settings.held_out > source.shape[0]:
        raise UserError(
            f"config.data.held_out = {settings.held_out} is more than there are to take them from: "
            f"{source.shape[0]}."
        )
    return some(source, settings.held_out)


def _refuse_zeros_and_ones(name: str, images: NDArray[Any]) -> None:
    """Refuse what was written as 0 and 1: in 8 bits both are black."""
    if decoding.zeros_and_ones(images):
        raise UserError(
            f"{name} has images of 0 and 1, which both are black in 8 bits: write them as 0 and "
            "255, and train from a folder or an array."
        )


def from_array(
    images: NDArray[np.generic], image_size: int, settings: DataSettings | None = None
) -> Dataset:
    """A dataset from an array in memory, or from a file that `np.load(path, mmap_mode="r")` mapped.

    Args:
      images: uint8 [n, image_size, image_size, 1 or 3], or [n, image_size, image_size] for grey;
        or a list of such images.
      image_size: height and width.
      settings: whether to stream them; None: they are resident.

    Raises:
      UserError: another shape, dtype or range.
    """
    images = _checked(_as_array(images), image_size)
    _refuse_zeros_and_ones("The array", images)
    if settings and settings.classes:
        raise UserError(
            f"config.data.classes = {settings.classes!r} does not go with images=...: choose the "
            "images yourself."
        )
    settings = settings or DataSettings()
    lying = (settings.stream and _file_behind(images)) or np.ascontiguousarray(images)
    streamed, workers = settings.stream, settings.workers
    found = Dataset("arrays", lying, fingerprint(lying), streamed=streamed, workers=workers)
    return _without_held_out(found, settings)


def _checked(images: NDArray[Any], image_size: int) -> Images:
    """The images [n, image_size, image_size, 1 or 3], if they are such, and uint8."""
    if images.dtype != np.uint8:
        raise UserError(
            f"images must be uint8 from 0 to 255, got {images.dtype} from "
            f"{float(images.min()):.3g} to {float(images.max()):.3g}: {_conversion(images)}."
        )
    shape = list(images.shape)
    if images.ndim == 3:
        images = images[..., None]
    wanted = (image_size, image_size)
    if images.ndim != 4 or images.shape[1:3] != wanted or images.shape[3] not in (1, 3):
        raise UserError(
            f"images must be [n, {image_size}, {image_size}, 1 or 3], got {shape}: "
            f"{_reshaping(shape)}."
        )
    return images


def _as_array(images: NDArray[np.generic]) -> NDArray[Any]:
    """An array of numbers from it, or from a list of arrays; one that is mapped stays so."""
    try:
        array = np.asanyarray(images)
    except ValueError:
        raise UserError(
            "images have different shapes: resize them, then np.stack(images)."
        ) from None
    if array.dtype.kind not in "biuf":
        raise UserError(
            f"images must be an array, uint8 [n, h, w, 1 or 3], got {type(images).__name__} of "
            f"{array.dtype}: load them first, e.g. np.load(path)."
        )
    if not array.size:
        raise UserError("images is empty: give at least one batch of images.")
    return array


def _conversion(images: NDArray[Any]) -> str:
    """What makes them uint8, as far as kind and range tell."""
    whole = images.dtype.kind in "iu"
    for least, most, of_whole, x in (
        (0, 1, True, "(255.0 * x)"),
        (0, 255, True, "x"),
        (0, 1, False, "(255 * x).round()"),
        (-1, 1, False, "(127.5 * (x + 1)).round()"),
        (0, 255, False, "x.round()"),
    ):
        if whole == of_whole and least <= images.min() and images.max() <= most:
            return f"convert first, {x}.astype('uint8')"
    return "bring them into that range first"


def _reshaping(shape: list[int]) -> str:
    """What makes the shape right, as far as it tells."""
    if len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4)):
        return "is it a single image? That is images[None]"
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        return "channels come last, np.moveaxis(images, 1, -1)"
    if shape[-1] == 4:
        return "drop the alpha channel, images[..., :3]"
    return "resize them, or set config.image_size"


def _refuse_too_large(dataset: Dataset, room: int | None) -> None:
    """Refuse, before they are read, to hold images for which there is no memory."""
    for where, there in (("device memory", room), ("free memory", _available())):
        if there is not None and dataset.nbytes > there:
            raise UserError(
                f"{dataset.name}: {len(dataset):,} images take {dataset.nbytes / 1e9:.3g} GB, of "
                f"{there / 1e9:.3g} GB of {where}. Stream them: --config.data.stream=true."
            )


def _available() -> int:
    """Bytes of memory that programs can still be given; 2**62 where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return 2**62


def _file_behind(images: NDArray[Any]) -> ArrayFile | None:
    """Where a mapped array lies, if it is all that its file holds."""
    if not isinstance(images, np.memmap) or not images.flags.c_contiguous or not images.filename:
        return None
    path = Path(images.filename)
    if images.offset + images.nbytes != path.stat().st_size:
        return None
    return ArrayFile(path, images.offset, images.shape)
