"""What a checkpoint is known by: digests of its files and of its arrays, and their structure."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

Tree = Any

SEAL = "sealed.json"  # in a checkpoint: the digests of its files, once it is whole


def of_files(place: Path) -> dict[str, str]:
    """Relative path -> 32 hex digits, of every file of a checkpoint but its seal."""
    return {
        str(path.relative_to(place)): hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != SEAL
    }


def of_arrays(arrays: Tree) -> str:
    """32 hex digits over all arrays of a tree, in its order: bytes, shapes and types."""
    found = hashlib.blake2b(digest_size=16)
    for leaf in jax.tree.leaves(arrays):
        array = np.ascontiguousarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def structure(arrays: Tree) -> dict[str, str]:
    """Every array of a tree by its path, e.g. `.critic.params['Dense_0']['bias']: float32[1]`."""
    leaves = jax.tree_util.tree_leaves_with_path(arrays)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}
