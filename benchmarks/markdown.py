"""What the tables of docs/performance.md share: names, spreads, and how a table is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NAMES = {
    "ours": "wgan-jax",
    "torch": "PyTorch eager",
    "torch_phases": "PyTorch eager, upsampling folded into the kernel as ours",
    "keras": "Keras loop (`predict`, `train_on_batch`, clipping in numpy)",
    "keras_on_batch": "Keras loop, with `predict_on_batch`",
    "torch_fidelity": "torch-fidelity",
}
EXPERIMENTS = {
    "cifar_wgan": "The guide's network (clipping, 32x32)",
    "cifar_wgan_gp": "The same with gradient penalty",
    "cifar_wgan_gp_resnet": "Residual networks with gradient penalty, 32x32",
    "lsun_dcgan64": "The paper's DCGAN, 64x64",
}
# A rate is the greatest where the time is the least.
RATES = {"median": "median", "least": "greatest", "greatest": "least"}


def spread(figures: dict[str, float], digits: int = 3) -> str:
    """`0.789 (0.736 to 0.876)`."""
    median, least, greatest = (figures[key] for key in ("median", "least", "greatest"))
    if least == greatest:  # measured once
        return f"{median:.{digits}f}"
    return f"{median:.{digits}f} ({least:.{digits}f} to {greatest:.{digits}f})"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def versions(contests: Iterable[dict[str, Any]]) -> str:
    """Of what played, once each."""
    found = {
        name: version
        for rows in contests
        for row in rows.values()
        for name, version in row.get("about", {}).get("versions", {}).items()
    }
    peers = ", ".join(f"{name} {version}" for name, version in found.items())
    return f"Versions of the contestants: {peers}.\n"
