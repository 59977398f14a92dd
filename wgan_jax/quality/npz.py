"""Named arrays as `.npz` files: their bytes, reading them without unpickling, their digest."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError, first_line


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The content of an `.npz` with these arrays, uncompressed."""
    file = io.BytesIO()
    np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    return file.getvalue()


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz`, without unpickling.

    Raises:
      UserError: no such file, or not an `.npz` of plain arrays.
    """
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise ValueError("a single array")
            found = {name: arrays[name] for name in arrays.files}
            if not all(isinstance(array, np.ndarray) for array in found.values()):
                raise ValueError("a member is no array")
            return found
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: check the path.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # numpy and zipfile raise many kinds for a broken file
        reason = first_line(error, 60)
        if "pickle" in reason:  # numpy's advice is to trust the file
            reason = "it holds objects, or something else"
        raise UserError(
            f"{path} is not a whole .npz file of plain arrays ({reason}): make it anew."
        ) from None


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256, 64 hex digits, of named arrays: names, types, shapes and elements."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
