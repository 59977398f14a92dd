"""Where pictures from a checkpoint go, and that no others stay among them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from wgan_jax import sampling
from wgan_jax.errors import UserError
from wgan_jax.notebook import Run
from wgan_jax.sampling import between, sample

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


def test_a_folder_never_holds_pictures_of_two_checkpoints(finished: Run, tmp_path: Path) -> None:
    """Fewer than there are would leave some; as many or more write over all."""
    place, out = finished.workdir, tmp_path / "samples"
    sample(place, 3, checkpoint="3", out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UserError, match=r"e\.g\. 000002\.png, that would stay .* --out"):
        sample(place, 2, checkpoint="6", out=out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    sample(place, 4, checkpoint="6", out=out)
    assert numbers(out) == [0, 1, 2, 3]
    assert all((out / name).read_bytes() != picture for name, picture in before.items())
    with pytest.raises(UserError, match="has other pictures"):
        sample(place, 9, out=tmp_path)  # those in a folder below are measured too


def test_each_checkpoint_and_seed_has_a_folder_of_its_own(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.workdir, tmp_path / "run")
    generated = tmp_path / "run" / "generated"
    found: list[Path] = [
        sample(tmp_path / "run", 2, **how)
        for how in list[dict[str, Any]](
            [{}, {}, {"checkpoint": "3"}, {"seed": 1}, {"grid": True}, {"interpolate": True}]
        )
    ]
    assert [path.relative_to(generated).as_posix() for path in found] == [
        "samples_000006_seed0",
        "samples_000006_seed0",
        "samples_000003_seed0",
        "samples_000006_seed1",
        "grid_000006_seed0.png",
        "interpolation_000006_seed0.png",
    ]
    assert all(numbers(path) == [0, 1] for path in found if path.is_dir())


def test_a_notebook_draws_what_the_command_writes(finished: Run, tmp_path: Path) -> None:
    folder = sample(finished.workdir, 3, seed=2**32 - 1, out=tmp_path)
    for picture, path in zip(finished.sample(3, 2**32 - 1), sorted(folder.iterdir()), strict=True):
        with Image.open(path) as written:
            np.testing.assert_array_equal(picture[..., 0], np.asarray(written))


def test_more_pictures_than_a_batch_are_those_of_their_own_latents(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = finished.sample(10).astype(int)
    monkeypatch.setattr(sampling, "BATCH", 4)
    found = finished.sample(10).astype(int)
    assert found.shape == wanted.shape
    assert abs(found - wanted).max() <= 1  # of a program of another size
    assert (found[:4] != found[4:8]).any()


@pytest.mark.parametrize("d", [1, 2, 3, 4, 8, 32, 100])
def test_paths_between_latents_go_no_farther_out_than_their_ends(d: int) -> None:
    first, last = np.random.default_rng(d).normal(size=(2, 2000, d)).astype(np.float32)
    path = np.asarray(between(jnp.asarray(first), jnp.asarray(last), 9))
    np.testing.assert_allclose(path[:, 0], first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(path[:, -1], last, rtol=1e-5, atol=1e-6)
    lengths = np.linalg.norm(path, axis=-1)
    longer = np.maximum(lengths[:, 0], lengths[:, -1])
    assert (lengths.max(axis=1) <= 1.01 * longer).all()
    # Where the ends are neither alike nor opposite, lengths go evenly from one to the other.
    cosine = (first * last).sum(-1) / (lengths[:, 0] * lengths[:, -1])
    evenly = np.linspace(lengths[:, 0], lengths[:, -1], 9, axis=1)
    np.testing.assert_allclose(lengths[abs(cosine) < 0.9999], evenly[abs(cosine) < 0.9999], 0.01)


def test_paths_between_like_and_opposite_latents_are_straight() -> None:
    first, last = jnp.array([[1.0, 2], [0.5, 0]]), jnp.array([[3.0, 6], [-0.7, 0]])
    middle = [[[1, 2], [2, 4], [3, 6]], [[0.5, 0], [-0.1, 0], [-0.7, 0]]]
    np.testing.assert_allclose(between(first, last, 3), middle, rtol=1e-6, atol=1e-7)


def test_between_latents_of_one_length_paths_are_arcs() -> None:
    """By the formula of White 2016 in float64, for which lengths do not matter there."""
    ends = np.random.default_rng(0).normal(size=(2, 50, 100))
    ends *= 10 / np.linalg.norm(ends, axis=-1, keepdims=True)
    angle = np.arccos((ends[0] * ends[1]).sum(-1) / 100)[:, None, None]
    share = np.linspace(0, 1, 8)[:, None]
    a, b = np.sin((1 - share) * angle), np.sin(share * angle)
    arcs = (a * ends[0][:, None] + b * ends[1][:, None]) / np.sin(angle)
    first, last = jnp.asarray(ends, jnp.float32)
    np.testing.assert_allclose(between(first, last, 8), arcs, atol=1e-4)


def test_a_grid_is_a_png_or_goes_into_a_folder(finished: Run, tmp_path: Path) -> None:
    for name in ("grid.gif", "grid.jpg"):
        with pytest.raises(UserError, match=r"a grid is a \.png"):
            sample(finished.workdir, 4, grid=True, out=tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "v0.1").mkdir()
    for out, path in (
        ("grid.PNG", "grid.PNG"),
        ("new", "new/grid_000006_seed0.png"),
        ("v0.1", "v0.1/grid_000006_seed0.png"),
    ):
        assert sample(finished.workdir, 4, grid=True, out=tmp_path / out) == tmp_path / path
        assert (tmp_path / path).is_file()
