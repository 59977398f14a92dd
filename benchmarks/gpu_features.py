"""InceptionV3's features on a GPU, ours and torch-fidelity's, and what a FID takes beside them."""

from __future__ import annotations

from typing import Any

import jax

from benchmarks import gpu, quality, roofline

BATCH = 256
OURS: quality.Modes = {"ours float32": (), "ours bfloat16": ("--dtype", "bfloat16")}
THEIRS: quality.Modes = {"torch float32": (), "torch tf32": ("--precision", "tf32")}


def measure(torch: str) -> dict[str, Any]:
    """Features of 32x32 images in turns, and the matrix part on this host."""
    theirs = {name: ("--device", gpu.DEVICE, *flags) for name, flags in THEIRS.items()}
    options = {"patience": gpu.PATIENCE, "all_needed": False}
    rows = quality.features(torch, BATCH, OURS, theirs, seconds=1.0, **options)
    quality.same_features([row for name, row in rows.items() if name.endswith("float32")])
    return {
        "device": jax.devices()[0].device_kind,
        "batch_size": BATCH,
        "rows": rows,
        "operations": quality.operations(),
        "peak": roofline.peaks("float32")["operations"],
        "matrix_part": quality.matrix_part(repeats=3),
    }
