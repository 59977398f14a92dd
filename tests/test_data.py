"""Images from every source, and one clear line for each that cannot be read."""

from __future__ import annotations

import dataclasses
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fabricated import cifar_download, cifar_records, lsun_prepared
from wgan_jax.data import digits, folder
from wgan_jax.data.dataset import from_array, load
from wgan_jax.data.sources import fingerprint
from wgan_jax.errors import UserError
from wgan_jax.settings import DataSettings


def refusal(settings: DataSettings, size: int = 8) -> str:
    with pytest.raises(UserError) as caught:
        load(settings, size)
    says = str(caught.value)
    for path in (settings.name.removeprefix("folder:"), settings.cache_dir):
        says = says.replace(path, "PATH") if "/" in path else says
    assert len(says) <= 200
    assert "\n" not in says
    return says


def test_the_digits() -> None:
    dataset = load(DataSettings(), 8)
    assert dataset.images.shape == (1797, 8, 8, 1)
    assert (dataset.images.min(), dataset.images.max()) == (0, 255)
    _, labels = digits.read_labelled()
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_levels_of_digits_are_rounded() -> None:
    levels = np.unique(load(DataSettings(), 8).images).tolist()
    assert levels == [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]


def test_digits_by_class_and_size() -> None:
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
def test_refusals(settings: DataSettings, says: str) -> None:
    assert says in refusal(settings)


def test_a_fingerprint_knows_pixels_shape_and_order() -> None:
    images = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1)
    others = [images[::-1], images.reshape(2, 8, 4, 1), np.where(images == 63, 0, images)]
    digests = {fingerprint(np.ascontiguousarray(x.astype(np.uint8))) for x in [images, *others]}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("kind", "least", "most", "says"),
    [
        ("int64", 0, 255, "x.astype('uint8')"),
        ("int8", 0, 1, "(255.0 * x).astype('uint8')"),
        ("bool", 0, 1, "(255 * x).round().astype('uint8')"),
        ("float32", 0, 1, "(255 * x).round().astype('uint8')"),
        ("float16", -1, 1, "(127.5 * (x + 1)).round().astype('uint8')"),
        ("float64", 0, 255, "x.round().astype('uint8')"),
    ],
)
def test_images_of_another_kind_are_told_what_makes_them_uint8(
    kind: str, least: int, most: int, says: str
) -> None:
    """What is advised brings the ends of the range to 0 and 255, or leaves them as they are."""
    x = np.array([least, most] * 8).reshape(1, 4, 4).astype(kind)
    with pytest.raises(UserError) as caught:
        from_array(x, 4)
    assert f"got {kind} from {least} to {most}: convert first, {says}." in str(caught.value)
    ends = [0, most] if says.startswith("x") else [0, 255]
    assert np.unique(from_array(eval(says), 4).images).tolist() == ends


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.full((1, 4, 4), -3.0), "from -3 to -3: bring them into that range first."),
        (np.full((1, 4, 4), 256), "from 256 to 256: bring them into that range first."),
        (np.full((1, 4, 4), np.nan), "from nan to nan: bring them into that range first."),
        (np.zeros((0, 4, 4), np.float32), "images is empty: give at least one batch"),
        ("images.npy", "got str of <U10: load them first, e.g. np.load(path)."),
        ([np.zeros((4, 4)), np.zeros((5, 4))], "images have different shapes: resize them"),
        (np.zeros((9, 3, 4, 4), np.uint8), "channels come last, np.moveaxis(images, 1, -1)."),
        (np.zeros((9, 4, 4, 4), np.uint8), "drop the alpha channel, images[..., :3]."),
        (np.zeros((4, 4), np.uint8), "That is images[None]."),
        (np.zeros((4, 4, 3), np.uint8), "[4, 4, 3]: is it a single image? That is images[None]."),
        (np.zeros((9, 5, 5, 3), np.uint8), "resize them, or set config.image_size."),
    ],
)
def test_arrays_that_are_no_images_are_told_what_they_lack(images: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        from_array(images, 4)
    assert says in str(caught.value)


def test_a_list_of_images_is_an_array_of_them() -> None:
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    np.testing.assert_array_equal(from_array(list(images), 4).images, images[..., None])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten pictures of many kinds in two subfolders; each is of one colour, its number."""
    kinds = ["png", "jpg", "webp", "bmp", "PNG"]
    for i in range(10):
        place = tmp_path / "pictures" / ("even" if i % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        mode = ["RGB", "L", "RGBA", "P"][i % 4] if i % 5 in (0, 4) else "RGB"
        picture = Image.new("RGB", (20 + i, 30), (i * 10,) * 3).convert(mode)
        picture.save(place / f"{i}.{kinds[i % 5]}")
    return tmp_path / "pictures"


def test_a_folder(pictures: Path) -> None:
    (pictures / "notes.txt").write_text("not a picture")
    dataset = load(DataSettings(name=f"folder:{pictures}"), 8)
    assert dataset.images.shape == (10, 8, 8, 3)
    assert dataset.notes == ()
    colours = dataset.images.mean(axis=(1, 2, 3))
    expected = [10 * i for i in (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)]  # sorted by path
    np.testing.assert_allclose(colours, expected, atol=3)


def test_subfolders_are_classes(pictures: Path) -> None:
    dataset = load(DataSettings(name=f"folder:{pictures}", classes="odd"), 8)
    assert len(dataset.images) == 5
    assert "no subfolder 'none'" in refusal(DataSettings(name=f"folder:{pictures}", classes="none"))


@pytest.mark.parametrize("made", [lambda x: x / 127.5 - 1, lambda x: x[:, :4, :4]])
def test_a_source_that_gives_other_than_images_is_refused(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Floats in [-1, 1] would be trained on as if they were black."""
    read = folder.read
    monkeypatch.setattr(folder, "read", lambda survey: (made(read(survey)[0]), ()))
    with pytest.raises(UserError, match=r"images must be (uint8|\[n, 8, 8, 1 or 3\])"):
        load(DataSettings(name=f"folder:{pictures}"), 8)


def test_the_centre_square_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # white in the middle third
    Image.fromarray(wide).save(tmp_path / "wide.png")
    images, _ = folder.read(folder.survey(tmp_path, (), 10))
    assert images.min() == 255


def test_pictures_of_tfds_are_cut_to_their_centre_squares() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255  # white in the middle third
    for image in (wide, wide[..., :1]):
        found = folder.fitted(image, 10)
        assert found.shape == (10, 10, image.shape[2])
        assert found.min() == 255


def test_pictures_are_resized_by_bicubic_interpolation() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    picture = Image.fromarray(noise)
    np.testing.assert_array_equal(
        np.asarray(folder.squared(picture, 10)),
        np.asarray(picture.resize((10, 10), Image.Resampling.BICUBIC)),
    )


def test_pictures_that_lie_on_their_side_are_turned(tmp_path: Path) -> None:
    picture = Image.fromarray(np.repeat([[0], [255]], 8, axis=0).repeat(16, axis=1).astype("uint8"))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "turned.png", exif=exif)
    images, _ = folder.read(folder.survey(tmp_path, (), 16))
    assert images[0, 2].mean() > 200 > 50 > images[0, -3].mean()


