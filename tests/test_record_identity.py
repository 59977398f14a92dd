"""Settings and images that a folder's run was begun with, and pictures that have moved."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from wgan_jax.config import resolve, to_dict
from wgan_jax.errors import UserError
from wgan_jax.record import events
from wgan_jax.record.identity import load_dataset, load_settings, settle
from wgan_jax.settings import Settings


def test_a_run_with_a_setting_that_is_gone_is_read(tmp_path: Path) -> None:
    found = to_dict(resolve({})) | {"gpu_graph": True}
    (tmp_path / "config.json").write_text(json.dumps(found))
    assert load_settings(tmp_path) == resolve({})


def images(place: str, fingerprint: str = "a", names: str = "n") -> tuple[Settings, dict[str, Any]]:
    """Settings with images in a place, and what 40 images are known by that were found there."""
    known = {"name": place, "shape": [40, 8, 8, 3], "fingerprint": fingerprint, "names": names}
    return resolve({"data": {"name": place}}), known


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run on pictures in a folder, of which an epoch is trained."""
    settle(tmp_path, *images("folder:there"))
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0}\n')
    return tmp_path


def test_pictures_may_move_and_the_run_knows_where_they_are(begun: Path) -> None:
    settle(begun, *images("folder:/elsewhere"))
    assert load_settings(begun).data.name == "folder:/elsewhere"
    assert load_dataset(begun)["name"] == "folder:/elsewhere"


def test_other_pictures_in_another_place_are_refused(begun: Path) -> None:
    with pytest.raises(UserError, match="folder:there then, folder:elsewhere now"):
        settle(begun, *images("folder:elsewhere", fingerprint="b"))
    assert load_settings(begun).data.name == "folder:there"


def test_a_place_decides_where_nothing_else_tells_the_images(begun: Path) -> None:
    (begun / "dataset.json").unlink()
    with pytest.raises(UserError, match="other settings"):
        settle(begun, *images("folder:elsewhere"))
    with pytest.raises(UserError, match="other settings"):
        settle(begun, *images("digits"))


@pytest.mark.parametrize(("event", "kept"), [("finished", True), ("stopped", False)])
def test_a_run_with_nothing_left_to_do_keeps_its_settings(
    begun: Path, event: str, kept: bool
) -> None:
    settings, known = images("folder:elsewhere")
    (begun / "checkpoints" / str(settings.epochs)).mkdir(parents=True)
    events.append(begun, event, settings.epochs - 1)
    settle(begun, dataclasses.replace(settings, log_every=7), known)
    found = load_settings(begun)
    assert (found.log_every == settings.log_every) is kept
    assert found.data.name == "folder:elsewhere"
    longer = dataclasses.replace(settings, epochs=settings.epochs + 1, log_every=7)
    settle(begun, longer, known)
    assert load_settings(begun) == longer
