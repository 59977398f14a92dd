"""A picture's file as training and evaluation read it alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan_jax import decoding
from wgan_jax.config import DataSettings
from wgan_jax.data.dataset import load
from wgan_jax.errors import UserError
from wgan_jax.quality.pictures import from_folder

STREAMED = (False, True)


def trained_on(folder: Path, stream: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    dataset = load(DataSettings(name=f"folder:{folder}", stream=stream, workers=0), 4)
    return np.concatenate(list(dataset.batches(64))), dataset.notes


def evaluated(folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    pictures = from_folder(folder)
    return np.concatenate(list(pictures.batches(64))), pictures.notes


def save_clear(folder: Path) -> None:
    """Four pictures of black: half covered, not at all by a palette and by a colour, opaque."""
    half = np.zeros((4, 4, 4), np.uint8)
    half[..., 3] = 51  # a fifth
    Image.fromarray(half).save(folder / "a.png")
    black = Image.new("L", (4, 4), 0)
    black.convert("P").save(folder / "b.png", transparency=0)
    black.convert("RGB").save(folder / "c.png", transparency=(0, 0, 0))
    black.convert("RGBA").save(folder / "d.webp", lossless=True)
    black.save(folder / "e.jpg")


def test_what_is_transparent_is_white_in_training_and_evaluation(tmp_path: Path) -> None:
    save_clear(tmp_path)
    for found, notes in (trained_on(tmp_path), trained_on(tmp_path, True), evaluated(tmp_path)):
        assert found.shape == (5, 4, 4, 3)
        # 255 - 51 of white shows through black that covers a fifth.
        assert [found[i].mean() for i in range(5)] == [204, 255, 255, 0, 0]
        said = [note for note in notes if "alpha channel" in note]
        assert len(said) == 1
        assert said[0].startswith("3 of 5 pictures")
        assert said[0].endswith("what is transparent is white")


@pytest.mark.parametrize("stream", STREAMED)
def test_deep_pixels_are_refused_in_training_and_evaluation(tmp_path: Path, stream: bool) -> None:
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "deep.png")
    for read in (lambda folder: trained_on(folder, stream), evaluated):
        with pytest.raises(UserError, match=r"deep\.png .*I;16 pixels: convert it to 8 bits"):
            read(tmp_path)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_a_look_tells_the_size_that_is_decoded(tmp_path: Path, kind: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.new("RGB", (6, 4)).save(tmp_path / f"x.{kind}", exif=exif)
    assert decoding.look(tmp_path / f"x.{kind}").size == (
        decoding.decode(tmp_path / f"x.{kind}").size
    )


def test_links_are_followed_but_to_no_folder_around_the_pictures(tmp_path: Path) -> None:
    for name in ("near/in/a", "near/private/b", "far/off/c", "far/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = tmp_path / "near" / "in"
    (root / "loop").symlink_to("..")
    (root / "far").symlink_to(tmp_path / "far" / "off")
    (tmp_path / "far" / "off" / "up").symlink_to("..")
    assert decoding.find(root) == ["a", "far/c"]
