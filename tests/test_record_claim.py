"""The events of a run, however damaged their file is; settings of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wgan_jax.config import resolve, to_dict
from wgan_jax.record.claim import append_event, ended, events, load_settings


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
