"""The plots of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator

OURS, THEIRS = "#2a6fbb", "#b9bec6"
SHORT = {
    "ours": "wgan-jax",
    "torch": "PyTorch",
    "torch_phases": "PyTorch, folded",
    "keras": "Keras loop",
    "keras_on_batch": "Keras loop, on_batch",
}


def draw(found: dict[str, Any], folder: Path) -> None:
    """Write the plots of the parts that were measured."""
    if "rounds" in found:
        _save(_rounds(found["rounds"]["figures"]), folder / "performance_rounds.png")
    if "growth" in found:
        _save(_growth(found["growth"]["figures"]), folder / "performance_growth.png")


def _rounds(figures: dict[str, Any]) -> plt.Figure:
    """A bar for each contestant, its whisker from least to greatest."""
    heights = [len(rows) for rows in figures.values()]
    size = (7, 0.32 * sum(heights) + 0.55 * len(heights))
    figure, _ = plt.subplots(len(figures), 1, figsize=size, height_ratios=heights)
    for axes, (name, rows) in zip(figure.axes, figures.items(), strict=True):
        for place, (entrant, row) in enumerate(rows.items()):
            low, high = row["median"] - row["least"], row["greatest"] - row["median"]
            color = OURS if entrant == "ours" else THEIRS
            axes.barh(place, row["median"], color=color, xerr=[[low], [high]], ecolor="#555")
        axes.set_yticks(range(len(rows)), [SHORT[entrant] for entrant in rows])
        axes.invert_yaxis()
        experiment, batch = name.split()
        axes.set_title(f"{experiment}, batch {batch}: seconds a round", fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _growth(figures: dict[str, Any]) -> plt.Figure:
    """Time against size, both logarithmic, with what in proportion would be."""
    figure, panels = plt.subplots(2, 2, figsize=(7, 5))
    lines = {
        "batch": ("batch", {"round": "seconds"}),
        "resolution": ("resolution", {"round": "seconds"}),
        "dataset": ("images", {"round": "seconds"}),
        "epochs": ("epochs", {key: key for key in ("history", "judge", "lines")}),
    }
    for axes, (part, (key, series)) in zip(panels.flat, lines.items(), strict=True):
        sizes = [row[key] for row in figures[part]]
        for label, column in series.items():
            axes.loglog(sizes, [row[column] for row in figures[part]], "o-", ms=4, label=label)
        if part in ("batch", "resolution"):
            power = {"batch": 1, "resolution": 2}[part]
            first = figures[part][0]["seconds"]
            fair = [first * (size / sizes[0]) ** power for size in sizes]
            axes.loglog(sizes, fair, ":", color="#888", label="in proportion to pixels")
        _plain_scales(axes, sizes)
        axes.set_xlabel({"images": "images in the dataset"}.get(key, key), fontsize=8)
        seconds = "s for the last 1,000 epochs" if part == "epochs" else "s a round"
        axes.set_ylabel(seconds, fontsize=8)
        axes.legend(fontsize=7, frameon=False)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _plain_scales(axes: plt.Axes, sizes: list[int]) -> None:
    """The sizes themselves below, and at least two decades of seconds at the side."""
    small = [str(size) if size < 10_000 else f"{size:.0e}".replace("e+0", "e") for size in sizes]
    axes.set_xticks(sizes, small)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    middle = (low * high) ** 0.5
    axes.set_ylim(min(low, middle / 10), max(high, middle * 10))
    axes.yaxis.set_major_locator(LogLocator())


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
