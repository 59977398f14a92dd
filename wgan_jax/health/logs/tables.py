"""Files of columns: CSV, TSV, JSON and printed lines, read into arrays of numbers.

The format is told by how a file begins, not by its name.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError
from wgan_jax.health.logs import jsonrows, printed
from wgan_jax.health.logs.cells import Column, number, numbers
from wgan_jax.health.logs.labels import Texts, is_label, texts
from wgan_jax.health.logs.names import columns_of, measures, of_networks
from wgan_jax.history import Floats

_BLOCK = 1 << 23  # characters parsed at a time: bounds the memory that text takes
_ROWS = 1 << 16  # rows split at a time, for the same reason
_TAGS = frozenset(("tag", "key", "metric", "variable"))  # columns that name a row's number
_TAGGED = re.compile(r".*-tag-(.+)")  # the files of one chart that TensorBoard exports
_HEAD = 1 << 16  # characters by which the format is told: programs print much before they train


@dataclass(frozen=True)
class Table:
    """The columns of a file that have a meaning for us.

    Attributes:
      numbers: key -> values [rows], NaN where there is none.
      written_nan: key -> whether a cell says NaN, rather than nothing [rows].
      rows: number of rows.
      names: all columns of the file.
      chosen: key -> the column that it was read from.
      labels: column -> which run, or part of one, a row is of [rows]; see `labels`.
      notes: what of its numbers was taken in one of several ways, one line each.
      plan: column -> where it ends, of time axes that say so (`iter 5/1000`).
    """

    numbers: dict[str, Floats]
    written_nan: dict[str, NDArray[np.bool_]]
    rows: int
    names: Sequence[str]
    chosen: Mapping[str, str]
    labels: Mapping[str, Texts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    plan: Mapping[str, int] = field(default_factory=dict)


def read(path: Path, given: Mapping[str, str]) -> Table:
    """The table in a file.

    Args:
      given: key -> column, where names cannot be guessed.

    Raises:
      UserError: the file is empty, is no text, or breaks off in its format.
    """
    for encoding in _encodings(path):
        try:
            with path.open(encoding=encoding, newline="") as file:
                return _parse(path, file, given)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path} is no text file: give a CSV, TSV, JSON lines or JSON.")


def _encodings(path: Path) -> tuple[str, ...]:
    """What a text may be written in: PowerShell's UTF-16, UTF-8, or else Windows's own."""
    with path.open("rb") as file:
        start = file.read(_HEAD)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    return ("utf-8-sig",) if b"\0" in start else ("utf-8-sig", "cp1252")


def _parse(path: Path, file: TextIO, given: Mapping[str, str]) -> Table:
    start = file.read(_HEAD).lstrip()
    file.seek(0)
    if not start:
        raise UserError(f"{path} is empty: give a log with a header and rows.")
    first = next(io.StringIO(start, newline=""))
    if begun := _first_of_json(start, first):
        rows, names, notes = jsonrows.read(path, file, begun, given)
        return replace(of_rows(rows, names, given), notes=notes)
    header = _header(first, _separator(first))
    if any(measures(name, given) for name in header) and not _has_pairs(header, given):
        return _parse_csv(path, file, given)
    if any(measures(name, given) for name in _spaced_head(io.StringIO(start))[0]):
        return _parse_spaced(file, given)
    said = printed.names(start, given)
    lines = len(header) == 1 or printed.names(first, given)
    if any(measures(name, given) for name in said) or of_networks(said) or (said and lines):
        table = of_rows(*printed.read(file, given), given)
        return replace(table, plan=printed.plan(start, given))
    if (tagged := _tag_and_value(header)) and tagged[1] not in given.values():
        return _parse_long(header, file, given, *tagged)
    if len(header) > 1:
        return _parse_csv(path, file, given)
    raise UserError(
        f"{path} has no column for d_loss. Name it with --map d_loss=COLUMN if it has one: it is "
        "neither a table, JSON nor lines of NAME: NUMBER."
    )


def _has_pairs(cells: Sequence[str], given: Mapping[str, str]) -> bool:
    """Whether names have their numbers beside them: a line that was printed, with tabs say."""
    beside = itertools.pairwise(cells)
    return any(measures(name, given) and not math.isnan(number(cell)) for name, cell in beside)


def _first_of_json(start: str, first: str) -> str:
    """The beginning of a file's JSON; none where it is meant otherwise.

    `[0/20][5/100] Loss_D: 1.26` is no list; but JSON lines may come after some of text.
    """
    if first[0] in "{[" and (first[1:].lstrip()[:1] in '"[]{}' or not printed.names(first, {})):
        return first.rstrip()
    lines = re.search(r'^\{"[^\n]*(?=\n\{")', start, re.MULTILINE)
    if lines and not printed.names(start[: lines.start()], {}):
        return lines[0].rstrip()
    return ""


def of_rows(rows: Sequence[Mapping[str, Any]], names: list[str], given: Mapping[str, str]) -> Table:
    """The table of rows that name their cells; `given` as in `read`."""
    wanted = _wanted(names, given)
    columns = {key: _column(key, [row.get(name) for row in rows]) for key, name in wanted.items()}
    return _collect([columns], wanted, names)


def _wanted(names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Key -> the column to read it from; labels are keys of their own."""
    return columns_of(names, given) | {name: name for name in names if is_label(name)}


