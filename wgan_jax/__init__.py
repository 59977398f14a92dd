"""wgan-jax: Wasserstein GANs whose numbers can be trusted and whose runs explain themselves."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for checkers and editors, which do not look into `_LAZY`
    from wgan_jax.comparing import evaluate as evaluate
    from wgan_jax.diagnosis import read_log as read_log
    from wgan_jax.health.judge import Setup as Setup
    from wgan_jax.health.judge import judge as judge
    from wgan_jax.health.watch import Watch as Watch
    from wgan_jax.notebook import load as load
    from wgan_jax.record.wandb import define_wgan_charts as define_wgan_charts
    from wgan_jax.record.wandb import init_wandb as init_wandb
    from wgan_jax.training import train as train

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

if not TYPE_CHECKING:  # else every name would be there, and be Any

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
