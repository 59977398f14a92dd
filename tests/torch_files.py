"""Files as `torch.save` writes them, made by hand from pickle's instructions; torch is not needed.

The layouts are those of torch 2.13's `torch.save`, with and without its zip format, whose own
files the reader was tried on.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "f2": "HalfStorage"}


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)


def name(module: str, attribute: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def integers(values: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(map(integer, values)) + pickle.TUPLE


EMPTY_ORDERED = name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def ordered_dict(items: bytes) -> bytes:
    """An OrderedDict with the items that `items` pushes, and torch's attribute on it."""
    metadata = pickle.EMPTY_DICT + text("_metadata") + EMPTY_ORDERED + pickle.SETITEM
    return EMPTY_ORDERED + pickle.MARK + items + pickle.SETITEMS + metadata + pickle.BUILD


def tensor(array: NDArray[Any], key: str, *, legacy: bool, **change: Any) -> bytes:
    """One tensor. `change` may name `offset`, `shape`, `strides` or `size` to lie about."""
    shape = change.get("shape", array.shape)
    strides = change.get("strides", tuple(s // array.itemsize for s in array.strides))
    size = change.get("size", array.size)
    storage = name("torch", STORAGES[array.dtype.str[1:]])
    reference = text("storage") + storage + text(key) + text("cpu") + integer(size)
    reference += pickle.NONE if legacy else b""
    return b"".join(
        (
            name("torch._utils", "_rebuild_tensor_v2") + pickle.MARK,
            pickle.MARK + reference + pickle.TUPLE + pickle.BINPERSID,
            integer(change.get("offset", 0)) + integers(shape) + integers(strides),
            pickle.NEWFALSE + EMPTY_ORDERED,
            pickle.TUPLE + pickle.REDUCE,
        )
    )


def state_dict(tensors: Tensors, *, legacy: bool) -> bytes:
    """The pickle of an OrderedDict of tensors; storages are called "0", "1", ..."""
    items = b"".join(
        text(label) + tensor(array, str(i), legacy=legacy)
        for i, (label, array) in enumerate(tensors.items())
    )
    return program(ordered_dict(items))


def program(instructions: bytes) -> bytes:
    return pickle.PROTO + b"\x02" + instructions + pickle.STOP


def write_zip(path: Path, tensors: Tensors, content: bytes | None = None) -> Path:
    """The zip layout; `content` replaces the pickle."""
    pickled = state_dict(tensors, legacy=False) if content is None else content
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def write_stream(path: Path, tensors: Tensors, content: bytes | None = None) -> Path:
    """The older layout; `content` replaces the pickle of the object."""
    pickled = state_dict(tensors, legacy=True) if content is None else content
    file = io.BytesIO()
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    for value in (0x1950A86A20F9469CFC6C, 1001, machine):
        file.write(pickle.dumps(value, protocol=2))
    file.write(pickled)
    file.write(pickle.dumps([str(i) for i in range(len(tensors))], protocol=2))
    for array in tensors.values():
        file.write(struct.pack("<q", array.size) + array.tobytes())
    path.write_bytes(file.getvalue())
    return path


WRITERS = {"zip": write_zip, "stream": write_stream}


def example() -> dict[str, NDArray[Any]]:
    """Tensors of several types and ranks."""
    random = np.random.default_rng(0)
    return {
        "layer.weight": random.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "layer.bias": random.normal(size=4),
        "steps": np.array(7),
        "half": np.ones((2, 3), np.float16),
        "empty": np.zeros((0, 4), np.float32),
    }
