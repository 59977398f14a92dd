"""Image datasets of TensorFlow Datasets, read without TensorFlow once they are prepared."""

from __future__ import annotations

import importlib.util
import io
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
from numpy.typing import NDArray

from wgan_jax.data.folder import fitted
from wgan_jax.data.sources import Images, digest, edges, unreadable
from wgan_jax.errors import UserError, first_line, to_stderr
from wgan_jax.files import NOT_KEPT, cache_dir, if_writable, replace_bytes

_PATIENCE = 5.0  # seconds to wait for a sign of the server before giving up
_EDGE = 2**16  # bytes read of a file's beginning and end to know it again


class Records:
    """Images of a prepared split, each read and decoded when it is asked for.

    Attributes:
      shape: (n, size, size, channels).
      digest: 32 hex digits that change with the dataset's version, a file of it, or what is kept.
    """

    def __init__(
        self, name: str, split: str, classes: tuple[str, ...], cache: Path | None, size: int
    ) -> None:
        """Open a split; prepared (downloaded, converted) first if it is not yet.

        Args:
          name: as TFDS has it, with the configuration if any: `cifar10`, `lsun/bedroom`.
          split: e.g. `train`.
          classes: names of classes to keep; empty: all.
          cache: where prepared datasets lie; None: TFDS's own folder.
          size: height and width of the images; of others the centre squares are resized.

        Raises:
          UserError: unknown dataset, split or class; not prepared and no network to do it; a file
            is missing.
        """
        builder = _builder(name, cache)
        if not _is_prepared(builder):
            _prepare(builder, name)
        if split not in builder.info.splits:
            known = ", ".join(builder.info.splits)
            raise UserError(f"config.data: {name} has no split {split!r}, but {known}.")
        wanted = _labels(builder, name, classes)
        self._name, self._split, self._cache, self._size = name, split, cache, size
        self._records: Any = builder.as_data_source(split)
        self._kept: NDArray[np.int64] | None = None
        content = _files_digest(builder, split)
        if wanted is not None:
            self._kept = _of_labels(builder, split, wanted, content)
            if not len(self._kept):
                raise UserError(f"{name} has no image of {', '.join(classes)} in {split}.")
        n = len(self._records) if self._kept is None else len(self._kept)
        self.shape = (n, *self[0].shape)
        self.digest = digest(content, sorted(wanted or ()), self.shape)

    def __getitem__(self, index: int, /) -> Images:
        number = index if self._kept is None else int(self._kept[index])
        try:
            return fitted(self._records[number]["image"], self._size)
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            place = self._records.dataset_info.data_dir
            raise unreadable(f"Record {number} of {place}", error) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_records": None}  # another process opens the files for itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._records = _builder(self._name, self._cache).as_data_source(self._split)


def _files_digest(builder: Any, split: str) -> str:
    """Version, and each file's name, length, beginning and end; not its whole content."""
    parts: list[object] = [builder.info.full_name, split]
    for instruction in builder.info.splits[split].file_instructions:
        path = Path(instruction.filename)
        try:
            parts += [path.name, instruction.skip, instruction.take, *edges(path, _EDGE)]
        except OSError as error:
            raise unreadable(path, error) from error
    return digest(*parts)


def _of_labels(builder: Any, split: str, wanted: set[int], content: str) -> NDArray[np.int64]:
    """Numbers of the records with these labels; found once and kept, as all records are read."""
    import tensorflow_datasets as tfds

    name = digest(content, sorted(wanted))
    path = cache_dir() / "classes" / f"{name}.npy"
    if os.path.exists(path):  # `path.exists` raises where the folder may not be looked into
        try:
            return np.asarray(np.load(path, allow_pickle=False), np.int64)
        except (OSError, ValueError):
            pass  # damaged: found anew below
    records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    labels = np.array([int(records[number]["label"]) for number in range(len(records))])
    kept = np.flatnonzero(np.isin(labels, list(wanted)))
    content_of_file = io.BytesIO()
    np.save(content_of_file, kept)
    with if_writable(to_stderr, f"these classes' records are {NOT_KEPT}"):
        replace_bytes(path, content_of_file.getvalue())
    return kept


def _builder(name: str, cache: Path | None) -> Any:
    if importlib.util.find_spec("array_record") is None:
        raise UserError(
            f"config.data.name = tfds:{name} needs array_record, which has no release for Windows: "
            "train from a folder of pictures, or in WSL."
        )
    import tensorflow_datasets as tfds
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # hints on other decoders are not for our users
    try:
        builder = tfds.builder(
            name, data_dir=str(cache) if cache else None, file_format="array_record"
        )
    except tfds.core.registered.DatasetNotFoundError:
        raise UserError(
            f"config.data.name: TFDS has no dataset {name!r}. See its catalogue for the names."
        ) from None
    except ValueError as error:
        raise UserError(
            f"config.data.name: TFDS refuses {name!r} ({first_line(error, 80)})."
        ) from None
    if "image" not in builder.info.features:
        raise UserError(f"config.data.name: the dataset {name!r} has no images to train on.")
    return builder


def _is_prepared(builder: Any) -> bool:
    return Path(builder.data_dir, "dataset_info.json").exists()


def _prepare(builder: Any, name: str) -> None:
    """Download and convert; this alone imports TensorFlow."""
    missing = _missing_downloads(builder)
    unreachable = next((url for url in missing if not _answers(url)), None)
    if unreachable:
        raise UserError(
            f"{name} is not prepared in {builder.data_dir_root} and {urlparse(unreachable).netloc} "
            "does not answer: connect once, or set config.data.cache_dir to where it is."
        )
    print(f"Preparing {name} in {builder.data_dir} (once) ...", flush=True)
    builder.download_and_prepare(file_format="array_record")


def _missing_downloads(builder: Any) -> list[str]:
    """The dataset's files that do not lie in TFDS's download folder yet."""
    from tensorflow_datasets.core.download import resource

    folder = Path(builder.data_dir_root, "downloads")
    return [
        url
        for url, info in (builder.url_infos or {}).items()
        if not any(
            Path(folder, resource.get_dl_fname(url, checksum)).exists()
            for checksum in (info.checksum, None)
        )
    ]


def _answers(url: str) -> bool:
    """Whether the server says anything at all within a few seconds, name look-up included."""
    heard = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE)
            heard.set()
        except urllib.error.HTTPError:
            heard.set()  # a refusal of HEAD is an answer
        except (OSError, ValueError):
            return

    # A thread, because a name look-up knows no time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE + 1)
    return heard.is_set()


def _labels(builder: Any, name: str, classes: tuple[str, ...]) -> set[int] | None:
    if not classes:
        return None
    features = builder.info.features
    known = list(features["label"].names) if "label" in features else []
    for wanted in classes:
        if wanted not in known:
            raise UserError(
                f"config.data.classes: {name} has no class {wanted!r}"
                + (f" (it has: {', '.join(known[:12])})." if known else ": it has no classes.")
            )
    return {known.index(wanted) for wanted in classes}
