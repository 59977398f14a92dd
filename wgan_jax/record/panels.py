"""The panels of the dashboard: each draws one thing about a run on one matplotlib axis.

Where there are many epochs, every one is drawn thin and pale and their running median on top.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from wgan_jax.bands import INCEPTION, holds
from wgan_jax.history import Floats, History
from wgan_jax.keys import BY_KEY
from wgan_jax.record import curves
from wgan_jax.record.stability import median_filter, window_for

Panel = Callable[[Axes, History], None]

CRITIC, GENERATOR, REAL, FAKE = "#1f5fa8", "#d2691e", "#6a9fd4", "#8a6fc0"
INK, QUIET, GRID = "#222831", "#6b7480", "#e6e9ed"
GOOD, WARN, BAD = "#2f8a55", "#b8860b", "#c8453b"
TONES = {"good": GOOD, "warn": WARN, "bad": BAD, "quiet": QUIET}
STRETCHES = 2000  # of a long curve, several to a pixel
MANY = 600  # epochs from which the running median is drawn over the single ones
HALO = [withStroke(linewidth=2.5, foreground="white")]  # keeps words legible over curves


def panels(encoder: str, objective: str | None = None) -> list[tuple[str, str, Panel]]:
    """(title, unit, what draws it), row by row; bands are drawn where they hold."""
    inception, wasserstein = (
        holds(only, objective=objective, encoder=encoder) for only in (INCEPTION, "wgan")
    )

    def chart(title: str, draw: Panel) -> tuple[str, str, Panel]:
        return title, curves.unit_of(title, encoder, objective), draw

    return [
        chart("Critic loss", _critic_loss),
        chart("Generator loss", _generator_loss),
        chart("Wasserstein distance", _wasserstein),
        chart("D/G ratio", _ratio(wasserstein)),
        chart("Clip%", _clip),
        chart("Gradient norms", _gradients),
        ("Critic weights", "mean ± std", _weights("critic", CRITIC)),
        ("Generator weights", "mean ± std", _weights("generator", GENERATOR)),
        chart("Time per epoch", _epoch_time),
        chart("FID", _fid(inception)),
        chart("Inception Score", _inception_score(inception)),
        chart("Pixel variance", _pixel_variance),
    ]


def dress(axis: Axes, title: str, unit: str, history: History) -> None:
    axis.set_title(title, loc="left", fontsize=12, weight="bold", color=INK, pad=20)
    axis.annotate(
        unit, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points",
        fontsize=9, color=QUIET,
    )  # fmt: skip
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color("#b8bfc7")
    axis.tick_params(which="both", colors=QUIET, labelsize=9, length=0)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    last = int(history.epochs[-1]) if len(history) else 1
    axis.set_xlim(0, max(1, last) * 1.01)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def finish(axis: Axes) -> None:
    """A legend where there are names, or a word where there is nothing to see."""
    if not axis.lines and not axis.collections:
        _empty(axis, "not measured")
        return
    handles, _ = axis.get_legend_handles_labels()
    if handles:
        axis.legend(
            loc="lower right", bbox_to_anchor=(1.01, 1.0), ncols=3, frameon=False, fontsize=9,
            labelcolor=INK, borderaxespad=0.1, handlelength=1.2, columnspacing=1.0,
        )  # fmt: skip


def _empty(axis: Axes, why: str) -> None:
    """A panel without a curve says why."""
    axis.set_yticks([])
    axis.grid(False)
    axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", color=QUIET, fontsize=11)


def curve(axis: Axes, epochs: NDArray[np.int64], values: Floats, **style: Any) -> None:
    """A curve [n]; of a long one, the least and greatest value of each stretch: what is seen."""
    if len(values) > 2 * STRETCHES:
        epochs, low, high = _stretches(epochs, values, values)
        epochs, values = epochs.repeat(2), np.stack([low, high], axis=1).ravel()
    axis.plot(epochs, values, **style)


def _between(
    axis: Axes, epochs: NDArray[np.int64], low: Floats, high: Floats, **style: Any
) -> None:
    """The area between two curves [n]."""
    if len(epochs) > 2 * STRETCHES:
        epochs, low, high = _stretches(epochs, low, high)
    axis.fill_between(epochs, low, high, alpha=0.15, linewidth=0, **style)


def _stretches(
    epochs: NDArray[np.int64], low: Floats, high: Floats
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """First epoch, least and greatest value of stretches of nearly equal length; [`STRETCHES`]."""
    first = curves.stretches(len(epochs), STRETCHES)[:-1]
    return epochs[first], np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)


def _line(axis: Axes, history: History, key: str, colour: str, label: str | None = None) -> None:
    """The finite values of a key: dots where they are few, a running median where they are many."""
    epochs, values = history.measured(key)
    epochs, values = epochs[np.isfinite(values)], values[np.isfinite(values)]
    if len(values) > MANY:
        curve(axis, epochs, values, color=colour, linewidth=0.5, alpha=0.3)
        values = median_filter(values)
    if len(values):
        dot = "o" if len(values) <= 60 else ""
        style = {"color": colour, "linewidth": 1.5, "marker": dot, "markersize": 3.5}
        curve(axis, epochs, values, label=label, **style)


def _band(axis: Axes, low: float, high: float, name: str) -> None:
    """A shaded range of good values, named inside at the right, behind all else."""
    axis.axhspan(low, high, color=GOOD, alpha=0.10, linewidth=0, zorder=0)
    axis.annotate(
        f"{name} {low}-{high}", (1, high), (-4, -3), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="top", fontsize=8, color=GOOD,
        annotation_clip=True, path_effects=HALO, zorder=5,
    )  # fmt: skip


def _limits(axis: Axes, limits: curves.Limits, left: bool = False) -> None:
    """Dashed lines at those limits that lie inside the panel, each named above it at one end."""
    low, high = axis.get_ylim()
    for value, name, tone in limits:
        if low <= value <= high:
            axis.axhline(value, color=TONES[tone], linewidth=0.9, dashes=(4, 3), zorder=1)
            axis.annotate(
                name, (0 if left else 1, value), (4 if left else -4, 3),
                xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="left" if left else "right", fontsize=8, color=TONES[tone],
                path_effects=HALO, zorder=5,
            )  # fmt: skip


def _log(axis: Axes) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def _focus(axis: Axes, *series: Floats) -> None:
    """Limits that show 99.8 % of the values: one spike must not flatten a run."""
    values = np.concatenate([s[np.isfinite(s)] for s in series])
    if len(values) < 2:
        return
    low, high = np.percentile(values, [0.1, 99.9])
    room = (high - low or abs(high) or 1.0) * 0.08
    axis.set_ylim(low - room, high + room)


def _critic_loss(axis: Axes, history: History) -> None:
    _line(axis, history, "d_loss_real", REAL, "R real")
    _line(axis, history, "d_loss_fake", FAKE, "F fake")
    _line(axis, history, "d_loss", CRITIC, "D")
    _focus(axis, *(history.get(key) for key in ("d_loss_real", "d_loss_fake", "d_loss")))


def _generator_loss(axis: Axes, history: History) -> None:
    _line(axis, history, "g_loss", GENERATOR)
    _focus(axis, history.get("g_loss"))


def _wasserstein(axis: Axes, history: History) -> None:
    epochs, values = history.measured("wasserstein_distance")
    epochs, values = epochs[np.isfinite(values)], values[np.isfinite(values)]
    if len(values) == 0:
        return
    curve(axis, epochs, values, color=REAL, linewidth=0.6, alpha=0.55, label="every epoch")
    smooth = median_filter(values)
    window = window_for(len(values))
    curve(axis, epochs, smooth, color=CRITIC, linewidth=1.8, label=f"median of {window}")
    _focus(axis, values)


def _ratio(wasserstein: bool) -> Panel:
    def draw(axis: Axes, history: History) -> None:
        _, values = history.measured("dg_ratio")
        positive = values[np.isfinite(values) & (values > 0)]
        if len(positive) == 0:
            return
        _log(axis)
        _line(axis, history, "dg_ratio", CRITIC)
        low, high = np.percentile(positive, [0.1, 99.9]) * (1 / 1.5, 1.5)
        axis.set_ylim(min(low, 0.006 if wasserstein else 0.09), max(high, 1.6))
        if wasserstein:
            _band(axis, *curves.RATIO_BAND)
            _limits(axis, curves.RATIO_LIMITS)

    return draw


def _clip(axis: Axes, history: History) -> None:
    _, values = history.measured("clip_ratio")
    if not np.any(values > 0):
        if len(values):
            _empty(axis, "nothing was clipped")
            axis.plot([], [])  # else `finish` would say "not measured"
        return
    _line(axis, history, "clip_ratio", CRITIC)
    axis.set_ylim(0, max(0.25, float(np.nanpercentile(values, 99.9)) * 1.1))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    _limits(axis, curves.CLIP_LIMITS)


def _gradients(axis: Axes, history: History) -> None:
    names = (
        ("critic_grad_norm", CRITIC, "critic"),
        ("generator_grad_norm", GENERATOR, "generator"),
    )
    for key, colour, label in names:
        _, values = history.measured(key)
        if np.any(values > 0):
            _log(axis)
            _line(axis, history, key, colour, label)


def _weights(player: str, colour: str) -> Panel:
    def draw(axis: Axes, history: History) -> None:
        epochs, mean = history.measured(f"{player}_weight_mean")
        _, std = history.measured(f"{player}_weight_std")
        if len(mean) == 0 or len(mean) != len(std):
            return
        _between(axis, epochs, mean - std, mean + std, color=colour, label="μ ± σ")
        curve(axis, epochs, mean, color=colour, linewidth=1.4, label="μ")

    return draw


def _epoch_time(axis: Axes, history: History) -> None:
    _, values = history.measured("epoch_time")
    if len(values) == 0:
        return
    _line(axis, history, "epoch_time", QUIET)
    usual = float(np.median(values))
    # The first chunk holds the compilation, far above the rest: shown only as far as it fits.
    axis.set_ylim(0, max(float(np.percentile(values, 98)) * 1.15, usual * 2))
    rate = history.get("images_per_second")
    speed = f", {np.nanmedian(rate):,.0f} images/s" if np.isfinite(rate).any() else ""
    axis.axhline(usual, color=INK, linewidth=1, label=f"median {usual:.3g} s{speed}")


def _fid(inception: bool) -> Panel:
    def draw(axis: Axes, history: History) -> None:
        epochs, values = history.measured("fid_score")
        if len(values) == 0:
            return
        _line(axis, history, "fid_score", CRITIC)
        best = int(np.argmin(values))
        spec = BY_KEY["fid_score"].format if values[best] >= 10 else ".3g"
        label = f"best {values[best]:{spec}} at {epochs[best]:,}"
        axis.plot(epochs[best], values[best], "o", color=GOOD, markersize=8, label=label)
        axis.set_ylim(0, float(np.percentile(values, 98)) * 1.15 or 1)
        if inception:
            _limits(axis, curves.FID_LIMITS[:2], left=True)
            _limits(axis, curves.FID_LIMITS[2:])

    return draw


def _inception_score(inception: bool) -> Panel:
    def draw(axis: Axes, history: History) -> None:
        epochs, mean = history.measured("inception_score_mean")
        _, std = history.measured("inception_score_std")
        if len(mean) == 0:
            return
        _line(axis, history, "inception_score_mean", CRITIC, "IS")
        if len(std) == len(mean):
            _between(axis, epochs, mean - std, mean + std, color=CRITIC, label="± std")
        if inception:
            axis.set_ylim(1, max(4.5, float(mean.max()) * 1.1))
            _limits(axis, curves.IS_LIMITS)

    return draw


def _pixel_variance(axis: Axes, history: History) -> None:
    _, values = history.measured("pixel_variance")
    if len(values) == 0:
        return
    _line(axis, history, "pixel_variance", CRITIC)
    marks = curves.variance_marks(history)
    axis.set_ylim(0, 1.1 * max(marks["show"][1], float(np.max(values))))
    if "band" in marks:
        _band(axis, *marks["band"])
    _limits(axis, marks["limits"])
