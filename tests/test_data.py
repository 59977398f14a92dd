"""Images from every source, and one clear line for each that cannot be read."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fabricated import cifar_download, cifar_records
from wgan_jax.config import DataSettings
from wgan_jax.data import digits, folder
from wgan_jax.data.dataset import fingerprint, load
from wgan_jax.errors import UserError


def refusal(settings: DataSettings, size: int = 8) -> str:
    with pytest.raises(UserError) as caught:
        load(settings, size)
    says = str(caught.value)
    for path in (settings.name.removeprefix("folder:"), settings.cache_dir):
        says = says.replace(path, "PATH") if "/" in path else says
    assert len(says) <= 200
    assert "\n" not in says
    return says


def test_the_digits():
    dataset = load(DataSettings(), 8)
    assert dataset.images.shape == (1797, 8, 8, 1)
    assert (dataset.images.min(), dataset.images.max()) == (0, 255)
    _, labels = digits.read_labelled()
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_by_class_and_size():
    assert load(DataSettings(classes="3, 4"), 8).images.shape == (183 + 181, 8, 8, 1)
    assert load(DataSettings(), 16).images.shape == (1797, 16, 16, 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (DataSettings(name="digitz"), "is not a source"),
        (DataSettings(name="tfds:"), "is not a source"),
        (DataSettings(name="arrays"), "images=..."),
        (DataSettings(classes="x"), "'x' is not a digit"),
        (DataSettings(name="folder:/nowhere/at/all"), "is not a folder"),
        (DataSettings(name="tfds:cifr"), "TFDS has no dataset 'cifr'"),
        (DataSettings(name="tfds:ag_news_subset"), "has no images"),
    ],
)
def test_refusals(settings, says):
    assert says in refusal(settings)


def test_a_fingerprint_knows_pixels_shape_and_order():
    images = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1)
    others = [images[::-1], images.reshape(2, 8, 4, 1), np.where(images == 63, 0, images)]
    digests = {fingerprint(np.ascontiguousarray(x.astype(np.uint8))) for x in [images, *others]}
    assert len(digests) == 4


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Ten pictures of many kinds in two subfolders; each is of one colour, its number."""
    kinds = ["png", "jpg", "webp", "jpeg", "PNG"]
    for i in range(10):
        place = tmp_path / "pictures" / ("even" if i % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        mode = ["RGB", "L", "RGBA", "P"][i % 4] if i % 5 in (0, 4) else "RGB"
        picture = Image.new("RGB", (20 + i, 30), (i * 10,) * 3).convert(mode)
        picture.save(place / f"{i}.{kinds[i % 5]}")
    return tmp_path / "pictures"


def test_a_folder(pictures):
    (pictures / "notes.txt").write_text("not a picture")
    dataset = load(DataSettings(name=f"folder:{pictures}"), 8)
    assert dataset.images.shape == (10, 8, 8, 3)
    assert dataset.notes == ()
    colours = dataset.images.mean(axis=(1, 2, 3))
    expected = [10 * i for i in (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)]  # sorted by path
    np.testing.assert_allclose(colours, expected, atol=3)


def test_subfolders_are_classes(pictures):
    dataset = load(DataSettings(name=f"folder:{pictures}", classes="odd"), 8)
    assert len(dataset.images) == 5
    assert "no subfolder 'none'" in refusal(DataSettings(name=f"folder:{pictures}", classes="none"))


def test_the_centre_square_is_kept(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # white in the middle third
    Image.fromarray(wide).save(tmp_path / "wide.png")
    images, _ = folder.read(tmp_path, (), 10)
    assert images.min() == 255


def test_pictures_that_lie_on_their_side_are_turned(tmp_path):
    picture = Image.fromarray(np.repeat([[0], [255]], 8, axis=0).repeat(16, axis=1).astype("uint8"))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "turned.png", exif=exif)
    images, _ = folder.read(tmp_path, (), 16)
    assert images[0, 2].mean() > 200 > 50 > images[0, -3].mean()


def test_one_unreadable_picture_in_a_hundred_is_left_out_and_named(tmp_path):
    for i in range(100):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:03}.png")
    (tmp_path / "bad.png").write_bytes(b"this is no picture")
    dataset = load(DataSettings(name=f"folder:{tmp_path}"), 8)
    assert len(dataset.images) == 100
    assert "bad.png" in dataset.notes[0]
    (tmp_path / "cut.png").write_bytes((tmp_path / "000.png").read_bytes()[:40])
    says = refusal(DataSettings(name=f"folder:{tmp_path}"))
    assert "2 of 102 pictures cannot be read" in says
    assert "bad.png" in says


def test_an_empty_folder(tmp_path):
    assert "has no picture in it" in refusal(DataSettings(name=f"folder:{tmp_path}"))


def test_without_network_a_dataset_is_refused_in_seconds(tmp_path):
    started = time.monotonic()
    says = refusal(DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path)), 32)
    assert time.monotonic() - started < 10
    assert "does not answer: connect once, or set config.data.cache_dir" in says


@pytest.mark.slow
def test_cifar10_through_the_real_builder(tmp_path):
    """Download folder, extraction, preparation by TensorFlow; then read without TensorFlow."""
    cifar_download(tmp_path)
    prepare = f"""
from wgan_jax.config import DataSettings
from wgan_jax.data.dataset import load
load(DataSettings(name="tfds:cifar10", cache_dir={str(tmp_path)!r}), 32)
"""
    subprocess.run([sys.executable, "-c", prepare], check=True, capture_output=True)
    read = prepare + "import sys; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", read], check=True, capture_output=True)

    settings = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path))
    images = load(settings, 32).images
    assert images.shape == (100, 32, 32, 3)
    made = np.concatenate([cifar_records(20, seed)[0] for seed in range(5)])
    assert {image.tobytes() for image in images} == {image.tobytes() for image in made}

    horses = load(DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), classes="horse"), 32)
    labels = np.concatenate([cifar_records(20, seed)[1] for seed in range(5)])
    assert {i.tobytes() for i in horses.images} == {i.tobytes() for i in made[labels == 7]}

    test = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), split="test")
    assert load(test, 16).images.shape == (20, 16, 16, 3)
    bad = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), split="validation")
    assert "cifar10 has test, train" in refusal(bad) or "cifar10 has train, test" in refusal(bad)
    bad = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), classes="horze")
    assert "no class 'horze'" in refusal(bad)
