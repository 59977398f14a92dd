"""JSON of anyone's making as rows: lines of objects, a list of them, or an object of columns."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from wgan_jax.errors import UserError, shorten
from wgan_jax.health.logs.names import guess, measures

_DEEPEST = 2  # levels of nesting that are looked into

Row = dict[str, Any]
_Table = dict[str, list[Any]] | list[Row]


def read(
    path: Path, file: TextIO, first: str, given: Mapping[str, str]
) -> tuple[list[Row], list[str], tuple[str, ...]]:
    """(rows, columns, notes).

    Args:
      first: how the first line of JSON begins; what stands before it is left out.
      given: key -> column, where names cannot be guessed.

    Raises:
      UserError: a line is no JSON, other than a last one that was cut short.
    """
    lines = enumerate(file, start=1)
    begun = itertools.dropwhile(lambda line: not line[1].lstrip().startswith(first), lines)
    notes = list[str]()
    rows = _rows_of(_decoded(path, begun), given, notes)
    return rows, list(dict.fromkeys(itertools.chain.from_iterable(rows))), tuple(notes)


def _decoded(path: Path, lines: Iterator[tuple[int, str]]) -> Any:
    """The one value of a file, or a list of those of its lines."""
    start, first = next(lines)
    try:
        rows = [json.loads(first)]
    except ValueError:
        return _load(path, start, first + "".join(line for _, line in lines))
    except RecursionError:
        raise _not_json(path, start, "nested too deep") from None
    for number, line in lines:
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            if line.endswith("\n"):
                raise _not_json(path, number, getattr(error, "msg", str(error))) from None
            break  # the last line, cut short by a crash
    return rows[0] if len(rows) == 1 else rows


def _load(path: Path, start: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        line, reason = getattr(error, "lineno", 1), getattr(error, "msg", str(error))
        raise _not_json(path, start + line - 1, reason) from None


def _not_json(path: Path, line: int, reason: str) -> UserError:
    return UserError(f"{path} line {line} is no JSON ({reason[:60]}): mend or remove it.")


def _rows_of(value: Any, given: Mapping[str, str], notes: list[str]) -> list[Row]:
    """A decoded JSON value as rows: of the tables in it the one that most columns are known of."""

    def worth(table: _Table) -> tuple[int, int]:
        names = table if isinstance(table, dict) else itertools.chain.from_iterable(table)
        sizes = map(len, table.values()) if isinstance(table, dict) else [len(table)]
        return sum(measures(name, given) for name in set(names)), max(sizes)

    best = max(_tables(value), key=worth, default=[])
    return _of_columns(best, given, notes) if isinstance(best, dict) else best


def _tables(value: Any, depth: int = 0) -> Iterator[_Table]:
    """What may be the log in a JSON value, down to two levels: columns, or rows."""
    if isinstance(value, list):
        yield [_flat(row) for row in value if isinstance(row, dict)]
    if not isinstance(value, dict):
        return
    whole = _flat(value)
    columns = {name: inner for name, inner in whole.items() if _is_column(inner)}
    if columns:
        yield columns
    for inner in value.values() if depth < _DEEPEST else ():
        yield from _tables(inner, depth + 1)
    if depth == 0:
        yield [whole]


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and not isinstance(value[0], dict | list)


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


def _flat(row: Row, depth: int = 0) -> Row:
    """A row whose objects are columns too: {"mean": 2} is 2, {"fid": 9} in `a` is `a/fid`."""
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    flat: Row = {}
    for name, value in row.items():
        if isinstance(value, dict) and "mean" in value:
            flat[name] = value["mean"]
        elif isinstance(value, dict) and depth < _DEEPEST:
            flat |= {f"{name}/{key}": inner for key, inner in _flat(value, depth + 1).items()}
        else:
            flat[name] = value
    return flat
