"""A run's events, however damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from wgan_jax.record import events


@pytest.mark.parametrize(
    "damage",
    [b'{"time": "2026-11-25T00:00', b"\xff\xfe\n", b"[1]\n", b"7\n", b'{"event": 3}\n', b"\n"],
)
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, damage: bytes) -> None:
    events.append(tmp_path, "started", 0)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(damage)
    assert not events.ended(tmp_path)
    events.append(tmp_path, "finished", 5, verdict="healthy")
    assert [(event["event"], event["epoch"]) for event in events.read(tmp_path)] == [
        ("started", 0),
        ("finished", 5),
    ]
    assert events.ended(tmp_path)


def test_no_events_yet(tmp_path: Path) -> None:
    assert events.read(tmp_path) == []
    assert not events.ended(tmp_path)
