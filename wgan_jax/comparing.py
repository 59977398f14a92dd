"""`evaluate` for two sets: arrays, folders, `.npz` files, statistics files or datasets."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from wgan_jax import devices
from wgan_jax.backend import use_compilation_cache
from wgan_jax.data.digits import SIZE as DIGITS_SIZE
from wgan_jax.data.digits import read_labelled
from wgan_jax.errors import UserError, to_stderr
from wgan_jax.evaluation import Options, load_images
from wgan_jax.evaluator import real_statistics, with_progress
from wgan_jax.files import check_writable, expanded
from wgan_jax.keys import measured_by
from wgan_jax.measurement import Quality
from wgan_jax.quality import inception, statistics
from wgan_jax.quality.compare import compare, refuse_other_protocol
from wgan_jax.quality.distances import frechet_distance
from wgan_jax.quality.encoders import Encoding, Wanted, build
from wgan_jax.quality.npz import read_npz
from wgan_jax.quality.pictures import Pictures, from_array, from_arrays, from_folder
from wgan_jax.quality.statistics import Protocol, Statistics
from wgan_jax.settings import DataSettings

BATCH = 64  # images encoded at a time
BFLOAT16_SAMPLE = 256  # images encoded twice, to measure what bfloat16 changes

DEFAULT = Protocol("inception", "", "", "tf1")

Given = str | os.PathLike[str] | ArrayLike
Side = Pictures | Statistics | DataSettings
Shape = tuple[int, int] | None


def evaluate(
    images: Given,
    reference: Given,
    *,
    encoder: str = "",
    weights: str = "",
    resize: str = "",
    dtype: str = "",
    batch_size: int | None = None,
) -> Quality:
    """FID, KID, IS, precision and recall of images against a reference; from Python.

    Args:
      images: the set judged: uint8 [n, h, w, 1 or 3], or what the command takes: a folder, an
        `.npz`, `digits`, `tfds:<name>/<split>`.
      reference: what it is compared with; an `.npz` may hold statistics, too.
      encoder: `inception` (default) or `digits`.
      weights: name of the encoder's weights.
      resize: input protocol, `tf1` (default) or `pytorch`.
      dtype: `float32` (default) or `bfloat16`.
      batch_size: images encoded at a time.

    Returns:
      Numbers in `.values` (`fid_score`, `kid_mean`, ...), how they were made in `.protocol`.

    Raises:
      UserError: a set cannot be used, or the encoder's weights are not on this machine.
    """
    options = Options(encoder, weights, resize, dtype=dtype, batch_size=batch_size)
    return evaluate_sets(images, reference, options)


def evaluate_sets(
    images: Given, reference: Given, options: Options, save_reference: Path | None = None
) -> Quality:
    """The same with the options of the command.

    Args:
      images: the set judged.
      reference: what it is compared with.
      options: how pictures are encoded; what is empty there is as a statistics file says.
      save_reference: where to keep the reference's statistics, for the next time.

    Raises:
      UserError: a set cannot be used, both sides cannot be encoded alike, a flag contradicts a
        statistics file, or the reference could not be kept there, or not without a loss.
    """
    names = (_called(images), _called(reference))
    if save_reference is not None:
        _refuse_loss(save_reference, dict(zip(("--images", "--reference"), names, strict=True)))
        check_writable(save_reference)
    use_compilation_cache()
    first, second = (
        open_side(given, options, name)
        for given, name in ((images, "images"), (reference, "reference"))
    )
    sides = (first, second)
    refuse_contradiction(options, dict(zip(names, sides, strict=True)))
    wanted = wanted_encoder(options, sides)
    encoding = None
    if not all(isinstance(side, Statistics) for side in sides):
        mesh = devices.mesh()  # before an encoder's weights: it says where there are no devices
        encoding = Encoding(build(wanted), options.batch_size or BATCH, mesh)
        for side in sides:
            if isinstance(side, Statistics):
                refuse_other_protocol(side, encoding.encoder.protocol)
    pictures = [side.shape for side in sides if isinstance(side, Pictures)]
    shapes = [_shape(side, options, pictures) for side in sides]
    judged, real = (
        _encoded(side, encoding, shape) for side, shape in zip(sides, shapes, strict=True)
    )
    notes = _notes(sides, shapes)
    if encoding and wanted.dtype == "bfloat16" and isinstance(first, Pictures):
        notes.append(bfloat16_effect(first, wanted, encoding))
    if save_reference is not None:
        real = real.with_root()
        real.save(save_reference)
    comparison = compare(judged, real)
    sources = {"images": names[0], "reference": names[1], "n_fake": judged.n, "n_real": real.n}
    return Quality(
        values=comparison.values,
        encoder=measured_by(judged.protocol.encoder, judged.protocol.weights),
        protocol=judged.protocol.described() | sources,
        caveats=tuple(dict.fromkeys((*notes, *comparison.caveats))),
        real=real.scores(),
    )


def _called(given: Given) -> str:
    """The name of a set: as it was given, or `array`."""
    return str(given) if isinstance(given, str | os.PathLike) else "array"


def _shape(side: Side, options: Options, pictures: list[tuple[int, int]]) -> Shape:
    """The (height, width) that a side is encoded from; None: a statistics file does not say."""
    if isinstance(side, DataSettings):
        size = options.image_size or _dataset_size(side, pictures)
        return size, size
    return side.shape if isinstance(side, Pictures) else None


def _notes(sides: tuple[Side, Side], shapes: list[Shape]) -> list[str]:
    """What a reader must know of how the pictures were read."""
    notes = [note for side in sides if isinstance(side, Pictures) for note in side.notes]
    first, second = shapes
    if first and second and first != second:
        notes.append(f"sizes differ, {first} and {second} (height, width): both are resized")
    return notes


def open_side(given: Given, options: Options, side: str = "images") -> Side:
    """What `images` or `reference` is or names, opened as far as it goes without an encoder."""
    if not isinstance(given, str | os.PathLike):
        source = f"{side} (array)"
        try:
            array = np.asarray(given)  # of jax or torch as well
        except ValueError:
            raise UserError(f"{source} has images of different shapes: resize them.") from None
        return from_array(array, source)
    text = str(given)
    if text == "digits" or text.startswith("tfds:"):
        name, _, split = text.rpartition("/") if "/" in text else (text, "", "train")
        return DataSettings(name=name, split=split)
    path = expanded(text.removeprefix("folder:"))
    if path.is_dir() and options.image_size:
        return DataSettings(name=f"folder:{path}")  # squares, as training makes them
    if path.is_dir():
        return from_folder(path)
    if path.suffix != ".npz":
        raise UserError(
            f"{text} is neither a folder of pictures, an .npz file, digits nor tfds:<name>/<split>."
        )
    arrays = read_npz(path)
    if "mu" not in arrays and "sigma" not in arrays:
        return from_arrays(arrays, path)
    named = Protocol("inception", options.weights, "", options.protocol)
    return statistics.load(path, named if options.protocol else None)


def _refuse_loss(save_reference: Path, inputs: dict[str, str]) -> None:
    """Refuse a place for statistics where they would replace another thing, or not be found again.

    Args:
      save_reference: the place.
      inputs: flag -> what it names.
    """
    if save_reference.suffix != ".npz" and not os.path.isdir(save_reference):
        raise UserError(
            f"--save-reference {save_reference} must end in .npz, to be read again: "
            f"name it {save_reference}.npz."
        )
    for flag, text in inputs.items():
        if _is_same(save_reference, expanded(text.removeprefix("folder:"))):
            raise UserError(
                f"--save-reference {save_reference} is what {flag} names, and would be lost: "
                "name another file."
            )
    if os.path.isfile(save_reference) and not statistics.is_file(save_reference):
        raise UserError(
            f"--save-reference {save_reference} is there already, and holds no statistics: "
            "name another file."
        )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are of one file, by whatever spelling or link."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # of one of them there is no file
        return False


def refuse_contradiction(options: Options, named: dict[str, Side]) -> None:
    """Refuse flags that say otherwise than a statistics file does of how it was made.

    Args:
      options: as they were given.
      named: what each side was called -> the side.
    """
    files = {name: side for name, side in named.items() if isinstance(side, Statistics)}
    if options.protocol and not any(side.n == 0 for side in files.values()):
        raise UserError(
            "--protocol is for a plain statistics file, and there is none: leave it out."
        )
    for name, side in files.items():
        made = side.protocol
        # Weights may have two names: where something is encoded, their digests are compared.
        weights = options.weights if len(files) == len(named) else ""
        for flag, asked, was in (
            ("--encoder", options.encoder, made.encoder),
            ("--resize", options.resize, made.resize),
            ("--dtype", options.dtype, made.dtype),
            ("--weights", weights, made.weights),
        ):
            if asked and asked != was:
                raise UserError(
                    f"{flag} {asked} contradicts {name}, which was made with {was or 'others'}: "
                    "leave it out."
                )


def wanted_encoder(options: Options, sides: tuple[Side, Side]) -> Wanted:
    """The encoder that the options name; what they leave open is as a statistics file says."""
    theirs = next((side.protocol for side in sides if isinstance(side, Statistics)), DEFAULT)
    encoder = options.encoder or theirs.encoder
    same = encoder == theirs.encoder
    return Wanted(
        encoder,
        options.weights or (theirs.weights if same else ""),
        options.resize or (theirs.resize if same else DEFAULT.resize),
        options.dtype or theirs.dtype,
        digits=read_labelled,
    )


def _encoded(side: Side, encoding: Encoding | None, shape: Shape) -> Statistics:
    """A side's statistics; pictures, and datasets at this shape, are encoded."""
    if isinstance(side, Statistics):
        return side
    assert encoding is not None, "pictures come with an encoder"
    assert shape is not None, "only statistics files do not say"
    if isinstance(side, DataSettings):
        dataset = load_images(side, shape[0])
        for note in dataset.notes:
            to_stderr(note)
        found = real_statistics(encoding, dataset, side, to_stderr)
        assert found is not None, "this command runs in one process"
        return found
    batches = with_progress(side.batches(encoding.batch_size), side.n, side.source)
    return encoding.collect(batches, side.n, side.source)


