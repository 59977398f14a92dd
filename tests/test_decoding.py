"""A picture's file as training and evaluation read it alike."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image

from wgan_jax import decoding
from wgan_jax.data.dataset import load
from wgan_jax.errors import UserError
from wgan_jax.quality.pictures import from_folder
from wgan_jax.settings import DataSettings

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


def save_deep(path: Path, kind: int, channels: int) -> None:
    """A PNG of 16 bits, of this kind in its header; Pillow writes such only in grey."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    rows = (b"\0" + struct.pack(">H", 1000) * 4 * channels) * 4
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0))
        + chunk(b"IDAT", compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize(
    ("kind", "channels", "says"),
    [
        (0, 1, "I;16 pixels"),
        (2, 3, "RGB pixels of 16 bits"),
        (4, 2, "(LA|RGBA) pixels of 16 bits"),
        (6, 4, "RGBA pixels of 16 bits"),
    ],
)
def test_deep_pixels_are_refused_in_training_and_evaluation(
    tmp_path: Path, stream: bool, kind: int, channels: int, says: str
) -> None:
    save_deep(tmp_path / "deep.png", kind, channels)
    for read in (lambda folder: trained_on(folder, stream), evaluated):
        with pytest.raises(UserError, match=rf"deep\.png .*{says}: convert it to 8 bits"):
            read(tmp_path)
    with pytest.raises(ValueError, match=says):
        decoding.decode(tmp_path / "deep.png")


def test_a_deep_picture_among_many_is_left_out_and_said(tmp_path: Path) -> None:
    for i in range(100):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{i:03d}.bmp")
    save_deep(tmp_path / "deep.png", 2, 3)
    found, notes = trained_on(tmp_path)
    assert len(found) == 100
    assert any("deep.png (RGB pixels of 16 bits" in note for note in notes)


def test_a_deep_picture_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    """A TIFF: Pillow reads 16 bits of its colours as 8."""
    tags = [(256, 1, 4), (257, 1, 4), (258, 3, 0), (259, 1, 1), (262, 1, 2)]
    tags += [(273, 1, 8), (277, 1, 3), (278, 1, 4), (279, 1, 96)]
    pixels, bits = struct.pack("<48H", *[1000] * 48), struct.pack("<3H", 16, 16, 16)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels) + len(bits))
    listed = b"".join(
        struct.pack("<HHII", tag, 3, n, value or 8 + len(pixels)) for tag, n, value in tags
    )
    (tmp_path / "deep.png").write_bytes(
        head + pixels + bits + struct.pack("<H", len(tags)) + listed + bytes(4)
    )
    with Image.open(tmp_path / "deep.png") as picture:
        assert (picture.format, picture.mode) == ("TIFF", "RGB")
    for read in (decoding.look, decoding.decode):
        with pytest.raises(ValueError, match="RGB pixels of 16 bits"):
            read(tmp_path / "deep.png")


MODES = {
    "png": ("1", "L", "LA", "RGB", "RGBA", "P"),
    "jpg": ("L", "RGB", "CMYK"),
    "webp": ("L", "RGB", "RGBA"),
    "bmp": ("1", "L", "RGB", "RGBA", "P"),
    "tif": ("1", "L", "LA", "RGB", "RGBA", "P", "CMYK"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes]
)
def test_pixels_of_8_bits_are_read(tmp_path: Path, kind: str, mode: str) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / f"x.{kind}")
    assert decoding.look(tmp_path / f"x.{kind}").size == (4, 4)
    assert decoding.decode(tmp_path / f"x.{kind}").mode == "RGB"


def test_a_bmp_with_16_bits_for_all_three_colours_is_read(tmp_path: Path) -> None:
    fields = (b"BM", 54 + 32, 0, 0, 54, 40, 4, 4, 1, 16, 0, 32, 0, 0, 0, 0)
    header = struct.pack("<2sIHHIIiiHHIIiiII", *fields)
    (tmp_path / "x.bmp").write_bytes(header + struct.pack("<16H", *[0x7FFF] * 16))
    assert np.asarray(decoding.decode(tmp_path / "x.bmp")).min() == 255


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_a_look_tells_the_size_that_is_decoded(tmp_path: Path, kind: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.new("RGB", (6, 4)).save(tmp_path / f"x.{kind}", exif=exif)
    assert decoding.look(tmp_path / f"x.{kind}").size == (
        decoding.decode(tmp_path / f"x.{kind}").size
    )


def test_pictures_are_sorted_folder_by_folder(tmp_path: Path) -> None:
    for name in ("a-b", "a", "a.b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    assert decoding.find(tmp_path) == ["a/x.png", "a-b/x.png", "a.b/x.png"]


def test_links_are_followed_but_to_no_folder_around_the_pictures(tmp_path: Path) -> None:
    for name in ("near/in/a", "near/private/b", "far/off/c", "far/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = tmp_path / "near" / "in"
    (root / "loop").symlink_to("..")
    (root / "far").symlink_to(tmp_path / "far" / "off")
    (tmp_path / "far" / "off" / "up").symlink_to("..")
    assert decoding.find(root) == ["a", "far/c"]
