"""Pictures of samples: a grid as PNG, and a run's grids as one looping GIF.

Sample grids are named `epoch_000500.png`, where 500 epochs were trained before they were drawn.
Beside them lies one of real images.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wgan_jax.files import replace_bytes

REALS = "reals.png"  # what samples should look like, and what was read of the data
MIN_WIDTH = 512  # pixels; smaller grids are enlarged, for 8x8 digits cannot be read otherwise
GAP = 2  # pixels between images, after enlarging
PAPER = 255  # what shows between images and in empty places: white
MAX_FRAMES = 60
FRAME_MS, LAST_FRAME_MS = 150, 2000


def grid_path(folder: Path, epoch: int) -> Path:
    """Where the grid drawn after `epoch` epochs lies; the names sort as the epochs do."""
    return folder / f"epoch_{epoch:06d}.png"


def epochs_in_name(path: Path) -> int:
    """The epochs trained before a grid was drawn, from its name."""
    match = re.fullmatch(r"epoch_(\d+)", path.stem)
    if not match:
        raise ValueError(f"{path.name} is not the name of a sample grid (epoch_000500.png)")
    return int(match[1])


def grid_paths(folder: Path, epochs: float = math.inf) -> list[Path]:
    """The sample grids in a folder, by epoch.

    Args:
      folder: where they lie.
      epochs: what the run has played; a rollback leaves grids that were drawn after more.
    """
    found = [path for path in folder.glob("epoch_*.png") if path.stem[6:].isdigit()]
    return sorted((path for path in found if epochs_in_name(path) <= epochs), key=epochs_in_name)


def grid(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images [n, H, W, C] in rows of `columns`, C being 1 or 3; uint8 [rows H', columns W', 3].

    Each pixel becomes a square of whole size (no smoothing), so that the grid is about `MIN_WIDTH`
    wide or more.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"images must be uint8 [n, H, W, 1 or 3], not {images.dtype} {images.shape}"
        )
    n, height, width, _ = images.shape
    if n < 1 or columns < 1:
        raise ValueError("a grid needs at least one image and one column")
    columns = min(columns, n)
    scale = max(1, round(MIN_WIDTH / (columns * width)))
    tall, wide = height * scale + GAP, width * scale + GAP
    rows = -(-n // columns)
    page = np.full((rows * tall + GAP, columns * wide + GAP, 3), PAPER, np.uint8)
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    for i, image in enumerate(large):
        top, left = GAP + i // columns * tall, GAP + i % columns * wide
        page[top : top + tall - GAP, left : left + wide - GAP] = image
    return page


def save_grid(images: NDArray[np.uint8], path: Path, columns: int) -> NDArray[np.uint8]:
    """Write the grid of `images` as PNG, whole or not at all; returns its pixels (see `grid`)."""
    page = grid(images, columns)
    file = io.BytesIO()
    Image.fromarray(page).save(file, "PNG")  # `optimize` takes ten times as long for the same size
    replace_bytes(path, file.getvalue())
    return page


def save_progress(paths: Sequence[Path], path: Path) -> None:
    """Write the grids at `paths` as a GIF that loops, the epoch under each, the last one longest.

    Of more than `MAX_FRAMES` grids, evenly spaced ones are taken, the first and last among them.
    """
    if not paths:
        raise ValueError("no sample grids to make a looping picture of")
    chosen = evenly(sorted(paths, key=epochs_in_name), MAX_FRAMES)
    frames = [_frame(source) for source in chosen]
    file = io.BytesIO()
    frames[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS],
        loop=0,
        disposal=1,
    )
    replace_bytes(path, file.getvalue())


def evenly(items: Sequence[Path], most: int) -> list[Path]:
    """At most `most` of the items, evenly spaced, the first and the last among them."""
    places = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))
    return [items[i] for i in places]


def _frame(source: Path) -> Image.Image:
    """A grid with its epoch written below, in 256 colours."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    font = ImageFont.load_default(size=18)
    frame = Image.new("RGB", (picture.width, picture.height + 30), (PAPER,) * 3)
    frame.paste(picture)
    caption = (picture.width / 2, picture.height + 14)
    text = f"after {epochs_in_name(source):,} epochs"
    ImageDraw.Draw(frame).text(caption, text, fill=(60, 60, 60), font=font, anchor="mm")
    return frame.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
