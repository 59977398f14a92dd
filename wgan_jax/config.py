"""Settings of a run: every field with its default and meaning, resolved once, at the door.

`Settings` is the one list of fields. An experiment file starts from `base()`, which is the same
fields as an `ml_collections.ConfigDict`, and overrides a few; the command line overrides any
(`--config.batch_size=256`); `resolve` turns the result into frozen, validated `Settings`, which is
all that the rest of the program sees. Imports neither jax nor TensorFlow.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from ml_collections import ConfigDict

from wgan_jax.errors import UserError
from wgan_jax.limits import (
    BLOCKS,
    COUNT,
    FRACTION,
    INITS,
    MOST_UPDATES,
    OBJECTIVES,
    POOLINGS,
    POSITIVE,
    SHARE,
    Rule,
    check,
)


def _field(
    default: Any,
    meaning: str,
    rule: Rule | None = None,
    *,
    most: float = math.inf,
    result: bool = True,
) -> Any:
    """A field of the settings.

    Args:
      default: its value where nothing else is said.
      meaning: one line, for the help.
      rule: what it may be, see `limits`: a range, or choices; None: any text, any number from 0 on.
      most: the largest value that is no slip of the finger, or that counters and memory hold.
      result: False where neither weights nor measures change with it.
    """
    metadata = {"meaning": meaning, "rule": rule, "most": most, "result": result}
    return dataclasses.field(default=default, metadata=metadata)


def _group(cls: type[Any], meaning: str) -> Any:
    """A group of fields, with its meaning."""
    return dataclasses.field(default_factory=cls, metadata={"meaning": meaning, "result": True})


@dataclass(frozen=True)
class DataSettings:
    """Where the real images come from."""

    name: str = _field("digits", "digits, tfds:<name>, folder:<path>, or arrays (from Python)")
    split: str = _field("train", "split of a TFDS dataset")
    classes: str = _field("", "comma-separated class names to keep, e.g. horse; empty: all")
    cache_dir: str = _field("", "where prepared datasets lie; empty: TFDS's own", result=False)
    flip: bool = _field(False, "mirror each drawn image left-right with probability 1/2")
    stream: bool = _field(
        False, "read images while training, for what does not fit on the device", result=False
    )
    workers: int = _field(2, "streaming: processes that decode; 0: threads", most=256, result=False)


@dataclass(frozen=True)
class CriticSettings:
    """The critic: a stack of convolutions, or of residual blocks, and one dense output."""

    blocks: str = _field(
        "plain", "what layers are: plain (a convolution) or residual (two, and a shortcut)", BLOCKS
    )
    filters: tuple[int, ...] = _field((32, 64, 128, 128), "output channels of each layer")
    strides: tuple[int, ...] = _field((2, 2, 2, 1), "stride of each layer; of a residual one, mean")
    kernel: int = _field(5, "kernel size in pixels", COUNT, most=64)
    kernels: tuple[int, ...] = _field((), "kernel size of each layer; empty: kernel for all")
    pooling: str = _field(
        "none", "of features, before the score: none, mean or sum over the image", POOLINGS
    )
    normalization: str = _field(
        "none", "none, layer or batch (clipped batch norm dies)", ("none", "layer", "batch")
    )
    activation: str = _field("leaky_relu", "leaky_relu or relu", ("leaky_relu", "relu"))
    leak: float = _field(0.2, "slope of leaky_relu below 0")
    dropout: float = _field(0.0, "share of features dropped after each layer", SHARE)
    bias: bool = _field(True, "biases in the convolutions")
    init: str = _field("normal", "first weights: normal, of init_std, or glorot (uniform)", INITS)
    init_std: float = _field(0.02, "standard deviation of the initial weights", POSITIVE)


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator: dense to a small image, then layers that double it."""

    blocks: str = _field(
        "plain", "what layers are: plain (a convolution) or residual (two, and a shortcut)", BLOCKS
    )
    base_filters: int = _field(
        128, "channels of the small image behind the dense layer", COUNT, most=10**4
    )
    filters: tuple[int, ...] = _field((128, 64, 32), "output channels of each doubling layer")
    kernel: int = _field(5, "kernel size in pixels", COUNT, most=64)
    output_kernel: int = _field(0, "that of the last layer, to pixels; 0: kernel", most=64)
    upsampling: str = _field(
        "nearest",
        "nearest (then convolution) or transposed (convolution)",
        ("nearest", "transposed"),
    )
    double_output: bool = _field(False, "the last layer, to pixels, doubles the image too")
    normalization: str = _field("batch", "batch or none", ("batch", "none"))
    norm_momentum: float = _field(0.99, "share of the old in the norm's running averages", SHARE)
    activation: str = _field("leaky_relu", "leaky_relu or relu", ("leaky_relu", "relu"))
    leak: float = _field(0.2, "slope of leaky_relu below 0")
    bias: bool = _field(True, "biases in the convolutions")
    init: str = _field("normal", "first weights: normal, of init_std, or glorot (uniform)", INITS)
    init_std: float = _field(0.02, "standard deviation of the initial weights", POSITIVE)
    fakes_statistics: str = _field(
        "batch",
        "norm of the fakes the critic sees: batch (the authors) or running (the guide)",
        ("batch", "running"),
    )