def _dataset_size(side: DataSettings, sizes: list[tuple[int, int]]) -> int:
    """The size to load a dataset at: its own if it has one, else that of the other side."""
    if side.name == "digits":
        return DIGITS_SIZE
    import tensorflow_datasets as tfds

    try:
        height, width, _ = (
            tfds.builder(side.name.removeprefix("tfds:")).info.features["image"].shape
        )
    except (tfds.core.registered.DatasetNotFoundError, KeyError, ValueError):
        return inception.SIZE  # loading it will say what is wrong with it
    if height and height == width:
        return int(height)
    if sizes and sizes[0][0] == sizes[0][1]:
        return sizes[0][0]
    raise UserError(f"{side.name} has pictures of many sizes: say --image-size N for its squares.")


def bfloat16_effect(pictures: Pictures, wanted: Wanted, encoding: Encoding) -> str:
    """One line on what bfloat16 does to FID: the FID between two encodings of the same images.

    Args:
      pictures: of which the first are encoded.
      wanted: the encoder.
      encoding: the same, at work in bfloat16.
    """
    images = next(pictures.batches(BFLOAT16_SAMPLE))
    exact = Encoding(build(replace(wanted, dtype="float32")), encoding.batch_size)
    a, b = (each.collect([images], len(images), pictures.source) for each in (encoding, exact))
    shift = frechet_distance(a.mu, a.sigma, b.mu, b.sigma)
    return f"bfloat16: FID {shift:.3g} between it and float32 on the same {len(images)} images"
