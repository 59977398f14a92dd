"""Stand-in weights of InceptionV3, drawn by name, and the small golden file made with them.

`python -m tests.standin` writes the golden file anew; do so only when the graph is meant to change.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from wgan_jax.quality import inception

GOLDEN = Path(__file__).parent / "golden" / "inception.npz"
KEPT = 24  # numbers kept of every tap of every image


def draw(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """One tensor, from its name alone; scaled so that activations keep their size."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    random = np.random.default_rng(seed)
    if name.endswith(("weight", "running_var")) and len(shape) == 1:
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return (scale * random.standard_normal(shape)).astype(np.float32)


def tensors() -> dict[str, NDArray[np.float32]]:
    """All tensors under torch's names, in torch's layouts."""
    return {name: draw(name, shape) for name, shape in inception.tensor_shapes().items()}


def images() -> NDArray[np.uint8]:
    """Two smooth pictures, uint8 [2, 20, 24, 3]."""
    y, x, c = np.meshgrid(np.arange(20), np.arange(24), np.arange(3), indexing="ij")
    waves = [np.sin(x / 3 + c) * np.cos(y / 4), np.sin((x + y) / 5 - c)]
    return np.round(127.5 + 127.5 * np.stack(waves)).astype(np.uint8)


def taps(
    params: inception.Params, pictures: NDArray[np.uint8], resize: str
) -> dict[str, jax.Array]:
    """All taps of pictures."""
    x = inception.preprocess(pictures, resize)
    found: Any = inception.InceptionV3().apply({"params": params}, x)
    return found


def summary(found: dict[str, jax.Array]) -> dict[str, NDArray[np.float32]]:
    """The first few numbers of every tap and image."""
    return {name: np.asarray(tap)[:, :KEPT] for name, tap in found.items()}


def write_golden() -> None:
    params = inception.fold(tensors())
    arrays = {
        f"{resize}/{name}": value
        for resize in ("tf1", "pytorch")
        for name, value in summary(
            jax.jit(taps, static_argnums=2)(params, images(), resize)
        ).items()
    }
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **arrays)


if __name__ == "__main__":
    write_golden()
