"""Measures what things cost, side by side with other libraries, and writes docs/performance.md.

    python -m benchmarks --torch /path/to/torch/env/bin/python   all of it, about 50 minutes
    python -m benchmarks --only rounds                           a part; the others' figures stay
    python -m benchmarks --only gpu --torch ...                  rounds on an NVIDIA GPU
    python -m benchmarks --only gpu:cifar_wgan --torch ...       one of these contests, 4 minutes
    python -m benchmarks --only gpu:cifar_wgan:best --torch ...  with PyTorch's fastest modes alone
    python -m benchmarks --only gpu_features --torch ...         Inception's features on it
    python -m benchmarks --only ahead                            what one would run, without one
    python -m benchmarks --only ahead_tpu                        what a TPU would
    python -m benchmarks --render                                only the page, from last figures

PyTorch lives in an environment of its own: `pip install torch numpy`, and for the features
`pip install --no-deps torch-fidelity`. Without one, its figures are left out. Nothing else should
run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.rounds import CONTESTS
from wgan_jax.files import replace_bytes

# Each a module of this package with `measure(torch) -> what JSON holds`; what follows a colon is
# given to it, too.
PARTS = ("rounds", "parity", "roofline", "quality", "host", "start", "growth")
GPU = tuple(dict.fromkeys(f"gpu:{name}" for name, *_ in CONTESTS))
BEST = tuple(f"{part}:best" for part in GPU)
ASKED = (
    *GPU,
    *BEST,
    "gpu_features",
    "ahead",
    "ahead_tpu",
)  # parts for machines and environments that have what they need
OUT = Path(__file__).resolve().parent / "results" / "performance.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", choices=(*PARTS, *ASKED, "gpu"), action="append", help="a part; may be repeated"
    )
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument(
        "--torch",
        default=os.environ.get("WGAN_JAX_TORCH", ""),
        metavar="PYTHON",
        help="a Python that has PyTorch (or $WGAN_JAX_TORCH)",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="JSON; what it has is kept")
    options = parser.parse_args()
    parts = () if options.render else options.only or PARTS
    if "gpu" in parts:
        parts = (*(part for part in parts if part != "gpu"), *GPU)
    if len(parts) > 1:  # each in a process of its own: none finds what another compiled
        for part in parts:
            given = ("--only", part, "--torch", options.torch, "--out", str(options.out))
            subprocess.run((sys.executable, "-m", "benchmarks", *given), check=True)
        return
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for part in parts:
        print(f"{part} ...", flush=True)
        about, clock = machine.about(), time.perf_counter()
        module, *which = part.split(":")
        measure = importlib.import_module(f"benchmarks.{module}").measure
        figures = measure(options.torch, *which)
        about["seconds"] = round(time.perf_counter() - clock)
        found[part] = {"about": about, "figures": figures}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(options.out, (json.dumps(found, indent=1) + "\n").encode())
        print(f"{part}: {about['seconds']} s", flush=True)
    from benchmarks import page

    print(page.write(found))


if __name__ == "__main__":
    main()
