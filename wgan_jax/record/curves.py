"""The curves of a run as data for the page's charts: thinned out, never smoothed away.

Each point of a thinned curve stands for a stretch of epochs: its median, least and greatest value.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.bands import ALIKE, INCEPTION, alike_below, holds, may_be_wasserstein, may_clip
from wgan_jax.history import Floats, History
from wgan_jax.keys import BY_KEY, QUALITY_EXTRAS, QUALITY_KEYS, encoder_mark, meaning

POINTS = 600  # at most so many points a curve; shorter runs are shown whole
DIGITS = 5  # significant digits kept

Limits = tuple[tuple[float, str, str], ...]  # (value, name, colour), shown by the dashboard too


def charts(history: History, encoder: str, objective: str | None = None) -> dict[str, Any]:
    """What the page's script draws: plain values, ready for JSON.

    Args:
      history: what was measured.
      encoder: what FID and IS were measured with; their limits hold for Inception only.
      objective: the run's loss; the limits of the D/G ratio hold for Wasserstein's only.

    Returns:
      `x`, the last epoch of each stretch, and `charts`. A chart has `title`, `unit`, `log`,
      `percent`, `limits` [[value, name, colour]], `band` [low, high, name], `show` [low, high] that
      the axis reaches in any case, and `series` of `name`, `colour`, `last` and `y`, with `lo` and
      `hi` where a point is a stretch, and its own `x` where it is sparse.
    """
    edges = stretches(len(history))
    found = []
    for chart in CHARTS:
        series = [
            _series(history, edges, key, label, colour)
            for key, label, colour in chart.series
            if np.isfinite(history.get(key)).any()
        ]
        if not series or (chart.title == "Clip%" and not may_clip(objective)):
            continue
        unit, style = unit_of(chart.title, encoder, objective), chart.style
        if not holds(chart.only, objective=objective, encoder=encoder):
            style = _without_marks(style)
        if chart.title == "Pixel variance":
            style = _without_marks(style) | variance_marks(history)
        found.append({"title": chart.title, "unit": unit, "series": series, **style})
    return {"x": [int(history.epochs[end - 1]) for end in edges[1:]], "charts": found}


def unit_of(title: str, encoder: str, objective: str | None) -> str:
    """What is on the y axis of a chart, in a run of that objective, measured by that encoder."""
    (chart,) = (chart for chart in CHARTS if chart.title == title)
    unit = chart.unit
    if title == "Generator loss":
        unit = "G = " + meaning("g_loss", objective).partition(", ")[2].replace("-", "−")
    elif title == "Wasserstein distance" and not may_be_wasserstein(objective):
        unit = "gap of the critic's scores"
    return f"by {encoder}; {unit}" if chart.only == INCEPTION and encoder_mark(encoder) else unit


def _without_marks(style: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in style.items() if name not in MARKS}


def variance_marks(history: History) -> dict[str, Any]:
    """Limits and band of pixel variance: the guide's, which are those of natural images.

    Where the data differ so little that they are none, half of their own is the limit.
    """
    least = alike_below(history.measured("real_pixel_variance")[1].tolist())
    if least == ALIKE:
        return VARIANCE_MARKS
    words = f"mode collapse below {least:.2g}, half of the data's"
    return {"limits": ((least, words, "bad"),), "show": [0, 4 * least]}


def stretches(n: int, most: int = POINTS) -> NDArray[np.int64]:
    """Borders [points + 1] of at most `most` stretches of nearly equal length over n epochs."""
    return np.linspace(0, n, min(n, most) + 1).round().astype(np.int64)


def _series(
    history: History, edges: NDArray[np.int64], key: str, label: str, colour: str
) -> dict[str, Any]:
    values = np.where(np.isfinite(history.get(key)), history.get(key), np.nan)
    last = _short(values[~np.isnan(values)][-1:])[0]
    series: dict[str, Any] = {"name": label, "colour": colour, "last": last}
    if key in (*QUALITY_KEYS, *QUALITY_EXTRAS):
        known = ~np.isnan(values)
        series |= {"x": history.epochs[known].tolist(), "y": _short(values[known])}
        if key == "inception_score_mean" and "inception_score_std" in history:
            spread = history["inception_score_std"][known]
            series |= {"lo": _short(values[known] - spread), "hi": _short(values[known] + spread)}
        return series
    if len(edges) - 1 == len(values):
        return series | {"y": _short(values)}
    least, middle, most = _summaries(values, edges)
    return series | {"y": _short(middle), "lo": _short(least), "hi": _short(most)}


def _summaries(values: Floats, edges: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """(least, median, greatest) [points] of each stretch; NaN where nothing in it was finite."""
    found = np.full((3, len(edges) - 1), np.nan)
    for i, (begin, end) in enumerate(itertools.pairwise(edges.tolist())):
        part = values[begin:end]
        part = part[~np.isnan(part)]
        if len(part):
            found[:, i] = part.min(), np.median(part), part.max()
    return found[0], found[1], found[2]


def _short(values: Floats) -> list[float | None]:
    """Numbers of a few digits, None for gaps."""
    return [None if np.isnan(v) else float(f"{v:.{DIGITS}g}") for v in values.tolist()]


@dataclass(frozen=True)
class Chart:
    """One chart of the page.

    Attributes:
      title, unit: its heading, and what is on the y axis.
      series: (key, name, colour) of each curve.
      style: see `charts`.
      only: where alone its limits and its band hold; see `bands.Band`.
    """

    title: str
    unit: str
    series: tuple[tuple[str, str, str], ...]
    style: dict[str, Any] = field(default_factory=dict)
    only: str = ""


def _one(key: str, colour: str = "critic") -> tuple[tuple[str, str, str], ...]:
    return ((key, BY_KEY[key].symbol, colour),)


def _both(key: str, symbol: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((f"{who}_{key}", f"{who} {symbol}", who) for who in ("critic", "generator"))


LOSSES = (("d_loss_real", "R", "real"), ("d_loss_fake", "F", "fake"), ("d_loss", "D", "critic"))
PIXELS = (("generated_image_mean", "μ", "critic"), ("generated_image_std", "σ", "fake"))
ACCURACIES = (("d_accuracy", "D", "critic"), ("g_accuracy", "G", "generator"))
ACCURACY_LIMITS: Limits = (
    (0.505, "50 %: collapse if D sticks there", "quiet"),
    (0.99, "99 %: collapse if G is above", "bad"),
)
FID_LIMITS: Limits = (
    (50, "excellent below 50", "good"),
    (100, "good below 100", "quiet"),
    (200, "moderate below 200", "quiet"),
    (400, "poor above 400", "bad"),
)
IS_LIMITS: Limits = ((2, "limited below 2", "warn"), (4, "good above 4", "good"))
VARIANCE_MARKS = {
    "show": [0, 0.5],
    "band": (0.2, 0.5, "healthy"),
    "limits": ((ALIKE, f"mode collapse below {ALIKE}", "bad"),),
}
MARKS = ("limits", "band")  # of a style, what goes where they do not hold
RATIO_LIMITS: Limits = (
    (1, "above 1: critic strong", "warn"),
    (0.01, "below 0.01: possible collapse", "bad"),
)
RATIO_BAND = (0.05, 0.1, "balanced")
OVERFIT_LIMITS: Limits = (
    (0, "0: held-out images score as trained ones", "quiet"),
    (1, "1: held-out images score as samples", "bad"),
)
CLIP_LIMITS: Limits = (
    (0.2, "20 %: above it early is normal", "quiet"),
    (0.5, "50 %: raise the threshold if it stays above", "warn"),
)
CHARTS = (
    Chart("Wasserstein distance", "the critic's estimate", _one("wasserstein_distance")),
    Chart("Critic loss", "D = ½ (R + F)", LOSSES),
    Chart("Generator loss", "G", _one("g_loss", "generator")),
    Chart(
        "FID", "lower is better", _one("fid_score"), {"zero": True, "limits": FID_LIMITS}, INCEPTION
    ),
    Chart(
        "Inception Score",
        "higher is better",
        _one("inception_score_mean"),
        {"limits": IS_LIMITS},
        INCEPTION,
    ),
    Chart(
        "Pixel variance",
        "diversity of samples",
        _one("pixel_variance"),
        {"zero": True, **VARIANCE_MARKS},
    ),
    Chart(
        "Overfitting",
        "of the critic",
        (("critic_overfit", "Overfit", "critic"),),
        {"zero": True, "show": [0, 1], "limits": OVERFIT_LIMITS},
    ),
    Chart(
        "D/G ratio",
        "|D| / |G|, log scale",
        _one("dg_ratio"),
        {"log": True, "show": [0.03, 1.5], "band": RATIO_BAND, "limits": RATIO_LIMITS},
        "wgan",
    ),
    Chart(
        "Clip%",
        "critic weights at ±clip",
        _one("clip_ratio"),
        {"zero": True, "percent": True, "limits": CLIP_LIMITS},
    ),
    Chart(
        "Accuracies",
        "D: told right, G: taken for real",
        ACCURACIES,
        {"zero": True, "percent": True, "show": [0, 1], "limits": ACCURACY_LIMITS},
    ),
    Chart("Gradient norms", "L2, log scale", _both("grad_norm", "‖∇‖"), {"log": True}),
    Chart("Loss variance", "of D over 100 epochs", _one("loss_variance"), {"log": True}),
    Chart("Weights: spread", "standard deviation", _both("weight_std", "σ"), {"zero": True}),
    Chart("Weights: mean", "should stay near 0", _both("weight_mean", "μ")),
    Chart("Time per epoch", "seconds", _one("epoch_time", "quiet"), {"zero": True, "clip": True}),
    Chart("Speed", "real images per second", _one("images_per_second", "quiet"), {"zero": True}),
    Chart("Generated pixels", "in [-1, 1]", PIXELS),
)