def test_one_unreadable_picture_in_a_hundred_is_left_out_and_named(tmp_path: Path) -> None:
    for i in range(100):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:03}.png")
    (tmp_path / "bad.png").write_bytes(b"this is no picture")
    dataset = load(DataSettings(name=f"folder:{tmp_path}"), 8)
    assert len(dataset.images) == 100
    assert dataset.notes[0] == "1 of 101 pictures cannot be read"
    assert dataset.notes[1].startswith(f"left out: {tmp_path / 'bad.png'} (")
    (tmp_path / "cut.png").write_bytes((tmp_path / "000.png").read_bytes()[:40])
    says = refusal(DataSettings(name=f"folder:{tmp_path}"))
    assert "2 of 102 pictures cannot be read" in says
    assert "bad.png (cannot identify image file), cut.png. Mend or remove them." in says


def test_a_refusal_names_as_many_unreadable_pictures_as_fit_in_its_line(tmp_path: Path) -> None:
    place = tmp_path / "a" / ("long_path_" * 10)
    place.mkdir(parents=True)
    for i in range(40):
        (place / f"{i:03}.png").write_bytes(b"this is no picture")
    says = refusal(DataSettings(name=f"folder:{place}"))
    named = re.search(r": 000\.png \([^)]+\)((?:, \d+\.png)+) and (\d+) more\. Mend", says)
    assert named
    others = named[1].count(".png")
    assert others >= 3
    assert others + int(named[2]) == 39


