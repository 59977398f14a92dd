"""Inception's weights on this machine: fetched or brought once, checked, converted, kept.

Each set of weights is two files in the cache directory: `NAME.npz` with the tensors under their
original names, and `NAME.json`, the record of where they came from with the SHA-256 of both the
original file and the `.npz`. Weights that no longer agree with their record are refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError
from wgan_jax.files import as_object, cache_dir, replace_bytes, replace_object
from wgan_jax.keys import PUBLIC_WEIGHTS
from wgan_jax.quality.download import download
from wgan_jax.quality.inception import IGNORED, tensor_shapes
from wgan_jax.quality.npz import npz_bytes, read_npz
from wgan_jax.quality.torchfile import read_tensors

# The public port of the 2015-12-05 graph, in the releases of pytorch-fid. Its name promises the
# first 8 digits of its SHA-256; the whole and the size are as several public projects state them.
PUBLIC_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
PUBLIC_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PUBLIC_BYTES = 95_628_359
URL_VARIABLE = "WGAN_JAX_WEIGHTS_URL"

Tensors = dict[str, NDArray[Any]]


class WeightsAbsent(UserError):
    """Weights of that name are not on this machine; the message says which command brings them."""


@dataclass(frozen=True)
class Record:
    """Where weights came from.

    Attributes:
      name: what they are called here and in every protocol.
      origin: URL, or the name of the file they were read from.
      bytes: size of the original file.
      sha256: digest of the original file, 64 hex digits.
      npz_sha256: digest of the converted file.
      date: when, UTC.
    """

    name: str
    origin: str
    bytes: int
    sha256: str
    npz_sha256: str
    date: str


@dataclass(frozen=True)
class Weights:
    """Weights as read: name, SHA-256 of the original file, tensors in torch's layouts."""

    name: str
    digest: str
    tensors: Tensors


def paths(name: str) -> tuple[Path, Path]:
    """(tensors, record) of weights of that name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UserError(
            f"{name!r} is no name for weights: use letters, digits, '.', '_' and '-' only."
        )
    folder = cache_dir() / "weights"
    return folder / f"{name}.npz", folder / f"{name}.json"


def load_weights(name: str) -> Weights:
    """The weights kept under a name, checked against their record.

    Raises:
      WeightsAbsent: there are none.
      UserError: they were changed since they were brought.
    """
    record = find(name)
    if record is None:
        how = "" if name == PUBLIC_WEIGHTS else f" --from-file FILE --sha256 DIGEST --name {name}"
        raise WeightsAbsent(f"no Inception weights {name!r} here: python run.py weights{how}")
    npz, _ = paths(name)
    if _digest(npz) != record.npz_sha256:
        raise UserError(
            f"{npz} was changed since it was made (its SHA-256 is not the recorded one): delete it "
            "and run python run.py weights again."
        )
    return Weights(name, record.sha256, read_npz(npz))


def find(name: str) -> Record | None:
    """The record of weights of that name, if they are here."""
    npz, record = paths(name)
    if not (npz.exists() and record.exists()):
        return None
    try:
        return Record(**(as_object(record.read_bytes()) or {}))
    except TypeError:
        raise UserError(f"{record} is damaged: delete it and run python run.py weights.") from None


def fetch(url: str = "", name: str = PUBLIC_WEIGHTS, sha256: str = "") -> Record:
    """Download weights, unless they are here already.

    Args:
      url: where from; empty: `$WGAN_JAX_WEIGHTS_URL`, else the public address. One that ends in
        `/` is a folder that holds the public file.
      name: what to keep them under.
      sha256: the digest that the file must have; empty only for the public file.
    """
    wanted = _checked_sha256(sha256) or (PUBLIC_SHA256 if name == PUBLIC_WEIGHTS else "")
    if not wanted:
        raise UserError(f"Weights called {name!r} need their digest: --sha256 DIGEST.")
    there = find(name)
    if there is not None:
        load_weights(name)
        _refuse_other(there, wanted)
        return there
    url = url or os.environ.get(URL_VARIABLE, "") or PUBLIC_URL
    url += PUBLIC_URL.rpartition("/")[2] if url.endswith("/") else ""
    npz, _ = paths(name)
    npz.parent.mkdir(parents=True, exist_ok=True)
    part = npz.with_suffix(".part")
    size = PUBLIC_BYTES if wanted == PUBLIC_SHA256 else None
    resumed = download(url, part, size)
    if resumed and _digest(part) != wanted:
        part.unlink()  # the old beginning was of another file
        download(url, part, size)
    try:
        return _keep(part, url, name, wanted)
    finally:
        part.unlink(missing_ok=True)


def take(path: Path, name: str = "", sha256: str = "") -> Record:
    """Keep weights from a file: `.pth` by torch, or `.npz` with the same names.

    Args:
      path: the file; it is only read.
      name: what to keep them under; may be empty for the public file.
      sha256: the digest it must have; may be empty for a file whose name ends in the digest's
        first eight digits or more, as torch's do.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file: check --from-file.")
    promise = re.search(r"-([0-9a-f]{8,64})$", path.stem)
    actual = _digest(path)
    wanted = _checked_sha256(sha256) or (promise[1] if promise else "")
    if not wanted and actual == PUBLIC_SHA256:
        wanted = actual
    name = name or (PUBLIC_WEIGHTS if wanted and PUBLIC_SHA256.startswith(wanted) else "")
    if not name:
        raise UserError(f"{path.name} is not the public file: give it a name, --name NAME.")
    if not wanted:
        raise UserError(f"Say which file you mean: --sha256 {actual} is the digest of {path.name}.")
    _check_digest(actual, wanted, path.name)
    there = find(name)
    if there is not None:
        load_weights(name)
        _refuse_other(there, actual)
    return there or _keep(path, path.name, name, wanted)


