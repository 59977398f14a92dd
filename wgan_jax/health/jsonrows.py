"""JSON of anyone's making as rows: lines of objects, a list of them, or an object of columns."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from wgan_jax.errors import UserError
from wgan_jax.health.names import guess, measures, shorten

Row = dict[str, Any]


def read(
    path: Path, file: TextIO, given: Mapping[str, str]
) -> tuple[list[Row], list[str], tuple[str, ...]]:
    """(rows, columns, notes).

    Args:
      given: key -> column, where names cannot be guessed.

    Raises:
      UserError: a line is no JSON, other than a last one that was cut short.
    """
    notes = list[str]()
    rows = [_flat(row) for row in _rows_of(_decoded(path, file), given, notes)]
    return rows, list(dict.fromkeys(itertools.chain.from_iterable(rows))), tuple(notes)


def _decoded(path: Path, file: TextIO) -> Any:
    """The one value of a file, or a list of those of its lines."""
    first = file.readline()
    try:
        rows = [json.loads(first)]
    except ValueError:
        return _load(path, first + file.read())
    except RecursionError:
        raise _not_json(path, 1, "nested too deep") from None
    for number, line in enumerate(file, start=2):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            if line.endswith("\n"):
                raise _not_json(path, number, getattr(error, "msg", str(error))) from None
            break  # the last line, cut short by a crash
    return rows[0] if len(rows) == 1 else rows


def _load(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        line, reason = getattr(error, "lineno", 1), getattr(error, "msg", str(error))
        raise _not_json(path, line, reason) from None


def _not_json(path: Path, line: int, reason: str) -> UserError:
    return UserError(f"{path} line {line} is no JSON ({reason[:60]}): mend or remove it.")


def _rows_of(value: Any, given: Mapping[str, str], notes: list[str], depth: int = 0) -> list[Row]:
    """A decoded JSON value as rows; columns, or what holds rows or columns one level down."""
    if isinstance(value, list):
        return [row for row in value if isinstance(row, dict)]
    if isinstance(value, dict):
        columns = {k: v for k, v in value.items() if isinstance(v, list) and v}
        scalars = {k: v for k, v in columns.items() if not isinstance(v[0], dict | list)}
        if scalars:
            return _of_columns(scalars, given, notes)
        inner = [v for v in value.values() if isinstance(v, dict | list)]
        if inner and depth == 0:
            return max((_rows_of(v, given, notes, 1) for v in inner), key=len)
        return [value]
    return []


def _of_columns(
    columns: Mapping[str, Sequence[Any]], given: Mapping[str, str], notes: list[str]
) -> list[Row]:
    """Columns as rows, as many as the longest that we know has values.

    Shorter ones were measured less often, at times that nothing says: they are taken as even. A
    shorter time axis is none of the rows', and is left empty, as is what has no meaning for us.
    """
    axes = {name for name in columns if name == given.get("epoch") or guess(name) == "epoch"}
    measured = {name for name in columns if measures(name, given)} - axes
    rows = max(len(columns[name]) for name in axes | measured or columns)
    shorter = [name for name in columns if name in measured and len(columns[name]) < rows]
    if shorter:
        sizes = shorten(f"{name} ({len(columns[name])})" for name in shorter)
        notes.append(f"Of {rows} rows, columns with fewer values are spread evenly: {sizes}.")
    whole = {
        name: _spread(values if name in measured or len(values) == rows else (), rows)
        for name, values in columns.items()
    }
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]


def _spread(values: Sequence[Any], rows: int) -> list[Any]:
    """Values evenly over more rows, each at the end of what it stands for; None between."""
    whole = [None] * rows
    for i, value in enumerate(values):
        whole[(i + 1) * rows // len(values) - 1] = value
    return whole


def _flat(row: Row) -> Row:
    """A row whose objects are columns too: {"mean": 2} is 2, {"fid": 9} in `a` is `a/fid`."""
    inner: Row = {}
    for name, value in row.items():
        if isinstance(value, dict) and "mean" in value:
            inner[name] = value["mean"]
        elif isinstance(value, dict):
            inner |= {f"{name}/{key}": number for key, number in value.items()}
    return row | inner if inner else row