@dataclass(frozen=True)
class OptimizerSettings:
    """One player's optimiser."""

    name: str = _field("rmsprop", "rmsprop, adam or sgd", ("rmsprop", "adam", "sgd"))
    learning_rate: float = _field(5e-5, "initial learning rate", POSITIVE)
    schedule: str = _field(
        "constant", "constant, linear or cosine (to 0)", ("constant", "linear", "cosine")
    )
    decay_epochs: int = _field(0, "length of the schedule in epochs; 0: the whole run", most=10**8)
    b1: float = _field(0.0, "adam: decay of the first moment; sgd: momentum", SHARE)
    b2: float = _field(0.9, "adam: decay of the second moment", SHARE)
    decay: float = _field(0.99, "rmsprop: decay of the second moment", SHARE)
    eps: float = _field(1e-8, "added to the root of the second moment", POSITIVE)
    eps_in_sqrt: bool = _field(False, "rmsprop: add eps inside the root (optax's default)")


@dataclass(frozen=True)
class NCriticSchedule:
    """Longer critic phases, as in the WGAN authors' code: 100 updates in 25 rounds, then rarely."""

    warm_epochs: int = _field(0, "the first so many epochs are long; 0: none")
    period: int = _field(0, "every so many epochs one is long; 0: none")
    long: int = _field(100, "critic updates in a long epoch", COUNT, most=10**4)


@dataclass(frozen=True)
class QualitySettings:
    """How samples are measured every `quality_every` epochs, and after the last."""

    encoder: str = _field(
        "auto", "auto, inception, digits or none", ("auto", "inception", "digits", "none")
    )
    weights: str = _field("", "name of the encoder's weights; empty: the public ones")
    resize: str = _field("tf1", "Inception's input protocol: tf1 or pytorch", ("tf1", "pytorch"))
    n: int = _field(10_000, "generated samples per measurement", COUNT, most=10**6)
    batch_size: int = _field(256, "images per encoder batch", COUNT, most=10**5, result=False)


@dataclass(frozen=True)
class WandbSettings:
    """Weights & Biases."""

    mode: str = _field(
        "",
        "disabled, offline or online; empty: by login",
        ("", "disabled", "offline", "online"),
        result=False,
    )
    project: str = _field("wgan-jax", "project the run belongs to", result=False)
    entity: str = _field("", "team or user; empty: your default", result=False)


