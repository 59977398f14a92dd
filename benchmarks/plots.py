"""The plots of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

OURS, THEIRS, MEMORY = "#2a6fbb", "#b9bec6", "#c0803a"
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


def _rounds(figures: dict[str, Any]) -> Figure:
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


# part of the growth -> (its size, the times drawn, the memory drawn, what the times are of)
GROWTH = {
    "batch": ("batch", ("seconds",), "scratch_mb", "s a round"),
    "resolution": ("resolution", ("seconds",), "scratch_mb", "s a round"),
    "dataset": ("images", ("seconds",), "scratch_mb", "s a round"),
    "epochs": ("epochs", ("history", "judge", "lines"), "", "s for the last 1,000 epochs"),
    "reports": ("epochs", ("seconds",), "memory_mb", "s for a report"),
}
LABELS = {"images": "images in the dataset", "seconds": "time", "resolution": "height and width"}


def _growth(figures: dict[str, Any]) -> Figure:
    """Time and memory against size, all logarithmic, with what in proportion would be."""
    figure, panels = plt.subplots(3, 2, figsize=(8, 7.5))
    panels.flat[-1].set_visible(False)
    for axes, (part, (key, times, memory, unit)) in zip(panels.flat, GROWTH.items(), strict=False):
        sizes = [row[key] for row in figures[part]]
        for name in times:
            values = [row[name] for row in figures[part]]
            axes.loglog(sizes, values, "o-", ms=4, label=LABELS.get(name, name))
        if part in ("batch", "resolution"):
            power = {"batch": 1, "resolution": 2}[part]
            first = figures[part][0]["seconds"]
            fair = [first * (size / sizes[0]) ** power for size in sizes]
            axes.loglog(sizes, fair, ":", color="#888", label="in proportion to pixels")
        _plain_scales(axes, sizes)
        _dress(axes, LABELS.get(key, key), unit)
        handles, labels = axes.get_legend_handles_labels()
        if memory:
            beside = axes.twinx()
            values = [row[memory] for row in figures[part]]
            handles += beside.loglog(sizes, values, "s--", ms=3, color=MEMORY, label="memory")
            labels.append("memory")
            _plain_scales(beside, sizes)
            _dress(beside, "", "MB")
        axes.legend(handles, labels, fontsize=7, frameon=False)
    return figure


def _dress(axes: Axes, below: str, beside: str) -> None:
    if below:
        axes.set_xlabel(below, fontsize=8)
    axes.set_ylabel(beside, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines["top"].set_visible(False)


def _plain_scales(axes: Axes, sizes: list[int]) -> None:
    """The sizes themselves below, and at least two decades of seconds at the side."""
    small = [str(size) if size < 10_000 else f"{size:.0e}".replace("e+0", "e") for size in sizes]
    axes.set_xticks(sizes, small)
    axes.minorticks_off()
    low, high = axes.get_ylim()
    middle = (low * high) ** 0.5
    axes.set_ylim(min(low, middle / 10), max(high, middle * 10))
    axes.yaxis.set_major_locator(LogLocator())


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
