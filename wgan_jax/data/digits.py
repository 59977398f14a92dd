"""The 1,797 handwritten digits that scikit-learn ships (8x8, grey): no download."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError

SIZE = 8
_LEVELS = 16  # pixels count the dark points of a 4x4 field, 0 to 16


def read(classes: tuple[str, ...] = ()) -> NDArray[np.uint8]:
    """Images uint8 [n, 8, 8, 1] of the digits named in `classes` ("0" to "9"); empty: all."""
    images, labels = read_labelled()
    unknown = sorted(set(classes) - {str(digit) for digit in range(10)})
    if unknown:
        raise UserError(f"config.data.classes: {unknown[0]!r} is not a digit: name some of 0 to 9.")
    if not classes:
        return images
    return images[np.isin(labels, [int(name) for name in classes])]


def read_labelled() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 [1797, 8, 8, 1] and their digits int64 [1797], in the file's order."""
    # The file is read where it lies: importing sklearn.datasets takes longer than all the rest.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("The digits come with scikit-learn: run pip install scikit-learn.")
    path = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    images = np.round(table[:, :-1] * (255 / _LEVELS)).astype(np.uint8)
    return images.reshape(-1, SIZE, SIZE, 1), table[:, -1]
