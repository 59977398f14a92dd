"""The curves of a run as data for the page's charts: thinned out, never smoothed away.

Each point of a thinned curve stands for a stretch of epochs: its median, least and greatest value.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.history import History
from wgan_jax.keys import BY_KEY

POINTS = 600  # at most so many points a curve; shorter runs are shown whole
DIGITS = 5  # significant digits kept

Floats = NDArray[np.float64]


def charts(history: History, inception: bool) -> dict[str, Any]:
    """What the page's script draws: plain values, ready for JSON.

    `x` holds the last epoch of each stretch. A chart has `title`, `unit`, `log`, `percent`,
    `limits` [[value, name, colour]], `band` [low, high, name], `show` [low, high] that the axis
    reaches in any case, and `series` of `name`, `colour`, `last` and `y`, with `lo` and `hi` where
    a point is a stretch, and its own `x` where it is sparse.
    """
    edges = stretches(len(history))
    found = []
    for title, unit, names, style in _table(inception):
        series = [
            _series(history, edges, key, label, colour)
            for key, label, colour in names
            if np.isfinite(history.get(key)).any()
        ]
        if series:
            found.append({"title": title, "unit": unit, "series": series, **style})
    return {"x": [int(history.epochs[end - 1]) for end in edges[1:]], "charts": found}


def stretches(n: int) -> NDArray[np.int64]:
    """Borders [points + 1] of at most `POINTS` stretches of nearly equal length over n epochs."""
    return np.linspace(0, n, min(n, POINTS) + 1).round().astype(np.int64)


def _series(
    history: History, edges: NDArray[np.int64], key: str, label: str, colour: str
) -> dict[str, Any]:
    values = np.where(np.isfinite(history.get(key)), history.get(key), np.nan)
    last = _short(values[~np.isnan(values)][-1:])[0]
    series: dict[str, Any] = {"name": label, "colour": colour, "last": last}
    if BY_KEY[key].group == "quality":
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


Names = tuple[tuple[str, str, str], ...]


def _table(inception: bool) -> list[tuple[str, str, Names, dict[str, Any]]]:
    """(title, unit, series, style) of each chart, in the order of the page."""
    fid = [[50, "excellent below 50", "good"], [100, "good below 100", "quiet"]]
    fid += [[200, "moderate below 200", "quiet"], [400, "poor above 400", "bad"]]
    score = [[2, "limited below 2", "warn"], [4, "good above 4", "good"]]
    clip = [[0.2, "20 %: above it early is normal", "quiet"]]
    clip += [[0.5, "50 %: raise the threshold if it stays above", "warn"]]
    ratio = [[1, "above 1: critic strong", "warn"], [0.01, "below 0.01: possible collapse", "bad"]]
    losses = (("d_loss_real", "R", "real"), ("d_loss_fake", "F", "fake"), ("d_loss", "D", "critic"))
    norms = (
        ("critic_grad_norm", "critic", "critic"),
        ("generator_grad_norm", "generator", "generator"),
    )
    sigmas = (
        ("critic_weight_std", "critic σ", "critic"),
        ("generator_weight_std", "gen σ", "generator"),
    )
    means = (
        ("critic_weight_mean", "critic μ", "critic"),
        ("generator_weight_mean", "gen μ", "generator"),
    )
    pixels = {
        "show": [0, 0.5],
        "band": [0.2, 0.5, "healthy"],
        "limits": [[0.1, "mode collapse below 0.1", "bad"]],
    }

    image = (("generated_image_mean", "μ", "critic"), ("generated_image_std", "σ", "fake"))

    def one(key: str, colour: str = "critic") -> Names:
        return ((key, BY_KEY[key].symbol, colour),)

    return [
        ("Wasserstein distance", "the critic's estimate", one("wasserstein_distance"), {}),
        ("Critic loss", "D = ½ (R + F)", losses, {}),
        ("Generator loss", "−mean f(G(z))", one("g_loss", "generator"), {}),
        ("FID", "lower is better", one("fid_score"), {"zero": True, "limits": fid * inception}),
        ("Inception Score", "higher is better", one("inception_score_mean"),
         {"limits": score * inception}),
        ("Pixel variance", "diversity of samples", one("pixel_variance"), {"zero": True, **pixels}),
        ("D/G ratio", "|D| / |G|, log scale", one("dg_ratio"),
         {"log": True, "show": [0.03, 1.5], "band": [0.05, 0.1, "balanced"], "limits": ratio}),
        ("Clip%", "critic weights at ±clip", one("clip_ratio"),
         {"zero": True, "percent": True, "limits": clip}),
        ("Gradient norms", "L2, log scale", norms, {"log": True}),
        ("Loss variance", "of D over 100 epochs, log scale", one("loss_variance"), {"log": True}),
        ("Weights: spread", "standard deviation", sigmas, {"zero": True}),
        ("Weights: mean", "should stay near 0", means, {}),
        ("Time per epoch", "seconds", one("epoch_time", "quiet"), {"zero": True, "clip": True}),
        ("Speed", "real images through the critic per second", one("images_per_second", "quiet"),
         {"zero": True}),
        ("Generated pixels", "in [-1, 1]", image, {}),
    ]  # fmt: skip
