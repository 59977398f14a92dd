"""What each setting may be: choices, ranges, and what fits together. One table for each rule."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from wgan_jax.errors import UserError

OBJECTIVES = ("wgan", "wgan_gp", "nsgan", "hinge")

_CHOICES: dict[str, tuple[str, ...]] = {
    "objective": OBJECTIVES,
    "on_failure": ("warn", "stop", "rollback"),
    "precision": ("float32", "tf32", "bfloat16"),
    "critic.normalization": ("none", "layer", "batch"),
    "critic.activation": ("leaky_relu", "relu"),
    "generator.upsampling": ("nearest", "transposed"),
    "generator.normalization": ("batch", "none"),
    "generator.activation": ("leaky_relu", "relu"),
    "generator.fakes_statistics": ("batch", "running"),
    "critic_optimizer.name": ("rmsprop", "adam", "sgd"),
    "generator_optimizer.name": ("rmsprop", "adam", "sgd"),
    "critic_optimizer.schedule": ("constant", "linear", "cosine"),
    "generator_optimizer.schedule": ("constant", "linear", "cosine"),
    "quality.encoder": ("auto", "inception", "digits", "none"),
    "quality.resize": ("tf1", "pytorch"),
    "wandb.mode": ("", "disabled", "offline", "online"),
}

_AT_LEAST_ONE = [
    "epochs",
    "batch_size",
    "n_critic",
    "latent_dim",
    "image_size",
    "keep_checkpoints",
    "mirror_every",
    "critic.kernel",
    "generator.kernel",
    "generator.base_filters",
    "n_critic_schedule.long",
    "quality.n",
    "quality.batch_size",
]

# Above these is a slip of the finger, or more than counters and memory hold.
_AT_MOST = {
    "seed": 2**32 - 1,
    "epochs": 10**8,
    "batch_size": 10**6,
    "n_critic": 10**4,
    "n_critic_schedule.long": 10**4,
    "latent_dim": 10**5,
    "image_size": 1024,
    "critic.kernel": 64,
    "generator.kernel": 64,
    "generator.base_filters": 10**4,
    "quality.n": 10**6,
    "quality.batch_size": 10**5,
    "data.workers": 256,
    "critic_optimizer.decay_epochs": 10**8,
    "generator_optimizer.decay_epochs": 10**8,
}
_MOST_FILTERS, _MOST_LAYERS = 10**4, 16
MOST_UPDATES = 2**31 - 1  # of the critic in a run

_POSITIVE = [
    "clip",
    "critic.init_std",
    "generator.init_std",
    "critic_optimizer.learning_rate",
    "generator_optimizer.learning_rate",
    "critic_optimizer.eps",
    "generator_optimizer.eps",
    "rollback_factor",
]

_SHARES = [
    "ema",
    "critic.dropout",
    "generator.norm_momentum",
    "critic_optimizer.b1",
    "critic_optimizer.b2",
    "critic_optimizer.decay",
    "generator_optimizer.b1",
    "generator_optimizer.b2",
    "generator_optimizer.decay",
]

_NOT_NEGATIVE = [
    "seed",
    "devices",
    "data.workers",
    "log_every",
    "sample_every",
    "quality_every",
    "checkpoint_every",
    "max_rollbacks",
    "gradient_penalty",
    "critic.leak",
    "generator.leak",
    "critic_optimizer.decay_epochs",
    "generator_optimizer.decay_epochs",
    "n_critic_schedule.warm_epochs",
    "n_critic_schedule.period",
]


def check(values: Mapping[str, Any]) -> None:
    """Refuse settings that cannot be trained with.

    Args:
      values: every setting under its dotted name, each of the right type.

    Raises:
      UserError: it names the field and what it may be.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config.{name} = {value} must be a finite number.")
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            near = difflib.get_close_matches(values[name], choices, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            allowed = ", ".join(c or "''" for c in choices)
            raise UserError(f"config.{name} = {values[name]!r} is not one of {allowed}.{hint}")
    rules: tuple[tuple[list[str], Callable[[Any], bool], str], ...] = (
        (_AT_LEAST_ONE, lambda v: v >= 1, "at least 1"),
        (_POSITIVE, lambda v: v > 0, "above 0"),
        (_SHARES, lambda v: 0 <= v < 1, "at least 0 and below 1"),
        (_NOT_NEGATIVE, lambda v: v >= 0, "0 or above"),
    )
    for names, holds, rule in rules:
        for name in names:
            if not holds(values[name]):
                raise UserError(f"config.{name} = {values[name]} must be {rule}.")
    for name, most in _AT_MOST.items():
        if values[name] > most:
            raise UserError(f"config.{name} = {values[name]} must be at most {most}.")
    _check_networks(values)


def _check_networks(values: Mapping[str, Any]) -> None:
    for name in ("critic.filters", "critic.strides", "generator.filters"):
        sizes = values[name]
        if not sizes or min(sizes) < 1:
            raise UserError(f"config.{name} = {sizes} needs numbers of at least 1, one per layer.")
        if max(sizes) > _MOST_FILTERS or len(sizes) > _MOST_LAYERS:
            raise UserError(
                f"config.{name} = {sizes} must be at most {_MOST_LAYERS} numbers of at most "
                f"{_MOST_FILTERS}."
            )
    filters, strides = values["critic.filters"], values["critic.strides"]
    if len(filters) != len(strides):
        raise UserError(
            f"config.critic.filters has {len(filters)} layers and config.critic.strides "
            f"{len(strides)}: give one stride per layer."
        )
    doublings = len(values["generator.filters"]) + values["generator.double_output"]
    if values["image_size"] % 2**doublings:
        raise UserError(
            f"config.image_size = {values['image_size']} must be a multiple of {2**doublings}: the "
            f"generator doubles {doublings} times. Change it or config.generator.filters."
        )
    if values["generator.upsampling"] == "transposed" and values["generator.kernel"] < 2:
        raise UserError("config.generator.kernel must be at least 2 for transposed convolutions.")
    if values["objective"] == "wgan_gp" and values["critic.normalization"] == "batch":
        raise UserError(
            "config.critic.normalization = 'batch' does not go with wgan_gp, whose penalty is per "
            "image (Gulrajani et al. 2017, section 4): use 'layer' or 'none'."
        )
