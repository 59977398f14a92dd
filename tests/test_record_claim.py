"""Whose folder it is: one process at a time, where there are locks."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from wgan_jax import files, train
from wgan_jax.errors import UserError
from wgan_jax.record import events
from wgan_jax.record.claim import claimed, is_guarded

pytestmark = pytest.mark.usefixtures("no_dashboard", "traced_once")


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
    assert [event["event"] for event in events.read(folder)][2:] == ["resumed", "finished"]


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
