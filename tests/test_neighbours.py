"""Samples beside the real images nearest to them: which, how far, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import run as command_line
from wgan_jax import neighbours, train
from wgan_jax.data.dataset import Dataset
from wgan_jax.data.digits import read
from wgan_jax.data.held_out import Rest
from wgan_jax.errors import UserError
from wgan_jax.neighbours import nearest
from wgan_jax.notebook import Run
from wgan_jax.record.samples import grid

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops
Pictures = NDArray[np.uint8]


def flat(*levels: int) -> Pictures:
    """Images [n, 2, 2, 1], each of one level."""
    return np.array(levels, np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)


def drawn(n: int, seed: int) -> Pictures:
    return np.random.default_rng(seed).integers(0, 256, (n, 2, 3, 3), np.uint8)


def test_the_nearest_come_first_and_their_distances_are_of_pixels() -> None:
    found, distances = nearest(flat(90), Dataset("x", flat(0, 255, 100), ""), 3)
    np.testing.assert_array_equal(found, flat(100, 0, 255)[None])
    np.testing.assert_allclose(distances, [[10 / 255, 90 / 255, 165 / 255]], rtol=1e-12)


def test_distances_are_root_mean_squares() -> None:
    real = np.array([[0, 3], [0, 4]], np.uint8)[None, :, :, None]
    _, distances = nearest(flat(0), Dataset("x", real, ""), 1)
    np.testing.assert_allclose(distances, 2.5 / 255, rtol=1e-12)  # the root of 25 / 4


@pytest.mark.parametrize("streamed", [False, True])
def test_all_images_are_compared_and_of_equal_ones_the_first_is_taken(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BATCH", 8)
    images = np.concatenate([drawn(30, 1), drawn(30, 1)])
    source: Any = Rest(images, np.arange(60)) if streamed else images
    others = drawn(5, 2)
    found, distances = nearest(others, Dataset("x", source, "", streamed=streamed), 4)
    gaps = ((others[:, None].astype(float) - images) ** 2).mean(axis=(2, 3, 4))
    order = np.argsort(gaps, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(found, images[order])
    expected = np.sqrt(np.take_along_axis(gaps, order, axis=1)) / 255
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


@pytest.mark.parametrize("flip", [False, True])
def test_where_training_mirrors_the_mirror_images_count_too(flip: bool) -> None:
    reals = drawn(20, 3)
    found, distances = nearest(reals[[7]][:, :, ::-1], Dataset("x", reals, ""), 2, flip=flip)
    assert bool(distances[0, 0] == 0) is flip
    assert np.array_equal(found[0, 0], reals[7][:, ::-1]) is flip
    assert distances[0, 1] > 0


def test_a_real_image_is_not_its_own_neighbour_but_a_copy_of_it_is() -> None:
    reals = flat(10, 40, 40, 100)
    numbers = np.array([0, 1, 3])
    found, distances = nearest(reals[numbers], Dataset("x", reals, ""), 1, but=numbers)
    np.testing.assert_array_equal(found[:, 0], flat(40, 40, 40))
    np.testing.assert_allclose(distances[:, 0] * 255, [30, 0, 60], atol=1e-9)


@pytest.mark.parametrize(("but", "last"), [(-1, 4 / 255), (1, np.inf), (0, np.inf)])
def test_of_fewer_images_than_asked_for_all_are_found(but: int, last: float) -> None:
    found, distances = nearest(flat(5), Dataset("x", flat(1, 2), ""), 6, but=np.array([but]))
    assert found.shape == (1, 2, 2, 2, 1)
    assert distances[0, 1] == pytest.approx(last)


def test_a_runs_samples_stand_in_rows_before_their_neighbours(
    finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "near.png"
    workdir = str(finished.workdir)
    command_line.main(["sample", "--workdir", workdir, "--n=3", "--nearest", f"--out={out}"])
    samples, reals = finished.sample(3), read()
    found, distances = nearest(samples, Dataset("digits", reals, ""), 6)
    blank = np.full_like(samples, 255)
    rows = np.concatenate([samples[:, None], blank[:, None], found], axis=1)
    with Image.open(out) as opened:
        np.testing.assert_array_equal(np.asarray(opened), grid(rows.reshape(-1, 8, 8, 1), 8))
    ends = reals[[0, 898, 1796]]  # three spread evenly over 1,797
    _, apart = nearest(ends, Dataset("digits", reals, ""), 1, but=np.array([0, 898, 1796]))
    said = capsys.readouterr().err
    assert f"3 samples after 6 epochs, and the real images nearest to each: {out}\n" in said
    middle, between = np.median(distances[:, 0]), np.median(apart)
    assert f"nearest real image: {middle:.3f}; of a real one to another: {between:.3f} (" in said


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--n=0"], "--n=0 must be at least 1 and at most 1000"),
        (["--n=1001"], "--n=1001 must be at least 1 and at most 1000"),
        (["--seed=-1"], "--seed=-1 must be at least 0"),
        (["--grid"], "--grid does not go with --nearest"),
        (["--interpolate"], "--interpolate does not go with --nearest"),
        (["--out=x.gif"], "a grid is a .png"),
    ],
)
def test_what_is_refused(flags: list[str], says: str, finished: Run) -> None:
    with pytest.raises(UserError, match=says.replace(".", r"\.")):
        command_line.sample(["--workdir", str(finished.workdir), "--nearest", *flags])


def test_images_that_only_python_has_are_asked_for(tiny: dict[str, Any], tmp_path: Path) -> None:
    images = drawn(20, 0)[..., :1].repeat(4, 1).repeat(3, 2)[:, :8, :8]
    train(tiny | {"epochs": 1}, tmp_path, np.ascontiguousarray(images), quiet=True)
    with pytest.raises(UserError, match=r"trained on an array, .*\.sample\(n\), and compare"):
        neighbours.show(tmp_path, 2)