@dataclass(frozen=True)
class Settings:
    """All of a run. One epoch is one round: `n_critic` critic updates, one generator update."""

    seed: int = _field(42, "fixes data order, initial weights and noise", most=2**32 - 1)
    epochs: int = _field(
        12_000,
        "epochs (rounds) in all; more continue a finished run",
        COUNT,
        most=10**8,
        result=False,
    )
    batch_size: int = _field(512, "images per update", COUNT, most=10**6)
    generator_batches: int = _field(
        1, "batches of fakes in the generator's own update", COUNT, most=10**3
    )
    n_critic: int = _field(5, "critic updates per epoch", COUNT, most=10**4)
    clip: float = _field(0.01, "critic weights stay in [-clip, clip] (objective wgan)", POSITIVE)
    objective: str = _field("wgan", "wgan, wgan_gp, nsgan or hinge", OBJECTIVES)
    gradient_penalty: float = _field(10.0, "weight of the penalty (objective wgan_gp)")
    latent_dim: int = _field(
        100, "length of the generator's input, drawn from N(0, 1)", COUNT, most=10**5
    )
    image_size: int = _field(32, "height and width in pixels", COUNT, most=1024)
    precision: str = _field(
        "tf32",
        "of products: tf32 (each device's default: TF32 on GPUs, bfloat16 on TPUs, float32 on "
        "CPUs), float32 or bfloat16 (the fastest on GPUs, at some cost: docs/performance.md); "
        "weights, statistics and losses are float32 always",
        ("float32", "tf32", "bfloat16"),
    )
    devices: int = _field(0, "devices that share every batch; 0: all there are", result=False)
    ema: float = _field(0.0, "decay of the averaged generator used for samples; 0: off", SHARE)
    init_from: str = _field("", "a workdir or checkpoint to take the initial weights from")
    on_failure: str = _field(
        "warn",
        "warn, stop or rollback when a run is failing",
        ("warn", "stop", "rollback"),
        result=False,
    )
    max_rollbacks: int = _field(3, "rollbacks before the run is stopped", result=False)
    rollback_factor: float = _field(
        0.5, "factor on the learning rates at a rollback", FRACTION, result=False
    )
    log_every: int = _field(100, "epochs between console blocks; 0: off", result=False)
    sample_every: int = _field(
        500, "epochs between sample grids; the last epoch has one too; 0: off", result=False
    )
    quality_every: int = _field(
        100, "epochs between quality measurements; the last epoch has one too; 0: off", result=False
    )
    checkpoint_every: int = _field(
        500, "epochs between checkpoints; 0: only at the end", result=False
    )
    keep_checkpoints: int = _field(
        3, "newest checkpoints kept, beside the best", COUNT, result=False
    )
    tensorboard: bool = _field(False, "write TensorBoard events too", result=False)
    mirror_every: int = _field(
        1, "epochs between rows for W&B and TensorBoard; metrics.jsonl has all", COUNT, result=False
    )
    data: DataSettings = _group(DataSettings, "images")
    critic: CriticSettings = _group(CriticSettings, "critic network")
    generator: GeneratorSettings = _group(GeneratorSettings, "generator network")
    critic_optimizer: OptimizerSettings = _group(OptimizerSettings, "critic's optimiser")
    generator_optimizer: OptimizerSettings = _group(OptimizerSettings, "generator's optimiser")
    n_critic_schedule: NCriticSchedule = _group(NCriticSchedule, "longer critic phases")
    quality: QualitySettings = _group(QualitySettings, "measuring samples")
    wandb: WandbSettings = _group(WandbSettings, "Weights & Biases")


def base() -> ConfigDict:
    """The defaults (the guide's CIFAR-10 run) as a ConfigDict, for experiment files to override."""
    return ConfigDict(to_dict(Settings()))


def to_dict(settings: Any) -> dict[str, Any]:
    """Nested plain dictionary of settings; tuples stay tuples (JSON turns them into lists)."""
    return dataclasses.asdict(settings)


def resolve(config: Mapping[str, Any] | ConfigDict | Settings) -> Settings:
    """Validated settings from a config.

    Raises:
      UserError: no config at all, an unknown field (naming the nearest right one), a value of the
        wrong type, or one out of its range.
    """
    if isinstance(config, Settings):
        settings = config
    elif not isinstance(config, Mapping | ConfigDict):
        raise UserError(
            f"config must be a ConfigDict or a dictionary, got {type(config).__name__}: begin with "
            "wgan_jax.config.base(), or with an experiment's get_config()."
        )
    else:
        given = config.to_dict() if isinstance(config, ConfigDict) else config
        settings = _build(Settings, given, "")
    check(_walk(settings, ""))
    _check_updates(settings)
    return settings