def test_what_else_lies_in_a_folder_is_no_picture_of_it(pictures: Path) -> None:
    """What systems and archives leave, folders seen from within themselves, other kinds."""
    whole = (pictures / "even" / "0.png").read_bytes()
    for name in ("._0.png", ".hidden/0.png", "__MACOSX/odd/0.png"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(whole)
    (pictures / "odd" / "all").symlink_to(pictures)
    (pictures / "odd" / "even").symlink_to(pictures / "even")  # twice as many as there are
    (pictures / "even" / "odd").symlink_to(pictures / "odd")
    for name in ("1.gif", "odd/2.GIF", "even/3.tif"):
        (pictures / name).write_bytes(b"not read")
    settings = DataSettings(name=f"folder:{pictures}")
    found = load(settings, 8)
    assert len(found) == 20
    notes = ("3 .gif files are not read", "2 .tif files are not read")
    assert found.notes == load(dataclasses.replace(settings, stream=True), 8).notes == notes
    (pictures / "texts").mkdir()
    says = refusal(dataclasses.replace(settings, classes="texts"))
    assert "has no picture in its subfolders texts: it needs .png" in says


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "has no picture in it" in refusal(DataSettings(name=f"folder:{tmp_path}"))


def test_without_network_a_dataset_is_refused_in_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    says = refusal(DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path)), 32)
    assert time.monotonic() - started < 10
    assert "does not answer: connect once, or set config.data.cache_dir" in says


@pytest.mark.slow
def test_cifar10_through_the_real_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Download folder, extraction, preparation by TensorFlow; then read without TensorFlow."""
    monkeypatch.setenv("WGAN_JAX_CACHE", str(tmp_path / "cache"))
    cifar_download(tmp_path)
    prepare = f"""
from wgan_jax.settings import DataSettings
from wgan_jax.data.dataset import from_array, load
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

    where = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), classes="horse")
    horses = load(where, 32)
    labels = np.concatenate([cifar_records(20, seed)[1] for seed in range(5)])
    assert {i.tobytes() for i in horses.images} == {i.tobytes() for i in made[labels == 7]}
    stream = load(dataclasses.replace(where, stream=True, workers=0), 32)
    again = pickle.loads(pickle.dumps(stream))  # as a decoding process has it
    np.testing.assert_array_equal(np.concatenate(list(again.batches(3))), horses.images)
    assert len(list((tmp_path / "cache" / "classes").iterdir())) == 1, "labels are read once"
    cats = load(dataclasses.replace(where, classes="cat"), 32)
    assert {i.tobytes() for i in cats.images} == {i.tobytes() for i in made[labels == 3]}
    assert cats.files != horses.files  # as many, of the same files
    with monkeypatch.context() as unwritable:
        unwritable.setenv("WGAN_JAX_CACHE", "/dev/null")
        np.testing.assert_array_equal(load(where, 32).images, horses.images)
    assert "these classes' records are not kept for the next time" in capsys.readouterr().err

    test = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), split="test")
    assert load(test, 16).images.shape == (20, 16, 16, 3)
    held_out_of_another_split(settings, images, load(test, 32).images)
    bad = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), split="validation")
    assert re.search("cifar10 has no split 'validation', but t.+, t", refusal(bad))
    bad = DataSettings(name="tfds:cifar10", cache_dir=str(tmp_path), classes="horze")
    assert "no class 'horze'" in refusal(bad)


def held_out_of_another_split(settings: DataSettings, train: np.ndarray, test: np.ndarray) -> None:
    """The images trained on stay all, in one case; what is held out is of the same classes."""
    some = dataclasses.replace(settings, held_out=4, held_out_split="test")
    dataset = load(some, 32)
    assert dataset.fingerprint == fingerprint(train)
    np.testing.assert_array_equal(dataset.images, train)
    np.testing.assert_array_equal(dataset.held_out, test[[0, 6, 12, 19]])
    horses = load(dataclasses.replace(some, held_out=2, classes="horse"), 32).held_out
    made = cifar_records(20, 5)[0][7::10]  # the archive's last file
    assert {image.tobytes() for image in horses} == {image.tobytes() for image in made}
    with pytest.raises(UserError, match="no split 'validation'"):
        load(dataclasses.replace(some, held_out_split="validation"), 32)
    with pytest.raises(UserError, match="21 is more than there are to take them from: 20"):
        load(dataclasses.replace(some, held_out=21), 32)


def streamed(**fields: Any) -> DataSettings:
    return DataSettings(stream=True, workers=0, **fields)


def test_a_streamed_folder_is_known_by_names_lengths_beginnings_and_ends(pictures: Path) -> None:
    name = f"folder:{pictures}"
    first = load(streamed(name=name), 8).fingerprint
    assert load(streamed(name=name), 8).fingerprint == first
    assert load(DataSettings(name=name), 8).files == first
    assert load(streamed(name=name), 16).fingerprint != first
    assert load(streamed(name=name, classes="odd"), 8).fingerprint != first
    one = pictures / "odd" / "1.jpg"
    other = Image.new("RGB", (21, 30), (11, 12, 13))
    for change in (
        lambda: other.save(one),
        lambda: one.rename(pictures / "odd" / "1b.jpg"),
        lambda: (pictures / "odd" / "1b.jpg").unlink(),
    ):
        change()
        now = load(streamed(name=name), 8).fingerprint
        assert now != first
        first = now


