"""TensorBoard's event files, as `SummaryWriter`s of PyTorch, TensorFlow, Keras and clu write them.

A file is a sequence of records [1]: length (uint64), its checksum, an `Event`, its checksum. Of
events, numbers are read. TensorBoard's own loader would import TensorFlow, which takes seconds, or
check every byte of every picture in Python.

[1] https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from wgan_jax.errors import shorten
from wgan_jax.health.logs.tables import Table, of_rows

_STEP = "step"
_HEAD = struct.Struct("<QI")  # the length of an event, and the checksum of that
_VERSION = b"brain.Event:"  # in the first event of every file

_Event = tuple[int, dict[str, float]]  # the step, and tag -> number


def files(path: Path) -> list[Path]:
    """The event files of a run: this one, or those directly in a folder, in the order of names.

    Names begin with the time of their making, so that those of a resumed run follow each other.
    """
    if path.is_dir():
        return sorted(file for file in path.glob("*tfevents*") if file.is_file())
    return [path] if path.is_file() and _is_of_events(path) else []


def read(path: Path, given: Mapping[str, str]) -> Table:
    """The numbers of a run: columns are `step` and the tags.

    Args:
      path: an event file or a folder of some.
      given: key -> column, where names cannot be guessed.
    """
    notes = list[str]()
    found = [event for file in files(path) for event in _numbers(file, notes)]
    if path.is_dir() and (apart := _apart(path, notes)):
        found = sorted(found + apart, key=itemgetter(0))
    rows = list(_rows(found))
    names = dict.fromkeys((_STEP, *(name for row in rows for name in row)))
    return replace(of_rows(rows, list(names), given), notes=tuple(notes))


def _is_of_events(file: Path) -> bool:
    with file.open("rb") as start:
        return _VERSION in start.read(64)


def _rows(events: Iterable[_Event]) -> Iterator[dict[str, float]]:
    """Successive events of one step are one row, until a tag comes again."""
    row: dict[str, float] = {}
    for step, numbers in events:
        if row and (row[_STEP] != step or numbers.keys() & row.keys()):
            yield row
            row = {}
        row |= numbers | {_STEP: step}
    if row:
        yield row


def _apart(path: Path, notes: list[str]) -> list[_Event]:
    """What `add_scalars` wrote into folders of their own; others with events are named."""
    within = {
        folder.name: list(_of_add_scalars(folder, notes))
        for folder in sorted(path.iterdir())
        if folder.is_dir() and files(folder)
    }
    if others := [name for name, events in within.items() if not events]:
        notes.append(f"Folders in it with events of their own are left out: {shorten(others)}.")
    return list(itertools.chain.from_iterable(within.values()))


def _of_add_scalars(folder: Path, notes: list[str]) -> Iterator[_Event]:
    """PyTorch's `add_scalars("Loss", {"D": 1})`: a tag `Loss` in a folder `Loss_D`, our name."""
    for file in files(folder):
        for step, numbers in _numbers(file, notes):
            for tag, number in numbers.items():
                if not folder.name.startswith(f"{tag.replace('/', '_')}_"):
                    return  # a run of its own
                yield step, {folder.name: number}


def _numbers(path: Path, notes: list[str]) -> Iterator[_Event]:
    """The events of a file that have numbers; damage ends it, and is said in the notes."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    step = 0
    with path.open("rb") as file:
        try:
            for data in _records(file):
                event = Event.FromString(data)
                step = event.step
                found = ((value.tag, _number(value)) for value in event.summary.value)
                numbers = {tag: number for tag, number in found if number is not None}
                if numbers:
                    yield step, numbers
        except DecodeError:
            notes.append(f"{path.name} is damaged after step {step}: no more of it is read.")


def _records(file: IO[bytes]) -> Iterator[bytes]:
    """A last one that is not whole is left out: its run goes on, or was killed.

    Raises:
      DecodeError: a length is not what its checksum says.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    size = os.fstat(file.fileno()).st_size
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, checksum = _HEAD.unpack(head)
        if checksum != masked_crc32c(head[:8]):
            raise DecodeError
        if file.tell() + length > size:
            return
        data = file.read(length)
        file.seek(4, os.SEEK_CUR)  # the checksum of the data
        yield data


def _number(value: Any) -> float | None:
    """Of a `Summary.Value`: PyTorch writes `simple_value`, TensorFlow 2 a tensor."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    shape = value.tensor.tensor_shape.dim
    if kind != "tensor" or value.tensor.string_val or any(axis.size != 1 for axis in shape):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    try:
        array = make_ndarray(value.tensor)
    except (TypeError, ValueError):  # of a type, or a length, that numpy has not
        return None
    return float(array.item()) if array.dtype.kind in "fiu" else None
