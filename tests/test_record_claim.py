"""The events of a run, however damaged their file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from wgan_jax.record.claim import append_event, ended, events


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