def critic_updates(settings: Settings, first: int, rounds: int) -> int:
    """Critic updates in so many rounds from the epoch `first` on."""
    schedule = settings.n_critic_schedule

    def long_ones(end: int) -> int:
        """Long epochs among 0 ... end - 1."""
        warm = min(schedule.warm_epochs, end)
        if not schedule.period:
            return warm
        late = -(-end // schedule.period) - -(-warm // schedule.period)
        return warm + late

    long = long_ones(first + rounds) - long_ones(first)
    return long * schedule.long + (rounds - long) * settings.n_critic


def flat(settings: Settings) -> dict[str, Any]:
    """Every setting under its dotted name, e.g. `data.flip`."""
    return {name: value for name, value, _ in _walk(settings, "")}


def difference(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Settings that differ and change the result of a run: dotted name -> (old, new).

    That is the trained weights, and what is measured of them: a FID by another protocol is no
    better or worse than those before it.
    """
    was = flat(old)
    return {
        name: (was[name], value)
        for name, value, field in _walk(new, "")
        if field.metadata["result"] and was[name] != value
    }


def describe() -> list[tuple[str, Any, str]]:
    """(dotted name, default, meaning) of every field, for the help and the docs."""
    return [
        (name, value, field.metadata["meaning"]) for name, value, field in _walk(Settings(), "")
    ]


def _check_updates(settings: Settings) -> None:
    """Refuse more critic updates than their counter holds."""
    epochs = max(settings.epochs, settings.critic_optimizer.decay_epochs)
    updates = critic_updates(settings, 0, epochs)
    if updates > MOST_UPDATES:
        raise UserError(
            f"{epochs} epochs, of config.epochs or config.critic_optimizer.decay_epochs, have "
            f"{updates} critic updates, above {MOST_UPDATES}: lower them, config.n_critic or "
            "config.n_critic_schedule."
        )


def _walk(settings: Any, prefix: str) -> list[tuple[str, Any, dataclasses.Field[Any]]]:
    rows: list[tuple[str, Any, dataclasses.Field[Any]]] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            rows += _walk(value, f"{prefix}{field.name}.")
        else:
            rows.append((prefix + field.name, value, field))
    return rows


def _build(cls: type[Any], given: Mapping[str, Any], prefix: str) -> Any:
    types = get_type_hints(cls)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            raise UserError(unknown_field(prefix + str(name)))
        if dataclasses.is_dataclass(types[name]):
            if not isinstance(value, Mapping):
                raise UserError(f"config.{prefix}{name} is a group of fields: set one of them.")
            values[name] = _build(types[name], value, f"{prefix}{name}.")
        else:
            values[name] = _cast(_plain(value), types[name], prefix + name)
    return cls(**values)


def unknown_field(name: str) -> str:
    """The message for a field that does not exist, naming the nearest that does."""
    known = [row[0] for row in describe()]
    if name in known:
        group, _, field = name.rpartition(".")
        return f"config.{name} belongs in its group: {{'{group}': {{'{field}': ...}}}}."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean config.{near[0]}?" if near else " run.py --fields lists those that do."
    return f"config.{name} does not exist.{hint}"


def _plain(value: Any) -> Any:
    """Numbers of NumPy, which is not imported for this, as Python's: notebooks have them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _cast(value: Any, wanted: Any, name: str) -> Any:
    """The value in the field's type, or a UserError; an int is a float, a list a tuple."""
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.inf
    if wanted in (int, float, str, bool) and type(value) is wanted:
        return value
    if (
        wanted not in (int, float, str, bool)
        and isinstance(value, list | tuple)
        and all(type(item) is int for item in value)
    ):
        return tuple(value)
    raise UserError(f"config.{name} = {value!r} must be {_KINDS.get(wanted, _LIST)}.")


def fits(value: Any, default: Any) -> bool:
    """Whether a value, as JSON has it, is of the kind that a field with this default takes."""
    try:
        _cast(value, type(default), "")
    except UserError:
        return False
    return True


_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}
_LIST = "a list of integers"


def kind_of(default: Any) -> str:
    """In words, what a field with this default takes."""
    return _KINDS.get(type(default), _LIST)


def encoder_of(settings: Settings) -> str:
    """The encoder that measures a run's samples: `auto` is digits for digits, else inception."""
    if settings.quality.encoder != "auto":
        return settings.quality.encoder
    return "digits" if settings.data.name == "digits" else "inception"
