"""Sets of pictures: what is read, and the one line for what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan_jax.data.dataset import load
from wgan_jax.errors import UserError
from wgan_jax.quality.pictures import Pictures, from_array, from_arrays, from_folder
from wgan_jax.settings import DataSettings

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3)).astype(np.uint8)


def save(folder: Path, name: str, pixels: np.ndarray, mode: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(folder / name)


def read(pictures: Pictures, size: int = 4) -> np.ndarray:
    return np.concatenate(list(pictures.batches(size)))


def test_a_folder_gives_its_pictures_in_order_and_in_batches(tmp_path: Path) -> None:
    for i in (3, 0, 5, 1, 4, 2):
        save(tmp_path / "deep" if i > 3 else tmp_path, f"{9 - i}.png", COLOUR[i])
    (tmp_path / "notes.txt").write_text("not a picture")
    pictures = from_folder(tmp_path)
    assert (pictures.n, pictures.shape, pictures.notes) == (6, (9, 7), ())
    np.testing.assert_array_equal(read(pictures), COLOUR[[3, 2, 1, 0, 5, 4]])
    assert [len(batch) for batch in pictures.batches(4)] == [4, 2]


def test_a_folder_is_the_set_that_is_trained_on(tmp_path: Path) -> None:
    """Hidden files and those that archives leave are no part of it, nor is a way back to itself."""
    for folder, name in (
        ("", "a.png"),
        ("b", "c.jpg"),
        (".thumbs", "a.png"),
        ("__MACOSX", "d.png"),
    ):
        save(tmp_path / folder, name, COLOUR[0])
    (tmp_path / "b" / "around").symlink_to(tmp_path)
    assert from_folder(tmp_path).n == 2
    assert len(load(DataSettings(name=f"folder:{tmp_path}"), 4)) == 2


def test_grey_and_opaque_pictures_are_read_as_rgb_with_a_note(tmp_path: Path) -> None:
    save(tmp_path, "a.png", COLOUR[0])
    save(tmp_path, "b.png", COLOUR[1, ..., 0])
    save(tmp_path, "c.png", COLOUR[2], "RGBA")
    pictures = from_folder(tmp_path)
    found = read(pictures)
    np.testing.assert_array_equal(found[1], COLOUR[1, ..., :1].repeat(3, -1))
    np.testing.assert_array_equal(found[2], COLOUR[2])
    assert [note[:6] for note in pictures.notes] == ["1 of 3", "1 of 3"]


def test_pictures_on_their_side_are_as_large_as_they_stand(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    for name in ("a.png", "b.jpg", "c.webp"):
        Image.fromarray(COLOUR[0]).save(tmp_path / name, exif=exif)
    save(tmp_path, "d.png", COLOUR[1].swapaxes(0, 1))
    pictures = from_folder(tmp_path)
    assert pictures.shape == (7, 9)
    np.testing.assert_array_equal(read(pictures)[0], np.rot90(COLOUR[0], -1))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no picture"):
        from_folder(tmp_path)


def test_mixed_sizes_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "a.png", COLOUR[0])
    save(tmp_path, "b.png", COLOUR[0, :5])
    with pytest.raises(UserError, match=r"a\.png is 7x9, b\.png 7x5"):
        from_folder(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_corrupt_picture_is_named(tmp_path: Path, share: float) -> None:
    save(tmp_path, "a.png", COLOUR[0])
    save(tmp_path, "b.png", COLOUR[1])
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"b\.png cannot be read \(") as caught:
        read(from_folder(tmp_path))
    assert "\n" not in str(caught.value)


def test_deep_pixels_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "deep.png", np.zeros((4, 4), np.uint16))
    with pytest.raises(UserError, match=r"deep\.png .*I;16 pixels: convert it to 8 bits"):
        from_folder(tmp_path)


def test_arrays_of_images_are_taken() -> None:
    found = from_arrays({"images": COLOUR, "labels": np.arange(6)}, Path("x.npz"))
    np.testing.assert_array_equal(read(found), COLOUR)
    assert read(from_arrays({"arr_0": COLOUR[..., 0]}, Path("x.npz"))).shape == (6, 9, 7, 1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((2, 4, 4, 3), np.nan, np.float32), "NaN or infinite pixels"),
        (np.zeros((2, 4, 4, 3), np.float32), "float32 pixels"),
        (np.zeros((2, 4, 4, 4), np.uint8), "without an alpha channel"),
        (np.zeros((0, 4, 4, 3), np.uint8), "has shape"),
        (np.zeros((4, 4), np.uint8), "has shape"),
    ],
)
def test_arrays_that_are_no_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_array(images, "x.npz")


def test_it_must_be_clear_which_array_is_meant() -> None:
    with pytest.raises(UserError, match="`images`"):
        from_arrays({"a": COLOUR, "b": COLOUR}, Path("x.npz"))
