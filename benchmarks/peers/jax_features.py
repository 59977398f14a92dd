"""Our InceptionV3 as a contestant: one round is one batch, from uint8 in host memory and back.

python benchmarks/peers/jax_features.py --weights weights.npz --batch_size 32
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import jax
import numpy as np
from serve import serve

from wgan_jax.quality.encoders import Encoding, inception_encoder
from wgan_jax.quality.statistics import Protocol


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help=".npz under torch's names")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    # All contestants live at once: none may take the whole memory beforehand.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    protocol = Protocol("inception", "random", "", "tf1", options.dtype)
    with np.load(options.weights) as tensors:
        encoding = Encoding(inception_encoder(protocol, tensors), options.batch_size)
    shape = (options.batch_size, 32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

    def play(n: int) -> None:
        for _ in range(n):
            encoding(images)

    features = encoding(images)[0]
    about = {"versions": {"jax": jax.__version__}, "sum": float(features.sum())}
    serve(play, about)


if __name__ == "__main__":
    main()
