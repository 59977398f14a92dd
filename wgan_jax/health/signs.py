"""What a rule sees in a past, and small words that rules share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wgan_jax.health.past import Past


@dataclass(frozen=True)
class Sign:
    """That a rule applies: the numbers it rests on, in one line, and the epoch it holds from."""

    evidence: str
    onset_epoch: int


See = Callable[[Past], Sign | None]


def number(value: float) -> str:
    """A value in about three figures: 0.00334, 13.2, 1.2e-09."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e6 or size < 1e-4:
        return f"{value:.1e}"
    return f"{value:.3g}" if size < 1000 else f"{value:.0f}"
