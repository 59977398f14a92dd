"""Settings of a run: every field with its default, its meaning and what it may be.

The one list of fields, of which `config` makes a ConfigDict, and whose values it resolves. Frozen,
and known to every wing. Imports neither jax nor TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from wgan_jax.keys import measured_by
from wgan_jax.limits import (
    BLOCKS,
    CHANGES,
    COUNT,
    FRACTION,
    INITS,
    NONE_OR_SOME,
    OBJECTIVES,
    POOLINGS,
    POSITIVE,
    SHARE,
    Rule,
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


@dataclass(frozen=True)
class DataSettings:
    """Where the real images come from."""

    name: str = _field("digits", "digits, tfds:<name>, folder:<path>, or arrays (from Python)")
    split: str = _field("train", "split of a TFDS dataset")
    classes: str = _field("", "comma-separated class names to keep, e.g. horse; empty: all")
    cache_dir: str = _field("", "where prepared datasets lie; empty: TFDS's own", result=False)
    flip: bool = _field(False, "mirror each drawn image left-right with probability 1/2")
    dequantize: bool = _field(
        False, "add noise to the real images, below one step of their 8 bits, anew at each draw"
    )
    held_out: int = _field(
        0,
        "so many images, evenly over all, are not trained on: the critic's scores of them tell "
        "whether it overfits, and the judge whether that matters; 0: none",
        NONE_OR_SOME,
        most=10**5,
    )
    held_out_split: str = _field(
        "", "split of a TFDS dataset to take these from, e.g. test; empty: the images themselves"
    )
    stream: bool = _field(
        False, "read images while training, where they do not fit on the device", result=False
    )
    workers: int = _field(2, "streaming: processes that decode; 0: threads", most=256, result=False)


@dataclass(frozen=True)
class CriticSettings:
    """The critic: a stack of convolutions, or of residual blocks, and one dense output."""

    blocks: str = _field(
        "plain", "what layers are: plain (a convolution) or residual (two, and a shortcut)", BLOCKS
    )
    filters: tuple[int, ...] = _field((32, 64, 128, 128), "output channels of each layer")
    strides: tuple[int, ...] = _field(
        (2, 2, 2, 1), "stride of each layer; of residual blocks, of their mean pool"
    )
    kernel: int = _field(5, "kernel size in pixels", COUNT, most=64)
    kernels: tuple[int, ...] = _field((), "kernel size of each layer; empty: kernel for all")
    pooling: str = _field(
        "none", "of the last features over the image, before the score: none, mean or sum", POOLINGS
    )
    normalization: str = _field(
        "none",
        "none, layer, batch (weight clipping cuts its scales) or spectral (of the weights)",
        ("none", "layer", "batch", "spectral"),
    )
    activation: str = _field("leaky_relu", "leaky_relu or relu", ("leaky_relu", "relu"))
    leak: float = _field(0.2, "slope of leaky_relu below 0")
    dropout: float = _field(0.0, "share of features dropped after each layer", SHARE)
    bias: bool = _field(True, "biases in the convolutions")
    score_bias: bool = _field(True, "a bias in the dense layer behind them, added to all scores")
    init: str = _field("normal", "first weights: normal, of init_std, or glorot (uniform)", INITS)
    init_std: float = _field(0.02, "standard deviation of the initial weights", POSITIVE)

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """The kernel size of each layer."""
        return self.kernels or (self.kernel,) * len(self.filters)


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator: dense to a small image, then layers that double it."""

    blocks: str = _field(
        "plain", "what layers are: plain (a convolution) or residual (two, and a shortcut)", BLOCKS
    )
    base_filters: int = _field(
        128, "channels of the small image that the dense layer makes", COUNT, most=10**4
    )
    filters: tuple[int, ...] = _field((128, 64, 32), "output channels of each doubling layer")
    kernel: int = _field(5, "kernel size in pixels", COUNT, most=64)
    output_kernel: int = _field(
        0, "kernel size of the last layer, to pixels; 0: as kernel", most=64
    )
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
    bias: bool = _field(True, "biases in the convolutions; the last always has one")
    init: str = _field("normal", "first weights: normal, of init_std, or glorot (uniform)", INITS)
    init_std: float = _field(0.02, "standard deviation of the initial weights", POSITIVE)
    fakes_statistics: str = _field(
        "batch",
        "what batch norm uses in fakes for the critic: batch statistics (WGAN authors' code) or "
        "running averages (the guide)",
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

    warm_epochs: int = _field(0, "so many epochs at the start have a long critic phase; 0: none")
    period: int = _field(0, "every so many epochs one has a long critic phase; 0: none")
    long: int = _field(100, "critic updates in a long critic phase", COUNT, most=10**4)

    @property
    def varies(self) -> bool:
        """Whether any epoch may be long."""
        return self.warm_epochs > 0 or self.period > 0

    def is_long(self, epoch: Any) -> Any:
        """Whether an epoch, a number or an array, is long."""
        warm = epoch < self.warm_epochs
        return warm | (epoch % self.period == 0) if self.period else warm

    def count_long(self, end: int) -> int:
        """Long epochs among 0 ... end - 1."""
        warm = min(self.warm_epochs, end)
        if not self.period:
            return warm
        return warm + -(-end // self.period) - -(-warm // self.period)


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
        1, "fakes in a generator update, as a multiple of batch_size", COUNT, most=10**3
    )
    n_critic: int = _field(5, "critic updates per epoch", COUNT, most=10**4)
    clip: float = _field(
        0.01, "objective wgan: critic weights are clipped to [-clip, clip]", POSITIVE
    )
    objective: str = _field("wgan", ", ".join(OBJECTIVES), tuple(OBJECTIVES))
    gradient_penalty: float = _field(10.0, "objective wgan_gp: weight of the penalty")
    augmentation: str = _field(
        "",
        "of all that the critic sees, real images and fakes: some of color, translation, cutout, "
        "e.g. color,translation; empty: none. For few images (Zhao et al. 2020)",
        CHANGES,
    )
    latent_dim: int = _field(
        100, "length of the generator's input, drawn from N(0, 1)", COUNT, most=10**5
    )
    image_size: int = _field(32, "height and width in pixels", COUNT, most=1024)
    precision: str = _field(
        "tf32",
        "of products and convolutions: tf32 (each device's default: TF32 on GPUs, bfloat16 on "
        "TPUs, float32 on CPUs), float32 or bfloat16 (the fastest on GPUs, at some cost: "
        "docs/performance.md); weights, statistics and losses are always float32",
        ("float32", "tf32", "bfloat16"),
    )
    devices: int = _field(0, "devices that share every batch; 0: all there are", result=False)
    ema: float = _field(0.0, "decay of the averaged generator used for samples; 0: off", SHARE)
    init_from: str = _field("", "a workdir or checkpoint to take the initial weights from")
    on_failure: str = _field(
        "warn",
        "what a run that is judged failing does: warn, stop or rollback (to a healthy checkpoint)",
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
    data: DataSettings = DataSettings()
    critic: CriticSettings = CriticSettings()
    generator: GeneratorSettings = GeneratorSettings()
    critic_optimizer: OptimizerSettings = OptimizerSettings()
    generator_optimizer: OptimizerSettings = OptimizerSettings()
    n_critic_schedule: NCriticSchedule = NCriticSchedule()
    quality: QualitySettings = QualitySettings()
    wandb: WandbSettings = WandbSettings()


def critic_updates(settings: Settings, first: int, rounds: int) -> int:
    """Critic updates in so many rounds from the epoch `first` on."""
    schedule = settings.n_critic_schedule
    long = schedule.count_long(first + rounds) - schedule.count_long(first)
    return long * schedule.long + (rounds - long) * settings.n_critic


def encoder_of(settings: Settings) -> str:
    """The encoder that measures a run's samples: `auto` is digits for digits, else inception."""
    if settings.quality.encoder != "auto":
        return settings.quality.encoder
    return "digits" if settings.data.name == "digits" else "inception"


def figures_by(settings: Settings) -> str:
    """The name that a run's figures go by (`keys.measured_by`)."""
    return measured_by(encoder_of(settings), settings.quality.weights)
