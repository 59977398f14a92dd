"""torch-fidelity's InceptionV3 as a contestant: one round is one batch of 32x32 images.

    python benchmarks/peers/torch_features.py --weights weights.npz --batch_size 32

Needs torch and torch-fidelity; what the package imports beside the extractor (torchvision, tqdm,
requests) need not be there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path
from unittest import mock

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve import serve

for name in ("torchvision", "tqdm", "requests", "PIL", "scipy"):
    if name == "torchvision" or util.find_spec(name) is None:
        for part in ("", ".transforms", ".transforms.functional", ".datasets", ".models"):
            sys.modules[name + part] = mock.MagicMock()

from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help=".npz under torch's names")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "tf32"), default="float32")
    options = parser.parse_args()
    torch.backends.cudnn.allow_tf32 = options.precision == "tf32"  # as PyTorch has it by default
    torch.backends.cudnn.benchmark = True
    with np.load(options.weights) as tensors, tempfile.NamedTemporaryFile(suffix=".pth") as file:
        state = {key: torch.from_numpy(tensors[key]) for key in tensors.files}
        torch.save(state, file.name)
        extractor = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], file.name
        )
    extractor = extractor.to(options.device).to(memory_format=torch.channels_last)
    shape = (options.batch_size, 32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

    def features() -> torch.Tensor:
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).to(options.device)
        with torch.inference_mode():
            found = [part.cpu() for part in extractor(batch)]
        return found[0]

    def play(n: int) -> None:
        for _ in range(n):
            features()

    versions = {"torch": torch.__version__, "torch-fidelity": metadata.version("torch-fidelity")}
    serve(play, {"versions": versions, "sum": float(features().sum())})


if __name__ == "__main__":
    main()
