"""Image datasets of TensorFlow Datasets, read without TensorFlow once they are prepared."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wgan_jax.data.folder import squared
from wgan_jax.errors import UserError

_PATIENCE = 5.0  # seconds to wait for a sign of the server before giving up


def read(
    name: str, split: str, classes: tuple[str, ...], cache: Path | None, size: int
) -> NDArray[np.uint8]:
    """All images of a split; prepared (downloaded, converted) first if they are not yet.

    Args:
      name: as TFDS has it, with the configuration if any: `cifar10`, `lsun/bedroom`.
      split: e.g. `train`.
      classes: names of classes to keep; empty: all.
      cache: where prepared datasets lie; None: TFDS's own folder.
      size: height and width of the result; other images' centre squares are resized.

    Returns:
      uint8 [n, size, size, channels].

    Raises:
      UserError: unknown dataset, split or class; not prepared and no network to do it.
    """
    builder = _builder(name, cache)
    if not _is_prepared(builder):
        _prepare(builder, name)
    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise UserError(f"config.data.split = {split!r}: {name} has {known}.")
    wanted = _labels(builder, name, classes)
    source = builder.as_data_source(split)
    return np.stack(
        [
            _fitted(record["image"], size)
            for record in (source[i] for i in range(len(source)))
            if wanted is None or int(record["label"]) in wanted
        ]
    )


def _builder(name: str, cache: Path | None) -> Any:
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
        reason = str(error).splitlines()[0][:80]
        raise UserError(f"config.data.name: TFDS refuses {name!r} ({reason}).") from None
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


def _fitted(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = np.asarray(squared(picture, size))
    return resized[..., None] if resized.ndim == 2 else resized
