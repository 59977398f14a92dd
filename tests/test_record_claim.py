"""Whose folder it is; a run's events, however damaged; settings, and images that have moved."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from wgan_jax import files, train
from wgan_jax.config import resolve, to_dict
from wgan_jax.errors import UserError
from wgan_jax.record.claim import (
    append_event,
    claimed,
    ended,
    events,
    is_guarded,
    load_dataset,
    load_settings,
    settle,
)
from wgan_jax.settings import Settings


def test_a_folder_has_one_process(tmp_path: Path) -> None:
    with claimed(tmp_path):
        assert is_guarded(tmp_path)
        with pytest.raises(UserError, match="Another process trains"), claimed(tmp_path):
            pass
    assert is_guarded(tmp_path)


@pytest.mark.parametrize("name", ["[1]", "a\\b", "\udcff"])
def test_a_folder_whose_checkpoints_could_not_be_read_back_is_refused(
    name: str, tiny: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / name / "run"
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match="name another folder, or a link to this one"):
        train(tiny, folder, quiet=True)
    assert not list(folder.iterdir())

    link = tmp_path / "link"
    link.symlink_to(folder)
    epochs = train(tiny, link, quiet=True).settings.epochs
    train(tiny | {"epochs": epochs + 1}, link, quiet=True)
    assert [event["event"] for event in events(folder)][2:] == ["resumed", "finished"]


def test_a_run_whose_checkpoints_lie_on_a_disk_that_is_gone_is_left_as_it_was(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    train(tiny, tmp_path / "run", quiet=True)
    record, disk = tmp_path / "run/metrics.jsonl", tmp_path / "disk"
    before = record.read_bytes()
    (tmp_path / "run/checkpoints").rename(disk)
    (tmp_path / "run/checkpoints").symlink_to(disk)
    disk.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"run/checkpoints is a link .*is its disk mounted"):
        train(tiny, tmp_path / "run", quiet=True)
    assert record.read_bytes() == before

    (tmp_path / "elsewhere").rename(disk)
    run = train(tiny | {"epochs": 2 * len(before.splitlines())}, tmp_path / "run", quiet=True)
    assert run.history.epochs.tolist() == list(range(run.settings.epochs))


NONE = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@pytest.mark.parametrize("number", NONE, ids=lambda number: errno.errorcode[number])
def test_where_a_file_system_has_no_locks_nothing_is_refused(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch, number)
    with claimed(tmp_path), claimed(tmp_path):
        assert not is_guarded(tmp_path)


def test_a_start_says_once_that_there_are_no_locks(
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without_locks(monkeypatch, errno.ENOSYS)
    train(tiny, tmp_path / "run")
    said = capsys.readouterr().out
    assert said.count("there are no file locks: see to it that no second process trains") == 1
    assert (tmp_path / "EXPERIMENTS.md").exists()
    assert "experiment log" not in said


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A file system whose `flock` fails with this error."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", flock)


@pytest.mark.parametrize(
    "damage",
    [b'{"time": "2026-11-25T00:00', b"\xff\xfe\n", b"[1]\n", b"7\n", b'{"event": 3}\n', b"\n"],
)
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, damage: bytes) -> None:
    append_event(tmp_path, "started", 0)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(damage)
    assert not ended(tmp_path)
    append_event(tmp_path, "finished", 5, verdict="healthy")
    assert [(event["event"], event["epoch"]) for event in events(tmp_path)] == [
        ("started", 0),
        ("finished", 5),
    ]
    assert ended(tmp_path)


def test_no_events_yet(tmp_path: Path) -> None:
    assert events(tmp_path) == []
    assert not ended(tmp_path)


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
    append_event(begun, event, settings.epochs - 1)
    settle(begun, dataclasses.replace(settings, log_every=7), known)
    found = load_settings(begun)
    assert (found.log_every == settings.log_every) is kept
    assert found.data.name == "folder:elsewhere"
    longer = dataclasses.replace(settings, epochs=settings.epochs + 1, log_every=7)
    settle(begun, longer, known)
    assert load_settings(begun) == longer
