"""The words that every part of the project shares: one table of the 23 charted metrics.

The game reads here what a round measures, and charts, figures and reports the names, symbols,
formats and summaries, so that a metric is added in one place. Plain Python: no jax, no numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wgan_jax.bands import may_be_wasserstein

Group = Literal["losses", "weights", "stability", "speed", "quality"]
Summary = Literal["min", "max", "last"]


@dataclass(frozen=True)
class Metric:
    """One charted quantity.

    Attributes:
      key: name in `metrics.jsonl`, in the history and of its W&B chart.
      symbol: short name on the console and in reports.
      group: which family it belongs to; charts and report sections follow it.
      meaning: one line, with the unit where there is one.
      format: a format spec for `format(value, spec)`; `%` prints a share as a percentage.
      summary: which value of a run stands for it (W&B's summary, the experiment log).
    """

    key: str
    symbol: str
    group: Group
    meaning: str
    format: str = ".4f"
    summary: Summary = "last"


METRICS: tuple[Metric, ...] = (
    Metric("d_loss", "D", "losses", "critic loss, 0.5 (R + F)", ".4f", "min"),
    Metric("d_loss_real", "R", "losses", "critic loss on real images, -mean f(x)", ".4f", "min"),
    Metric("d_loss_fake", "F", "losses", "critic loss on fakes, mean f(G(z))", ".4f", "min"),
    Metric("g_loss", "G", "losses", "generator loss, -mean f(G(z))", ".3f", "min"),
    Metric(
        "wasserstein_distance",
        "W-dist",
        "losses",
        "mean f(x) - mean f(G(z)): the critic's estimate of the distance, up to its slope",
        ".2f",
        "max",
    ),
    Metric("critic_weight_mean", "Critic μ", "weights", "mean of the critic's weights"),
    Metric("critic_weight_std", "Critic σ", "weights", "spread of the critic's weights"),
    Metric("generator_weight_mean", "Gen μ", "weights", "mean of the generator's weights"),
    Metric("generator_weight_std", "Gen σ", "weights", "spread of the generator's weights"),
    Metric("dg_ratio", "D/G Ratio", "stability", "|D| / |G|, 0 where |G| < 1e-10"),
    Metric("clip_ratio", "Clip%", "stability", "share of critic weights at ±clip", ".1%"),
    Metric("loss_variance", "Var", "stability", "variance of D over the last 100 epochs", ".6f"),
    Metric("critic_grad_norm", "Critic ‖∇‖", "stability", "L2 norm of the critic's gradient"),
    Metric("generator_grad_norm", "Gen ‖∇‖", "stability", "L2 norm of the generator's gradient"),
    Metric("epoch_time", "s/epoch", "speed", "seconds per epoch"),
    Metric("images_per_second", "img/s", "speed", "real images through the critic, per s", ".0f"),
    Metric(
        "fid_score", "FID", "quality", "Fréchet distance of features, lower = better", ".1f", "min"
    ),
    Metric(
        "inception_score_mean", "IS", "quality", "Inception Score, mean of splits", ".2f", "max"
    ),
    Metric("inception_score_std", "IS ±", "quality", "Inception Score, std over splits", ".2f"),
    Metric("pixel_variance", "PixVar", "quality", "variance over samples, mean over pixels"),
    Metric("generated_image_mean", "Image μ", "quality", "mean of generated pixels in [-1, 1]"),
    Metric("generated_image_std", "Image σ", "quality", "spread of generated pixels in [-1, 1]"),
    Metric("generated_images", "Samples", "quality", "grid of samples from fixed latents", ""),
)

BY_KEY: dict[str, Metric] = {metric.key: metric for metric in METRICS}


# What other losses than Wasserstein's are of the scores f; `gan/objectives` computes them.
_GAP = (
    "mean f(x) - mean f(G(z)): the gap of the critic's scores, a distance for Wasserstein losses "
    "only"
)
FORMULAS: dict[str, dict[str, str]] = {
    "nsgan": {
        "d_loss_real": "critic loss on real images, mean log(1 + exp(-f(x)))",
        "d_loss_fake": "critic loss on fakes, mean log(1 + exp(f(G(z))))",
        "g_loss": "generator loss, mean log(1 + exp(-f(G(z))))",
    },
    "hinge": {
        "d_loss_real": "critic loss on real images, mean max(0, 1 - f(x))",
        "d_loss_fake": "critic loss on fakes, mean max(0, 1 + f(G(z)))",
    },
}


def meaning(key: str, objective: str | None = None) -> str:
    """What a charted metric is under that objective; under none, as for Wasserstein losses."""
    if key == "wasserstein_distance" and not may_be_wasserstein(objective):
        return _GAP
    return FORMULAS.get(objective or "", {}).get(key, BY_KEY[key].meaning)


def shown(key: str, value: float) -> str:
    """A value of a charted metric in the metric's format."""
    return format(value, BY_KEY[key].format)


# What run.py weights calls the one file with which published figures are measured.
PUBLIC_WEIGHTS = "inception-2015-12-05"


def measured_by(encoder: str, weights: str) -> str:
    """The name that figures go by: the encoder's; `inception:NAME` where not the public weights'.

    Args:
      encoder: `inception`, `digits` or `none`.
      weights: name of its weights; "" for those that it has by default.
    """
    usual = encoder != "inception" or weights in ("", PUBLIC_WEIGHTS)
    return encoder if usual else f"{encoder}:{weights}"


def encoder_mark(encoder: str | None) -> str:
    """What follows the names of FID, IS and KID: `[digits]`; nothing for Inception's, the usual.

    Args:
      encoder: as `measured_by` has it.
    """
    return f"[{encoder}]" if encoder not in ("inception", "none", "", None) else ""


# What the device measures in every round, in the order in which it is stacked.
ROUND_KEYS: tuple[str, ...] = tuple(
    metric.key for metric in METRICS if metric.group in ("losses", "weights", "stability")
)

# What the evaluator measures every `quality_every` epochs (numbers only: the grid is a picture).
QUALITY_KEYS: tuple[str, ...] = tuple(
    metric.key for metric in METRICS if metric.group == "quality" and metric.format
)

# Measured in every round beside the 23, by the objectives that have them.
ROUND_EXTRAS: tuple[str, ...] = ("d_accuracy", "g_accuracy", "gradient_penalty")

# Measured with the samples beside the 23, where a run has them or `evaluate` is asked for them.
QUALITY_EXTRAS: tuple[str, ...] = (
    "kid_mean",
    "kid_std",
    "precision",
    "recall",
    "real_pixel_variance",
    "critic_overfit",
)

# All that is measured beside the 23; never a chart of the 23.
EXTRA_KEYS: tuple[str, ...] = (*ROUND_EXTRAS, *QUALITY_EXTRAS)
