"""wgan-jax: Wasserstein GANs whose numbers can be trusted and whose runs explain themselves."""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> the module it lives in, imported at its first use: `import wgan_jax` itself imports
# neither jax, TensorFlow nor wandb.
_LAZY = {
    "Setup": "wgan_jax.health.judge",
    "Watch": "wgan_jax.health.watch",
    "define_wgan_charts": "wgan_jax.record.wandb",
    "evaluate": "wgan_jax.comparing",
    "init_wandb": "wgan_jax.record.wandb",
    "judge": "wgan_jax.health.judge",
    "load": "wgan_jax.notebook",
    "read_log": "wgan_jax.diagnosis",
    "train": "wgan_jax.training",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
