"""What happened to a run, and when: a line each in `events.jsonl`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from wgan_jax.files import append_line
from wgan_jax.history import parsed
from wgan_jax.record.writers import to_json


def new(event: str, epoch: int, **details: Any) -> dict[str, Any]:
    """What happened to the run, at which epoch, and when: now, unless the details say."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"time": now, "epoch": epoch, "event": event, **details}


def append(workdir: Path, event: str, epoch: int, **details: Any) -> None:
    """One line in `events.jsonl`, as `new` makes it."""
    append_line(workdir / "events.jsonl", to_json(new(event, epoch, **details)))


def read(workdir: Path) -> list[dict[str, Any]]:
    """All events of a run, oldest first; a damaged line, or one cut short, is left out."""
    path = workdir / "events.jsonl"
    if not path.exists():
        return []
    with path.open("rb") as lines:
        found = [parsed(line) for line in lines]
    return [event for event in found if event and isinstance(event.get("event"), str)]


def ended(workdir: Path) -> bool:
    """Whether the run in a folder has nothing left to do."""
    last = read(workdir)[-1:]
    return bool(last) and last[0]["event"] in ("finished", "failed")