def test_what_cannot_be_read_is_left_out_of_a_stream_as_of_memory(tmp_path: Path) -> None:
    for i in range(200):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:03}.png")
    (tmp_path / "bad.png").write_bytes(b"this is no picture")
    whole = (tmp_path / "007.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    (tmp_path / "more.png").write_bytes(whole + b"and what a camera appends")
    resident = load(DataSettings(name=f"folder:{tmp_path}"), 8)
    found = load(streamed(name=f"folder:{tmp_path}"), 8)
    assert found.notes == resident.notes
    assert found.notes[0] == "2 of 203 pictures cannot be read"
    assert all(n in note for n, note in zip(("bad", "cut"), found.notes[1:], strict=True))
    assert len(found) == len(resident.images) == 201
    np.testing.assert_array_equal(np.concatenate(list(found.batches(64))), resident.images)


def test_damage_in_the_middle_is_named_when_it_is_met(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for i in range(120):
        Image.fromarray(noise + np.uint8(i)).save(tmp_path / f"{i:03}.png")
    victim = tmp_path / "050.png"
    content = bytearray(victim.read_bytes())
    content[6000:6010] = bytes(10)
    victim.write_bytes(content)
    assert len(load(DataSettings(name=f"folder:{tmp_path}"), 8).images) == 119
    found = load(streamed(name=f"folder:{tmp_path}"), 8)
    with pytest.raises(UserError, match=r"050\.png cannot be read \(.*\): restore it"):
        found.source[50]


def test_a_prepared_dataset_is_known_by_its_files(tmp_path: Path) -> None:
    place = lsun_prepared(tmp_path, [5, 3], 16)
    settings = streamed(name="tfds:lsun/bedroom", cache_dir=str(tmp_path))
    first = load(settings, 8)
    assert first.shape == (8, 8, 8, 3)
    assert load(settings, 8).fingerprint == first.fingerprint
    assert load(settings, 16).fingerprint != first.fingerprint
    file = place / "lsun-train.array_record-00001-of-00002"
    content = bytearray(file.read_bytes())
    content[70] ^= 1
    file.write_bytes(content)
    assert load(settings, 8).fingerprint != first.fingerprint
    file.unlink()
    assert "00001-of-00002 cannot be read (No such file" in refusal(settings)
    with pytest.raises(UserError, match="restore it"):
        pickle.loads(pickle.dumps(first)).source[7]


def test_of_many_notes_the_first_are_said_and_all_are_kept() -> None:
    images = from_array(np.zeros((2, 4, 4), np.uint8), 4)
    assert images.words.startswith("arrays: 2 images of 4x4x1, 0.0 MB, fingerprint ")
    found = dataclasses.replace(images, notes=("6 cannot be read", *"abcd", "\x1b[31m"))
    assert found.words.splitlines()[1:] == [
        "  6 cannot be read",
        *("  a", "  b", "  c"),
        "  and 2 more",
    ]
    assert found.identity["notes"] == [*found.notes]
    assert "\x1b" not in dataclasses.replace(images, notes=("\x1b[31m",)).words


@pytest.mark.parametrize("name", ["folder", "tfds"])
def test_what_does_not_fit_in_memory_is_to_be_streamed(
    name: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lsun_prepared(tmp_path, [5], 16)
    full = {"folder": f"folder:{pictures}", "tfds": "tfds:lsun/bedroom"}[name]
    resident = DataSettings(name=full, cache_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"GB of device memory\. Stream them"):
        load(resident, 8, room=500)
    monkeypatch.setattr("wgan_jax.data.dataset._available", lambda: 500)
    says = refusal(resident)
    assert "images take" in says
    assert "5e-07 GB of free memory. Stream them: --config.data.stream=true" in says
    assert len(load(streamed(name=full, cache_dir=str(tmp_path)), 8)) in (5, 10)


def test_a_part_of_a_mapped_file_is_the_part(tmp_path: Path) -> None:
    images = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2, 1)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    whole = from_array(mapped, 2, streamed())
    for part in (mapped, mapped[3:], mapped[:4], mapped[::-1], mapped[[2, 1]]):
        found = from_array(part, 2, streamed())
        np.testing.assert_array_equal(np.concatenate(list(found.batches(3))), np.array(part))
        assert found.fingerprint == fingerprint(np.array(part))
    (tmp_path / "images.npy").write_bytes(b"short")
    with pytest.raises(UserError, match=r"images\.npy cannot be read \(it is shorter"):
        whole.source[0]
