"""Runs that were taken up again: their steps go back, and what was abandoned is no part of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import shorten
from wgan_jax.health.series import Ints

_FEW = 0.1  # share of the rows that go back: more are rows out of order,
_MOST = 100  # as are more than this
_GOES_ON = 3  # rows from which what follows a jump back is a run that goes on


def start_anew(epochs: Ints) -> bool:
    """Whether steps count from the same to the same again and again: within an epoch, say."""
    back = np.flatnonzero(np.diff(epochs) < 0)
    starts, ends = epochs[back + 1], epochs[back]
    return len(back) > 2 and (starts == epochs[0]).all() and (ends == ends[0]).all()


def standing(epochs: Ints, measured: NDArray[np.bool_], notes: list[str]) -> NDArray[np.bool_]:
    """Mask of the rows to keep [rows]: those of no attempt that was given up.

    Where steps go back, rows of before at or beyond that step belong to an attempt that was given
    up. A piece that comes late and fills a gap is none, nor is a row or two out of order.

    Args:
      epochs: of each row, in the order in which they were written.
      measured: which rows have what is measured in most [rows]; late scores go back too.
      notes: what was left out is said here.
    """
    stands = np.ones(len(epochs), bool)
    rows = np.flatnonzero(measured)
    back = np.flatnonzero(np.diff(epochs[rows]) < 0) + 1
    if len(back) > min(_FEW * len(rows), _MOST):
        return stands
    taken_up = []
    for piece in np.split(rows, back)[1:]:
        first = piece[0]
        given_up = stands[:first] & (epochs[:first] >= epochs[first])
        again = given_up & measured[:first]
        if len(piece) < _GOES_ON or not again.any():
            continue
        if epochs[piece[-1]] >= epochs[:first][again].min():
            stands[:first] &= ~given_up
            taken_up.append(str(epochs[first]))
    if taken_up:
        notes.append(
            f"The run was taken up again at {shorten(taken_up, 40)}: {int((~stands).sum())} rows "
            "of before are left out."
        )
    return stands
