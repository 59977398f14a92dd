"""Images that are held out: which, of every source, and that none of them is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wgan_jax.config import resolve
from wgan_jax.data.dataset import Dataset, from_array, load
from wgan_jax.data.held_out import evenly
from wgan_jax.errors import UserError
from wgan_jax.record.identity import same_images
from wgan_jax.settings import DataSettings


def numbered(n: int) -> np.ndarray:
    """n images of 2x2 pixels that spell their number: uint8 [n, 2, 2, 1]."""
    return np.arange(n, dtype="<u4").view(np.uint8).reshape(n, 2, 2, 1)


def numbers_of(images: Any) -> list[int]:
    rows = np.stack([images[i] for i in range(images.shape[0])])
    return np.ascontiguousarray(rows).reshape(-1, 4).view("<u4").ravel().tolist()


@given(st.integers(1, 400), st.data())
def test_they_are_spread_evenly_and_none_twice(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n))
    chosen = evenly(n, count)
    assert len(set(chosen.tolist())) == count
    assert 0 <= chosen.min() <= chosen.max() < n
    if count > 1:
        steps = np.diff(chosen)
        assert steps.max() - steps.min() <= 1
        assert (chosen[0], chosen[-1]) == (0, n - 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("n", "count"), [(300, 1), (300, 7), (300, 299)])
def test_of_an_array_what_is_held_out_and_the_rest_are_all(
    n: int, count: int, stream: bool
) -> None:
    settings = DataSettings(held_out=count, stream=stream, workers=0)
    dataset = from_array(numbered(n), 2, settings)
    held_out = numbers_of(dataset.held_out)
    assert held_out == evenly(n, count).tolist()
    assert numbers_of(dataset.source) == sorted(set(range(n)) - set(held_out))
    assert len(dataset) == dataset.shape[0] == n - count


def test_of_a_mapped_file_only_what_is_held_out_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbered(300))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    dataset = from_array(mapped, 2, DataSettings(held_out=3, stream=True, workers=0))
    assert numbers_of(dataset.held_out) == [0, 149, 299]
    assert numbers_of(dataset.source) == [i for i in range(300) if i not in (0, 149, 299)]


def test_the_images_know_that_some_are_held_out() -> None:
    whole, less, fewer = (_digits(count) for count in (0, 5, 6))
    assert len({found.fingerprint for found in (whole, less, fewer)}) == 3
    assert [found.identity["held_out"] for found in (whole, less, fewer)] == [0, 5, 6]
    assert _digits(5).fingerprint == less.fingerprint
    assert "1,792 images" in less.words
    assert "5 more are held out, and not trained on" in less.words
    assert "held out" not in whole.words
    rows = {image.tobytes() for image in less.images}
    everywhere = {image.tobytes() for image in whole.images}
    assert rows | {image.tobytes() for image in less.held_out} == everywhere


def test_a_folder_streamed_is_the_folder_in_memory_also_where_some_are_held_out(
    tmp_path: Path,
) -> None:
    for i in range(10):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    resident, streamed, other = (
        load(DataSettings(f"folder:{tmp_path}", held_out=count, stream=stream, workers=0), 8)
        for count, stream in ((3, False), (3, True), (2, True))
    )
    assert same_images(resident.identity, streamed.identity)
    assert not same_images(resident.identity, other.identity)
    np.testing.assert_array_equal(resident.held_out, streamed.held_out)
    kept = np.stack([streamed.source[i] for i in range(7)])
    np.testing.assert_array_equal(resident.images, kept)
    np.testing.assert_array_equal(np.concatenate(list(streamed.batches(4))), kept)
    assert np.unique(resident.held_out[..., 0]).tolist() == [0, 4, 9]


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1797, "config.data.held_out = 1797 leaves none of digits to train on."),
        (1798, "config.data.held_out = 1798 is more than there are to take them from: 1797."),
    ],
)
def test_as_many_as_there_are_cannot_be_held_out(count: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        _digits(count)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"held_out": 9, "held_out_split": "test"}, "only TFDS has splits"),
        ({"name": "tfds:cifar10", "held_out_split": "test"}, "needs to know how many"),
        (
            {"name": "tfds:cifar10", "held_out": 9, "held_out_split": "train"},
            "is the split that is trained on",
        ),
        ({"held_out": -1}, "0 or at least 2"),
        ({"held_out": 1}, "0 or at least 2"),
        ({"held_out": 10**6}, "at most 100000"),
    ],
)
def test_settings_that_do_not_fit_together(data: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        resolve({"data": data})


def _digits(count: int) -> Dataset:
    return load(DataSettings(held_out=count), 8)
