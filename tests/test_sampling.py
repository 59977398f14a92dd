"""Where pictures from a checkpoint go, and that no others stay among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wgan_jax import train
from wgan_jax.errors import UserError
from wgan_jax.sampling import sample

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # orbax's event loops


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


def test_a_folder_never_holds_pictures_of_two_checkpoints(finished, tmp_path):
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


def test_each_checkpoint_and_seed_has_a_folder_of_its_own(tiny, tmp_path):
    train(tiny, tmp_path / "run", quiet=True)
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


def test_a_grid_is_a_png_or_goes_into_a_folder(finished, tmp_path):
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
