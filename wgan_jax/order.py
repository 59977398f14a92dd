"""Which image is drawn when: a keyed permutation of the dataset for each pass over it.

Counter-based: the image at any position is computed from (key, pass, position) alone, in 32-bit
integer arithmetic that numpy and jax.numpy do alike, so that the device and a host reader draw the
same images in the same order, and a resumed run goes on where it was without any stored list.

The permutation is the swap-or-not shuffle (Hoang, Morris, Rogaway 2012), which permutes any number
of images exactly, without the retries that a Feistel network needs off powers of two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_ROUNDS = 48  # enough for a statistical shuffle; every round is about 15 integer operations


def drawn(key: Any, passes: Any, positions: Any, size: int) -> Any:
    """Indices of the images at these positions.

    Args:
      key: uint32 [2], numpy or jax.
      passes: uint32, which pass over the data each position belongs to; broadcast with positions.
      positions: uint32 [n], places in the pass, each below `size`.
      size: number of images, from 1 to 2**31 - 1.

    Returns:
      uint32 [n], a permutation of 0 ... size - 1 over each pass.
    """
    if not 1 <= size < 2**31:
        raise ValueError(f"size = {size} must be from 1 to 2**31 - 1")
    n = np.uint32(size)
    index = positions
    seed = _mix(_mix(passes ^ key[:1]) + key[1:])
    for turn in range(_ROUNDS):
        word = _mix(seed + np.array([turn * 0x9E3779B9 & 0xFFFFFFFF], np.uint32))
        pivot = word % n
        partner = pivot + n * (pivot < index).astype(np.uint32) - index
        larger = partner + (index - partner) * (index >= partner).astype(np.uint32)
        swap = _mix(larger ^ _mix(word + np.array([1], np.uint32))) & np.array([1], np.uint32)
        index = index + (partner - index) * swap
    return index


def _mix(x: Any) -> Any:
    """A bijection of 32 bits; every input bit moves every output bit (Ettinger's lowbias32)."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x21F0AAAD)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x735A2D97)
    return x ^ (x >> np.uint32(15))
