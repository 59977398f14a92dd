"""What torch-fidelity is given to measure, and the golden file of what it found.

`python -m tests.fidelity PYTHON` writes that file, by a Python that has torch and torch-fidelity.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests import standin

GOLDEN = Path(__file__).parent / "golden" / "torch_fidelity.npz"
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "peers" / "torch_fidelity_values.py"
Floats = NDArray[np.float64]


def features() -> tuple[Floats, Floats]:
    """Of 600 real images and 500 fakes, [n, 64]: not negative, as Inception's, and correlated."""
    random = np.random.RandomState(0)
    mix = random.normal(size=(64, 64)) / 8
    real = np.maximum(random.normal(size=(600, 64)) @ mix + 0.5, 0)
    fake = np.maximum(0.8 * random.normal(size=(500, 64)) @ mix + 0.6, 0)
    return real, fake


def logits() -> Floats:
    """Of 1,000 images over 1,008 classes."""
    return 2 * np.random.RandomState(1).normal(size=(1000, 1008))


def write_golden(python: str) -> None:
    real, fake = features()
    given: dict[str, NDArray[Any]] = {
        "images": standin.images(),
        "real": real,
        "fake": fake,
        "logits": logits(),
    }
    given |= {f"weights/{name}": tensor for name, tensor in standin.tensors().items()}
    with tempfile.TemporaryDirectory() as folder:
        sent, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(sent, **given)  # type: ignore[arg-type]
        subprocess.run((python, str(SCRIPT), str(sent), str(found)), check=True)
        with np.load(found) as arrays:
            kept = {name: arrays[name] for name in arrays.files}
    for name in kept:
        if name.startswith("taps/"):
            kept[name] = kept[name][:, : standin.KEPT]
    np.savez_compressed(GOLDEN, **kept)  # type: ignore[arg-type]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", help="a Python that has torch and torch-fidelity")
    write_golden(parser.parse_args().python)
