"""Reads tensors from a `.pth` file without executing the pickle inside it, and without torch.

Both layouts of `torch.save` are read: the zip archive (torch 1.6 and newer), and the older stream
of pickles followed by raw storages.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError
from wgan_jax.quality.inert import Refused, Storage, Tensor, run_pickle

MAX_BYTES = 4 << 30  # of a file, and of what an archive unpacks to
MAX_PICKLE_BYTES = 64 << 20
_MAGIC, _STREAM_VERSION = 0x1950A86A20F9469CFC6C, 1001  # the first two pickles of a stream

Raw = Callable[[Storage], bytes]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a state dict saved by `torch.save`, by name.

    Raises:
      UserError: the file is no such thing, is cut short, or holds anything but tensors.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"is larger than {MAX_BYTES >> 30} GiB")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_zip(archive)
        return _read_stream(path.read_bytes())
    except Refused as error:
        raise UserError(f"{path.name} {error}. Nothing in it was executed.") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise UserError(f"{path.name} is a broken zip file ({str(error)[:60]}).") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None


def _read_zip(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """The zip layout: NAME/data.pkl, NAME/data/KEY for every storage, NAME/byteorder."""
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    if sum(sizes.values()) > MAX_BYTES:
        raise Refused(f"unpacks to more than {MAX_BYTES >> 30} GiB")
    pickles = [name for name in sizes if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        raise Refused("is a zip file, but not one that torch.save wrote")
    if sizes[pickles[0]] > MAX_PICKLE_BYTES:
        raise Refused("has a pickle too large for a list of tensors")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in sizes and archive.read(f"{folder}byteorder") != b"little":
        raise Refused("was written on a big-endian machine, which is not supported")
    named = _state_dict(run_pickle(io.BytesIO(archive.read(pickles[0]))))

    def raw(storage: Storage) -> bytes:
        member = f"{folder}data/{storage.key}"
        if member not in sizes:
            raise Refused(f"lacks the data of storage {storage.key[:20]!r}")
        return archive.read(member)

    return _materialise(named, raw)


def _read_stream(content: bytes) -> dict[str, NDArray[Any]]:
    """The older layout: pickles of a magic number, a version, the machine, the object and its
    storages' keys; then for each key the number of elements (int64) and the elements."""
    file = io.BytesIO(content)
    if not content.startswith(b"\x80") or run_pickle(file) != _MAGIC:
        raise Refused("is not a file that torch.save wrote")
    if run_pickle(file) != _STREAM_VERSION:
        raise Refused("is of an unknown version of torch's stream format")
    machine = run_pickle(file)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise Refused("was not written on a little-endian machine")
    named = _state_dict(run_pickle(file))
    storages = {tensor.storage.key: tensor.storage for tensor in named.values()}
    listed = run_pickle(file)
    keys = [str(key) for key in listed] if isinstance(listed, list) else []
    if sorted(keys) != sorted(storages):
        raise Refused("does not list the data that its tensors use")
    data: dict[str, bytes] = {}
    for key in keys:
        header = file.read(8)
        if header != struct.pack("<q", storages[key].size):
            raise Refused("is cut short or damaged: data of another size than it says")
        data[key] = file.read(storages[key].bytes)
    return _materialise(named, lambda storage: data[storage.key])


def _state_dict(root: Any) -> dict[str, Tensor]:
    """The object of the file, which must be tensors by name."""
    if not isinstance(root, dict) or not root:
        raise Refused("does not hold a dictionary of tensors (a state dict)")
    for name, value in root.items():
        if not isinstance(value, Tensor):
            raise Refused(f"holds something other than a tensor under {name[:40]!r}")
    return root


def _materialise(named: Mapping[str, Tensor], raw: Raw) -> dict[str, NDArray[Any]]:
    """The tensors as arrays."""
    rows: dict[Storage, NDArray[Any]] = {}
    for tensor in named.values():
        storage = tensor.storage
        if storage not in rows:
            content = raw(storage)
            if len(content) != storage.bytes:
                raise Refused("is cut short or damaged: data of another size than it says")
            rows[storage] = np.frombuffer(content, storage.dtype)
    return {name: _view(rows[tensor.storage], tensor, name) for name, tensor in named.items()}


def _view(row: NDArray[Any], tensor: Tensor, name: str) -> NDArray[Any]:
    """A tensor's elements out of its storage [size], checked to lie inside it."""
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((length - 1) * stride for length, stride in steps)
    count = math.prod(tensor.shape)
    if count == 0:
        return np.zeros(tensor.shape, row.dtype)
    if last >= len(row) or count > len(row):
        raise Refused(f"has a tensor that reaches outside its data ({name[:40]!r})")
    strides = tuple(stride * row.dtype.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(row[tensor.offset :], tensor.shape, strides).copy()
