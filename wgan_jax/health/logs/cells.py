"""One cell of a log as a number, however programs write it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As C writes it on Linux, and on Windows before and since 2015.
NOT_A_NUMBER = r"[-+]?(?:nan(?:\(\w*\))?|1\.#(?:qnan|snan|ind)\d*)"
_WRITTEN_NAN = re.compile(NOT_A_NUMBER, re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_WRAPPED = re.compile(r"(?!nan\()[a-z][\w.]*\(\[?([^\s,()\[\]]+)[\],)].*", re.IGNORECASE)

Column = tuple[NDArray[Any], NDArray[np.bool_]]  # values, and where a NaN was written


def numbers(cells: Sequence[Any]) -> Column:
    """(values, where a NaN was written); NaN too for what is empty or no number."""
    try:
        values = np.array(list(map(float, cells)))
        return values, np.isnan(values)
    except (TypeError, ValueError):
        cells = [_bare(cell) for cell in cells]
        values = np.array([number(cell) for cell in cells])
        written = [_WRITTEN_NAN.fullmatch(str(cell).strip()) is not None for cell in cells]
        return values, np.array(written, bool)


def _bare(cell: Any) -> Any:
    """`tensor(0.5, device='cuda:0')` is 0.5."""
    wrapped = _WRAPPED.fullmatch(cell.strip()) if isinstance(cell, str) and "(" in cell else None
    return wrapped[1] if wrapped else cell


def number(cell: Any) -> float:
    """A cell as a number, `50%` as 0.5 and `12,000` as twelve thousand; NaN where it is none."""
    try:
        if isinstance(cell, str) and cell.rstrip().endswith("%"):
            return float(cell.rstrip()[:-1]) / 100
        if isinstance(cell, str) and _THOUSANDS.fullmatch(cell.strip()):
            return float(cell.replace(",", ""))
        return math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        return math.nan