def _column(key: str, cells: Sequence[Any]) -> Column:
    return (texts(cells), np.zeros(len(cells), bool)) if is_label(key) else numbers(cells)


def _separator(header: str) -> str:
    """What a header has most of."""
    return max(",\t;", key=header.count)


def _header(line: str, separator: str) -> list[str]:
    line = line.replace("\0", "")
    return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]


def _parse_csv(path: Path, file: TextIO, given: Mapping[str, str]) -> Table:
    """A table with a header."""
    header = next(line for line in file if line.strip())
    separator = _separator(header)
    try:
        names = _header(header, separator)
        tagged = _TAGGED.fullmatch(path.stem)
        if tagged and names[-1] == "Value" and "Value" not in given.values():
            names[-1] = tagged[1]
        wanted = _wanted(names, given)
        places = {key: names.index(column) for key, column in wanted.items()}
        blocks = _blocks(file)
        start = next(blocks, "")
        commas = _has_decimal_commas(start[:_HEAD], separator)
        points = (
            re.sub(r"(?<=\d),(?=\d)", ".", text) if commas else text
            for text in itertools.chain([start], blocks)
        )
        columns = (_csv_columns(text, separator, len(names), places) for text in points)
        notes = ("Commas are taken as decimal points: 0,5 is 0.5.",) if commas else ()
        return replace(_collect(columns, wanted, names), notes=notes)
    except csv.Error as error:
        raise UserError(f"{path} is no CSV: {error}.") from None


def _tag_and_value(header: Sequence[str]) -> tuple[str, str] | None:
    """The columns of a table with a row for each number (MLflow's, tbparse's): name, and number."""
    lower = [name.lower() for name in header]
    tags = [name for name in header if name.lower() in _TAGS]
    return (tags[0], header[lower.index("value")]) if tags and "value" in lower else None


def _parse_long(
    names: list[str], file: TextIO, given: Mapping[str, str], tag: str, value: str
) -> Table:
    """A table with a row for each number, brought to a column for each name."""
    separator = _separator(file.readline())
    rows = list[dict[str, str]]()
    for cells in csv.DictReader(file, names, delimiter=separator):
        number = {str(cells.pop(tag)): cells.pop(value)}
        rows.append({key: cell for key, cell in cells.items() if key and cell} | number)
    columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    return of_rows(rows, columns, given)


def _has_decimal_commas(text: str, separator: str) -> bool:
    """Whether a cell is a number with a comma, as spreadsheets write it in much of the world."""
    if separator == ",":
        return False
    number, ends = r"[-+]?\d+,\d+(?:e[-+]?\d+)?", rf'[{separator}"\r\n]'
    return re.search(rf"(?:^|{ends}){number}(?:{ends}|$)", text, re.IGNORECASE) is not None


