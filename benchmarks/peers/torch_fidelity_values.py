"""What torch-fidelity finds of given weights, images, features and logits.

    python benchmarks/peers/torch_fidelity_values.py given.npz found.npz

Needs torch and torch-fidelity. `tests/fidelity.py` writes the one file and reads the other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from torch_features import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_mmd
from torch_fidelity.metric_prc import prc_features_to_metric

TAPS = ["64", "192", "768", "2048", "logits", "logits_unbiased"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given", type=Path)
    parser.add_argument("found", type=Path)
    options = parser.parse_args()
    with np.load(options.given) as given:
        arrays = {name: torch.from_numpy(given[name]) for name in given.files}
    prefix = "weights/"
    weights = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save(weights, file.name)
        extractor = FeatureExtractorInceptionV3("inception-v3-compat", TAPS, file.name)
    with torch.inference_mode():
        taps = extractor(arrays["images"].permute(0, 3, 1, 2))
    found = {f"taps/{name}": tap.numpy() for name, tap in zip(TAPS, taps, strict=True)}
    real, fake = arrays["real"], arrays["fake"]
    values = fid_statistics_to_metric(
        *(fid_features_to_statistics(features) for features in (fake, real)), verbose=False
    )
    n = min(len(real), len(fake))
    values["kernel_inception_distance"] = kernel_mmd(fake[:n].numpy(), real[:n].numpy())
    values |= prc_features_to_metric(fake, real, verbose=False)
    values |= isc_features_to_metric(arrays["logits"])
    found |= {f"metrics/{name}": np.float64(value) for name, value in values.items()}
    np.savez(options.found, version=metadata.version("torch-fidelity"), **found)


if __name__ == "__main__":
    main()
