"""Sample grids and the looping picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan_jax.record import samples


def test_each_image_stands_in_its_place_enlarged_without_smoothing() -> None:
    images = np.zeros((3, 8, 8, 1), np.uint8)
    images[1, 0, 7] = 200
    page = samples.grid(images, columns=2)
    size = 32 * 8  # 512 / (2 columns x 8 pixels) = 32 times
    assert page.shape == (2 * (size + 2) + 2, 2 * (size + 2) + 2, 3)
    corner = page[2 : 2 + 32, 2 + size + 2 + size - 32 : 2 + size + 2 + size]
    assert (corner == 200).all()
    assert (page == 200).sum() == 32 * 32 * 3
    assert (page[-size:, -size:] == samples.PAPER).all()  # the fourth place is empty


def test_large_images_keep_their_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    page = samples.grid(images, columns=16)
    assert page.shape == (64 * 2 + 4, 4 * (64 * 2 + 2) + 2, 3)
    np.testing.assert_array_equal(page[2:130:2, 2:130:2], images[0])


def test_the_png_holds_the_grid(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    path = samples.grid_path(tmp_path / "samples", 500)
    page = samples.save_grid(images, path, columns=4)
    assert path.name == "epoch_000500.png"
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened), page)
    assert [p.name for p in path.parent.iterdir()] == ["epoch_000500.png"]


def test_progress_loops_in_the_order_of_epochs_with_the_last_frame_longest(tmp_path: Path) -> None:
    for epoch in (1000, 0, 500):
        images = np.full((4, 8, 8, 1), epoch // 5, np.uint8)
        samples.save_grid(images, samples.grid_path(tmp_path, epoch), columns=2)
    (tmp_path / "epoch_best.png").write_bytes(b"not a grid")
    samples.save_progress(samples.grid_paths(tmp_path), tmp_path / "progress.gif")
    with Image.open(tmp_path / "progress.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
        shades, times = [], []
        for frame in range(3):
            gif.seek(frame)
            shades.append(gif.convert("RGB").getpixel((10, 10))[0])
            times.append(gif.info["duration"])
    assert shades == [0, 100, 200]
    assert times == [150, 150, 2000]


def test_of_many_grids_the_first_and_last_are_kept() -> None:
    paths = [Path(f"epoch_{i:06d}.png") for i in range(1000)]
    chosen = samples.evenly(paths, 60)
    assert len(chosen) == 60
    assert (chosen[0], chosen[-1]) == (paths[0], paths[-1])


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((4, 8, 8, 1), np.float32),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((4, 8, 8, 2), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images must be uint8"):
        samples.grid(images, columns=2)


def test_a_progress_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sample grids"):
        samples.save_progress([], tmp_path / "progress.gif")
