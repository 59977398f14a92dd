"""What a checkpoint is known by: its seal (digests of its files), its arrays' digest and shapes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wgan_jax.files import as_object, replace_object

Tree = Any

SEAL = "sealed.json"  # in a checkpoint: the digests of its files, once it is whole


def seal(place: Path) -> None:
    """Write down the digests of a whole checkpoint's files, unless that is done already."""
    if place.is_dir() and not (place / SEAL).exists():
        replace_object(place / SEAL, _of_files(place))


def broken_seal(place: Path) -> str:
    """The first file of a sealed checkpoint that is not as it was; "" if there is none."""
    try:
        sealed = as_object((place / SEAL).read_bytes())
    except FileNotFoundError:
        return ""  # the process ended before it could seal; the arrays' own digest remains
    if not sealed:
        return SEAL
    try:
        found = _of_files(place)
    except FileNotFoundError as error:  # pruned while it is read
        return Path(error.filename).name
    return next((name for name in sealed if found.get(name) != sealed[name]), "")


def is_whole(place: Path) -> bool:
    """Whether a checkpoint was sealed, and its files are as they were then."""
    return (place / SEAL).exists() and not broken_seal(place)


def _of_files(place: Path) -> dict[str, str]:
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