def _checked_sha256(sha256: str) -> str:
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UserError(f"--sha256 {sha256[:80]} is no SHA-256: 64 hexadecimal digits.")
    return sha256.lower()


def _check_digest(actual: str, wanted: str, label: str) -> None:
    if not actual.startswith(wanted):
        raise UserError(
            f"{label} is cut short or not the right file: its SHA-256 is {actual[:16]}..., not "
            f"{wanted[:16]}... Nothing was kept."
        )


def _refuse_other(there: Record, wanted: str) -> None:
    if not there.sha256.startswith(wanted):
        npz, _ = paths(there.name)
        raise UserError(
            f"Other weights are kept as {there.name!r} (SHA-256 {there.sha256[:8]}...): choose "
            f"another --name, or delete {npz}."
        )


def _keep(path: Path, origin: str, name: str, wanted: str) -> Record:
    """Check a file, convert it, and write it with its record."""
    actual = _digest(path)
    label = origin.rpartition("/")[2]
    _check_digest(actual, wanted, label)
    if name == PUBLIC_WEIGHTS and actual != PUBLIC_SHA256:
        raise UserError(f"{PUBLIC_WEIGHTS!r} is the public file's name: give another, --name NAME.")
    tensors = check_tensors(_read(path), label)
    npz, record_path = paths(name)
    content = npz_bytes(tensors)
    record = Record(
        name=name,
        origin=origin,
        bytes=path.stat().st_size,
        sha256=actual,
        npz_sha256=hashlib.sha256(content).hexdigest(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    replace_bytes(npz, content)
    replace_object(record_path, asdict(record))
    return record


def _read(path: Path) -> Tensors:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if all(name.endswith(".npy") for name in archive.namelist()):
                return read_npz(path)
    return read_tensors(path)


def check_tensors(tensors: Mapping[str, NDArray[Any]], label: str) -> Tensors:
    """The tensors of the graph, as float32, if they are all there and sound.

    Args:
      tensors: by name, in torch's layouts; what `inception.IGNORED` names is left out.
      label: what to call them in an error.
    """
    shapes = tensor_shapes()
    extra = [name for name in tensors if name not in shapes and not _ignored(name)]
    missing = [name for name in shapes if name not in tensors]
    if missing or extra:
        what = f"lacks {missing[0]}" if missing else f"has {extra[0][:60]} besides"
        raise UserError(f"{label} is not this InceptionV3 (2015-12-05): it {what}.")
    kept: Tensors = {}
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            raise UserError(
                f"{label} is not this InceptionV3 (2015-12-05): {name} has shape "
                f"{list(tensor.shape)}, not {list(shape)}."
            )
        kept[name] = tensor.astype(np.float32)
        if not np.isfinite(kept[name]).all():
            raise UserError(f"{label} holds numbers that are not finite, in {name}.")
        if name.endswith("running_var") and (kept[name] < 0).any():
            raise UserError(f"{label} holds negative variances, in {name}.")
    return kept


def _ignored(name: str) -> bool:
    return any(part in name for part in IGNORED)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
