"""Where a run's numbers and pictures go: one interface, the JSON lines behind it, and mirrors.

`metrics.jsonl` is the primary record: training stops when it cannot be written. W&B and
TensorBoard are mirrors: what befalls them is said once and training goes on
(`background.Mirror`). Methods that `clu.metric_writers.MetricWriter` has too
are called as there; `write_chunk` is not among them, for the loop hands over many epochs at a time,
nor is `write_summary`. Imports neither jax, TensorFlow nor wandb.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wgan_jax.files import not_written, replace_bytes, utf8
from wgan_jax.history import epoch_of, parsed

Columns = Mapping[str, NDArray[Any] | Sequence[object]]
Extras = Mapping[int, Mapping[str, object]]


class Writer(Protocol):
    """What the loop calls. Arrays handed over are read later: never write into them again."""

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        """Record the epochs [n] of one chunk.

        Args:
          epochs: epoch numbers [n], strictly increasing, above all that were written.
          columns: name -> values [n] (numbers or texts) of every epoch.
          extras: epoch -> name -> value, for what only some epochs have (quality, protocol).
        """

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Record pictures, name -> [H, W, C] or [n, H, W, C] in 0..255."""

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Record the settings, dotted name -> value. Called once."""

    def write_summary(self, values: Mapping[str, object]) -> None:
        """Record what stands for the whole run: verdict, best FID, paths of its report."""

    def flush(self) -> None:
        """Hand what was written so far to the disk or the server."""

    def close(self) -> None:
        """Flush and end; no call may follow."""


def rows(
    epochs: NDArray[np.int64], columns: Columns, extras: Extras, every: int = 1
) -> list[dict[str, object]]:
    """One plain dictionary per epoch of a chunk: `epoch`, the columns' values, the extras.

    Only the last of every `every` epochs, and those that have extras.
    """
    lists = {
        name: values.tolist() if isinstance(values, np.ndarray) else list(values)
        for name, values in columns.items()
    }
    return [
        {
            "epoch": epoch,
            **{name: values[i] for name, values in lists.items()},
            **extras.get(epoch, {}),
        }
        for i, epoch in enumerate(epochs.tolist())
        if (epoch + 1) % every == 0 or epoch in extras
    ]


def to_json(value: object) -> str:
    """One line of strict JSON. NaN and infinities, which it lacks, become "NaN" and "±Infinity".

    Texts rather than null: null would say "not measured", and a loss that blew up was measured.
    """
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_plain)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return _finite(value.tolist())
    raise TypeError(f"{type(value).__name__} does not go into JSON")


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class JsonLinesWriter:
    """`metrics.jsonl`: one line per epoch, each chunk appended by one system call.

    Lines that a crash cut short, and lines taken back by `truncate_after`, are moved to
    `metrics.dropped.jsonl` beside it: nothing that was written is lost. To make a writer changes no
    file: of several processes the first alone writes. Pictures and settings have files of their own
    and are not written here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = path.with_suffix(f".dropped{path.suffix}")
        self._last: int | None = None  # the file has not been looked at
        path.parent.mkdir(parents=True, exist_ok=True)

    def truncate_after(self, epoch: int | None) -> bool:
        """Keep the lines up to and including `epoch` (None: all), and only whole ones.

        Called when a run resumes from a checkpoint after `epoch`, or is rolled back to it.

        Returns:
          Whether lines were set aside.
        """
        text = self.path.read_bytes() if self.path.exists() else b""
        lines = text.splitlines(keepends=True)
        numbers = [_epoch_of(line, epoch) for line in lines]
        stands = _in_order([number for number in numbers if number is not None])
        kept, gone = [], []
        self._last = -1
        for line, number in zip(lines, numbers, strict=True):
            if number is not None and next(stands):
                kept.append(line)
                self._last = number
            else:
                gone.append(line if line.endswith(b"\n") else line + b"\n")
        if gone:
            _append(self.dropped, b"".join(gone))
            replace_bytes(self.path, b"".join(kept))
        return bool(gone)

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        """Append the chunk; on a full disk the file is left as it was before."""
        if len(epochs) == 0:
            return
        if self._last is None:
            self.truncate_after(None)
        if epochs[0] <= self._last or np.any(np.diff(epochs) <= 0):
            raise ValueError(f"epochs must increase strictly, and begin above {self._last}")
        lines = "".join(to_json(row) + "\n" for row in rows(epochs, columns, extras))
        _append(self.path, utf8(lines))
        self._last = int(epochs[-1])

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Pictures are files of their own (`record.samples`)."""

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Settings are a file of their own (`config.json`)."""

    def write_summary(self, values: Mapping[str, object]) -> None:
        """The summary is a file of its own (`summary.json`)."""

    def flush(self) -> None:
        """Nothing is held back: every chunk is with the system when `write_chunk` returns."""

    def close(self) -> None:
        """No file stays open between chunks."""


def _epoch_of(line: bytes, most: int | None) -> int | None:
    """The epoch that a line is about; None if it is above `most`, or the line is damaged."""
    epoch = epoch_of(parsed(line) or {})
    return None if epoch is None or (most is not None and epoch > most) else epoch


def _in_order(epochs: Sequence[int]) -> Iterator[bool]:
    """Which to keep, so that they increase: one odd epoch goes, and not the many after it."""
    last = -1
    for epoch, following in zip(epochs, [*epochs[1:], math.inf], strict=True):
        stands = last < epoch and not last < following < epoch
        last = epoch if stands else last
        yield stands


def _append(path: Path, data: bytes) -> None:
    """Append all of `data` or nothing."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise not_written(path, error) from error
    before = os.fstat(file).st_size
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError as error:
        os.ftruncate(file, before)
        raise not_written(path, error) from error
    finally:
        os.close(file)


class MultiWriter:
    """Many writers as one. Each is called, even after one fails; the first error is raised."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self.writers = tuple(writers)

    def _each(self, call: Callable[[Writer], None]) -> None:
        errors = []
        for writer in self.writers:
            try:
                call(writer)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def write_chunk(self, epochs: NDArray[np.int64], columns: Columns, extras: Extras) -> None:
        self._each(lambda writer: writer.write_chunk(epochs, columns, extras))

    def write_images(self, step: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        self._each(lambda writer: writer.write_images(step, images))

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._each(lambda writer: writer.write_hparams(hparams))

    def write_summary(self, values: Mapping[str, object]) -> None:
        self._each(lambda writer: writer.write_summary(values))

    def flush(self) -> None:
        self._each(lambda writer: writer.flush())

    def close(self) -> None:
        self._each(lambda writer: writer.close())