def _blocks(file: TextIO) -> Iterator[str]:
    """Whole rows, some megabytes of text at a time."""
    while text := file.read(_BLOCK):
        text += file.readline()
        while text.count('"') % 2 and (more := file.readline()):  # a quoted line break
            text += more
        yield text


def _csv_columns(
    text: str, separator: str, width: int, places: Mapping[str, int]
) -> dict[str, Column]:
    """Columns by key of a block of rows."""
    numeric = not any(map(is_label, places))  # a label is no number, even if it looks like one
    table = _numeric_block(text, separator, width) if numeric else None
    if table is not None:
        nowhere = np.zeros(len(table), bool)
        return {key: (table[:, i], nowhere) for key, i in places.items()}
    lines = text.replace("\0", "").splitlines()
    return _cells([row for row in csv.reader(lines, delimiter=separator) if row], places)


def _cells(rows: Sequence[Sequence[str]], places: Mapping[str, int]) -> dict[str, Column]:
    """Columns by key; a row cut short by a crash has empty ends."""
    return {
        key: _column(key, [row[i] if i < len(row) else "" for row in rows])
        for key, i in places.items()
    }


def _spaced_head(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """(names, first row) of columns between spaces; no names where that is none.

    The header is the first line, or the last of the comments (`# step d_loss`) above the rows.
    """
    header = ""
    for line in filter(str.strip, lines):
        if header and line[0] != "#":
            names, row = header.lstrip("#").split(), line.split()
            names = ["", *names] if len(row) == len(names) + 1 else names
            fits = len(names) == len(row) and _has_number(row) and not _has_number(names)
            return (names, row) if fits else ([], row)
        header = line
    return [], []


def _has_number(cells: Iterable[str]) -> bool:
    return any(not math.isnan(number(cell)) for cell in cells)


def _parse_spaced(file: TextIO, given: Mapping[str, str]) -> Table:
    """A table with spaces between its columns; lines that begin with # are comments."""
    names, first = _spaced_head(file)
    wanted = _wanted(names, given)
    places = {key: names.index(column) for key, column in wanted.items()}
    others = (line.split() for line in file if line.strip() and line[0] != "#")
    rows = itertools.chain([first], others)
    blocks = iter(lambda: list(itertools.islice(rows, _ROWS)), [])
    return _collect((_cells(block, places) for block in blocks), wanted, names)


def _numeric_block(text: str, separator: str, width: int) -> Floats | None:
    """Lines of numbers and empty cells as an array [rows, width], ten times as fast as `csv`.

    None where there is anything else: text, quotes, rows of another length, a written NaN (which
    means more than an empty cell).
    """
    text = text.replace("\r\n", "\n").rstrip("\n") + "\n"
    rows = text.count("\n")
    plain = not any(mark in text for mark in ('"', "n", "N", " "))
    if not plain or text.count(separator) != rows * (width - 1):
        return None
    cells = "," + text.replace(separator, ",").replace("\n", ",")
    for _ in range(2):  # twice: neighbours share a comma
        cells = cells.replace(",,", ",nan,")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what cannot be read is counted
        try:
            values = np.fromstring(cells[1:-1], sep=",")
        except ValueError:
            return None
    return values.reshape(rows, width) if values.size == rows * width else None


def _collect(
    blocks: Iterable[Mapping[str, Column]], wanted: Mapping[str, str], names: Sequence[str]
) -> Table:
    """Blocks of columns joined."""
    found: dict[str, list[NDArray[Any]]] = {key: [] for key in wanted}
    written: dict[str, list[NDArray[np.bool_]]] = {key: [] for key in wanted}
    for block in blocks:
        for key, (values, nan) in block.items():
            found[key].append(values)
            written[key].append(nan)
    joined = {key: np.concatenate(parts or [np.zeros(0)]) for key, parts in found.items()}
    keys = [key for key in wanted if not is_label(key)]
    return Table(
        {key: joined[key] for key in keys},
        {key: np.concatenate(written[key] or [np.zeros(0, bool)]) for key in keys},
        len(next(iter(joined.values()), ())),
        names,
        {key: wanted[key] for key in keys},
        {key: joined[key] for key in wanted if is_label(key)},
    )
