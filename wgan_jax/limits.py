"""What settings may be: the rules that fields of `settings` name, and what fits together."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any

from wgan_jax.errors import UserError

BLOCKS, INITS, POOLINGS = ("plain", "residual"), ("normal", "glorot"), ("none", "mean", "sum")
AUGMENTATIONS = ("color", "translation", "cutout")  # they are done in `gan/augmentation`
MOST_UPDATES = 2**31 - 1  # of the critic in a run
_MOST_FILTERS, _MOST_LAYERS, _MOST_TAPS = 10**4, 16, 64


@dataclass(frozen=True)
class Range:
    """What a field may be: a test, and the same in words."""

    holds: Callable[[Any], bool]
    words: str


COUNT = Range(lambda value: value >= 1, "at least 1")
POSITIVE = Range(lambda value: value > 0, "above 0")
FRACTION = Range(lambda value: 0 < value < 1, "above 0 and below 1")
SHARE = Range(lambda value: 0 <= value < 1, "at least 0 and below 1")
NONE_OR_SOME = Range(lambda value: value == 0 or value >= 2, "0 or at least 2")
CHANGES = Range(
    lambda value: set(value.split(",")) <= {*AUGMENTATIONS} if value else True,
    f"empty, or some of {', '.join(AUGMENTATIONS)}, with commas between them and no spaces",
)
_NUMBER = Range(lambda value: value >= 0, "0 or above")  # where a number has no rule of its own


@dataclass(frozen=True)
class Kind:
    """What is true of an objective, for the game and for all who judge it and tell of it.

    Attributes:
      wasserstein: both players' terms are the scores themselves: a loss without a floor.
      clips: the critic's weights are clipped (Lipschitz by weight clipping).
      penalizes: the critic pays a gradient penalty (Lipschitz by penalty).
      log_loss: scores are logits of "real", so that accuracies mean something.
    """

    wasserstein: bool = False
    clips: bool = False
    penalizes: bool = False
    log_loss: bool = False


OBJECTIVES: dict[str, Kind] = {  # their functions are in `gan/objectives`
    "wgan": Kind(wasserstein=True, clips=True),
    "wgan_gp": Kind(wasserstein=True, penalizes=True),
    "nsgan": Kind(log_loss=True),
    "hinge": Kind(),
}

Rule = Range | tuple[str, ...]  # a tuple: the choices


def check(rows: Sequence[tuple[str, Any, Field[Any]]]) -> None:
    """Refuse settings that cannot be trained with.

    Args:
      rows: every setting: its dotted name, its value (of the right type) and its field, whose
        metadata has its `rule` and `most`.

    Raises:
      UserError: it names the field and what it may be.
    """
    for name, value, field in rows:
        _check_value(name, value, field.metadata["rule"], field.metadata["most"])
    values = {name: value for name, value, _ in rows}
    _check_critic(values)
    _check_generator(values)
    _check_decay(values)
    _check_held_out(values)


def _check_value(name: str, value: Any, rule: Rule | None, most: float) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"config.{name} = {value} must be a finite number.")
    if rule is None and type(value) in (int, float):
        rule = _NUMBER
    if isinstance(rule, tuple) and value not in rule:
        near = difflib.get_close_matches(value, rule, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        allowed = ", ".join(choice or "''" for choice in rule)
        raise UserError(f"config.{name} = {value!r} is not one of {allowed}.{hint}")
    if isinstance(rule, Range) and not rule.holds(value):
        raise UserError(f"config.{name} = {value} must be {rule.words}.")
    if most < math.inf and value > most:
        raise UserError(f"config.{name} = {value} must be at most {most}.")


def _check_critic(values: Mapping[str, Any]) -> None:
    filters, strides, kernels = (
        values[f"critic.{name}"] for name in ("filters", "strides", "kernels")
    )
    _check_sizes("critic.filters", filters)
    _check_sizes("critic.strides", strides)
    if len(filters) != len(strides):
        raise UserError(
            f"config.critic.filters has {len(filters)} layers and config.critic.strides "
            f"{len(strides)}: give one stride per layer."
        )
    if kernels:
        _check_sizes("critic.kernels", kernels, _MOST_TAPS)
        if len(filters) != len(kernels):
            raise UserError(
                f"config.critic.filters has {len(filters)} layers and config.critic.kernels "
                f"{len(kernels)}: give one kernel size per layer, or none for config.critic.kernel."
            )
    if values["critic.blocks"] == "residual" and values["image_size"] % math.prod(strides):
        raise UserError(
            f"config.image_size = {values['image_size']} must be a multiple of "
            f"{math.prod(strides)}, the product of config.critic.strides: residual blocks average "
            "whole blocks of pixels."
        )
    objective = values["objective"]
    if OBJECTIVES[objective].penalizes and values["critic.normalization"] == "batch":
        raise UserError(
            f"config.critic.normalization = 'batch' does not go with {objective}, whose penalty is "
            "per image (Gulrajani et al. 2017, section 4): use 'layer' or 'none'."
        )
    if OBJECTIVES[objective].clips and values["critic.normalization"] == "spectral":
        raise UserError(
            f"config.critic.normalization = 'spectral' does not go with {objective}: it divides by "
            "the size of weights, which clipping bounds. Use config.objective = 'hinge'."
        )


def _check_generator(values: Mapping[str, Any]) -> None:
    _check_sizes("generator.filters", values["generator.filters"])
    doublings = len(values["generator.filters"]) + values["generator.double_output"]
    if values["image_size"] % 2**doublings:
        raise UserError(
            f"config.image_size = {values['image_size']} must be a multiple of {2**doublings}: the "
            f"generator doubles {doublings} times. Change it or config.generator.filters."
        )
    if values["generator.upsampling"] == "nearest":
        return
    doubles_last = values["generator.double_output"] and values["generator.output_kernel"] == 1
    if values["generator.kernel"] < 2 or doubles_last:
        raise UserError(
            "config.generator.kernel and config.generator.output_kernel must be at least 2 for "
            "transposed convolutions."
        )
    if values["generator.blocks"] == "residual":
        raise UserError(
            "config.generator.upsampling = 'transposed' does not go with residual blocks, whose "
            "two ways must double an image alike: set it to 'nearest'."
        )


def _check_sizes(name: str, sizes: Sequence[int], most: int = _MOST_FILTERS) -> None:
    """One number per layer."""
    if not sizes or min(sizes) < 1:
        raise UserError(f"config.{name} = {sizes} needs numbers of at least 1, one per layer.")
    if max(sizes) > most or len(sizes) > _MOST_LAYERS:
        raise UserError(
            f"config.{name} = {sizes} must be at most {_MOST_LAYERS} numbers of at most {most}."
        )


def _check_decay(values: Mapping[str, Any]) -> None:
    """Refuse epochs behind a learning rate's schedule, which ends at 0."""
    for player in ("critic_optimizer", "generator_optimizer"):
        ends = values[f"{player}.decay_epochs"]
        if values[f"{player}.schedule"] != "constant" and 0 < ends < values["epochs"]:
            raise UserError(
                f"config.{player}.decay_epochs = {ends} ends before config.epochs = "
                f"{values['epochs']}: nothing would be trained from there on. Set it to that or "
                "more, or to 0 for the whole run."
            )


def _check_held_out(values: Mapping[str, Any]) -> None:
    split = values["data.held_out_split"]
    if not split:
        return
    if not values["data.name"].startswith("tfds:"):
        raise UserError(
            f"config.data.held_out_split = {split!r}: only TFDS has splits. Leave it empty, to "
            "take held-out images from the data themselves."
        )
    if not values["data.held_out"]:
        raise UserError(
            f"config.data.held_out_split = {split!r} needs to know how many: config.data.held_out."
        )
    if split == values["data.split"]:
        raise UserError(
            f"config.data.held_out_split = {split!r} is the split that is trained on. Leave it "
            "empty, to take held-out images from it."
        )
