"""Optimisers and the weight constraint, as optax transforms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from wgan_jax.settings import OptimizerSettings


def project(params: optax.Params, c: float) -> optax.Params:
    """Every weight moved into [-c, c]; exact."""
    return optax.tree.clip(params, -c, c)


def clip_weights(c: float) -> optax.GradientTransformation:
    """Change updates so that the weights they lead to lie in [-c, c].

    The last transform of a chain. `p + (clip(p + u) - p)` can miss the box by one unit in the last
    place, so a step that must hold it exactly applies `project` to the new weights as well.

    Raises:
      ValueError: c is not above 0, or `update` was called without params.
    """
    if not c > 0:
        raise ValueError(f"clip_weights needs c > 0, got {c}")

    def init(params: optax.Params) -> optax.OptState:
        del params
        return optax.EmptyState()

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        if params is None:
            raise ValueError("clip_weights needs params: call update(updates, state, params)")
        kept = jax.tree.map(lambda u, p: jnp.clip(p + u, -c, c) - p, updates, params)
        return kept, state

    return optax.GradientTransformation(init, update)


def learning_rate(settings: OptimizerSettings, steps: int) -> optax.ScalarOrSchedule:
    """The rate, or its schedule over so many of the player's own updates, falling to 0."""
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "linear":
        return optax.linear_schedule(settings.learning_rate, 0.0, steps)
    if settings.schedule == "cosine":
        return optax.cosine_decay_schedule(settings.learning_rate, steps)
    raise ValueError(f"the schedule {settings.schedule!r} is a choice in `settings` only")


def optimizer(settings: OptimizerSettings, steps: int) -> optax.GradientTransformationExtraArgs:
    """One player's optimiser; `steps` is the length of its schedule.

    Its `update` takes `rate_factor`, by which the host may lower the rate during a run. RMSProp is
    the WGAN authors' (torch's) with the default settings: eps outside the root, so that the small
    gradients of a clipped critic are not shrunk.
    """
    tx = _by_name(settings, learning_rate(settings, steps))

    def update(
        grads: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        rate_factor: Array | float = 1.0,
        **_: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        updates, state = tx.update(grads, state, params)
        return optax.tree.scale(rate_factor, updates), state

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _by_name(
    settings: OptimizerSettings, rate: optax.ScalarOrSchedule
) -> optax.GradientTransformation:
    if settings.name == "rmsprop":
        return optax.rmsprop(
            rate, decay=settings.decay, eps=settings.eps, eps_in_sqrt=settings.eps_in_sqrt
        )
    if settings.name == "adam":
        return optax.adam(rate, b1=settings.b1, b2=settings.b2, eps=settings.eps)
    if settings.name == "sgd":
        return optax.sgd(rate, momentum=settings.b1 or None)
    raise ValueError(f"the optimiser {settings.name!r} is a choice in `settings` only")
