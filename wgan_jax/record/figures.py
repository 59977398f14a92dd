"""Pictures of a run: `dashboard.png`, and the curves of two runs over each other.

matplotlib's objects with the Agg canvas, not pyplot: no display, no global state.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import PercentFormatter

from wgan_jax.errors import printable
from wgan_jax.files import replace_bytes
from wgan_jax.history import History
from wgan_jax.keys import BY_KEY
from wgan_jax.record import pages
from wgan_jax.record.panels import (
    BAD,
    CRITIC,
    FAKE,
    GENERATOR,
    GOOD,
    INK,
    MANY,
    QUIET,
    TONES,
    curve,
    dress,
    finish,
    panels,
)  # fmt: skip
from wgan_jax.record.stability import WINDOW, median_filter

COMPARED = (CRITIC, GENERATOR, GOOD, FAKE, BAD, QUIET)


def dashboard(
    history: History,
    path: Path,
    name: str,
    verdict: str,
    note: str = "",
    encoder: str = "",
    objective: str | None = None,
) -> None:
    """Draw `dashboard.png`.

    Args:
      history: what was measured; panels say "not measured" where it has nothing.
      path: the PNG to write, whole or not at all.
      name: the run's name.
      verdict: one word: stable, unstable, collapsed or not judged.
      note: one line below the title, e.g. what the verdict rests on.
      encoder: what FID and IS were measured with; their bands hold for "inception" only.
      objective: the run's loss; the bands of the D/G ratio hold for Wasserstein's only.
    """
    figure = Figure(figsize=(15, 14), dpi=100, facecolor="white")
    axes = figure.subplots(4, 3)
    figure.subplots_adjust(0.055, 0.04, 0.985, 0.88, wspace=0.2, hspace=0.36)
    drawn = panels(_plain(encoder), objective)
    for axis, (title, unit, draw) in zip(axes.flat, drawn, strict=True):
        dress(axis, title, unit, history)
        draw(axis, history)
        finish(axis)
    for axis in axes[-1]:
        axis.set_xlabel("epoch", fontsize=9, color=QUIET)
    thick = f", thick lines: running median of {WINDOW}" if len(history) > MANY else ""
    epochs = f"{len(history):,} epochs{thick}"
    figure.text(0.055, 0.965, _plain(name), fontsize=20, weight="bold", color=INK, va="center")
    colour = TONES[pages.TONES.get(verdict, "bad")]
    box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "none"}
    figure.text(
        0.985, 0.965, verdict, fontsize=15, weight="bold", color="white", bbox=box,
        ha="right", va="center",
    )  # fmt: skip
    below = f"{note}  ·  {epochs}" if note else epochs
    figure.text(0.055, 0.938, below, fontsize=11, color=QUIET, va="center")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png")
    replace_bytes(path, file.getvalue())


def _plain(name: str) -> str:
    """A run's name for matplotlib, which takes what stands between dollars for a formula.

    Signs that its font lacks are boxes; matplotlib draws them so too, with a warning for each.
    """
    font = get_font(findfont(FontProperties()))
    signs = (sign if font.get_char_index(ord(sign)) else "□" for sign in printable(name))
    return "".join(signs).replace("$", r"\$")


def overlay(histories: Sequence[tuple[str, History]], path: Path, keys: Sequence[str]) -> None:
    """The curves of several runs over each other, one panel a key, written as PNG.

    Args:
      histories: (name, history) of each run, at most six.
      path: the PNG to write.
      keys: metrics to show; those that no run measured are left out.
    """
    shown = [key for key in keys if any(key in history for _, history in histories)]
    rows = max(1, -(-len(shown) // 3))
    figure = Figure(figsize=(15, 3.4 * rows + 0.8), dpi=100, facecolor="white")
    axes = figure.subplots(rows, 3, squeeze=False)
    figure.subplots_adjust(
        0.055, 0.08, 0.985, 1 - 1.0 / (3.4 * rows + 0.8), hspace=0.45, wspace=0.2
    )
    longest = max((history for _, history in histories), key=len)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, key in zip(axes.flat, shown, strict=False):
        metric = BY_KEY[key]
        dress(axis, metric.symbol, metric.meaning.split(":")[0], longest)
        if metric.format.endswith("%"):
            axis.yaxis.set_major_formatter(PercentFormatter(1))
        for (name, history), colour in zip(histories, COMPARED, strict=False):
            epochs, values = history.measured(key)
            smooth = median_filter(values) if len(values) > MANY else values
            dot = "o" if len(values) <= 60 else ""
            style = {"color": colour, "marker": dot, "markersize": 4, "label": _plain(name)}
            curve(axis, epochs, smooth, **style)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.045, 1.0), ncols=6, frameon=False,
        fontsize=12, labelcolor=INK,
    )  # fmt: skip
    note = f"over epochs; running median of {WINDOW} where there are more than {MANY}"
    figure.text(0.985, 0.975, note, fontsize=10, color=QUIET, ha="right", va="center")
    save(figure, path)
