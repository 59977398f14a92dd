"""Which checkpoints are the best and the last healthy: `marks.json`, or what the record tells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wgan_jax.files import read_object, replace_object
from wgan_jax.history import epoch_of, parsed

Marks = dict[str, dict[str, Any]]

BEST = ("best", "best before")
_ASIDE = "rolled-back-"  # and a number: folders of bests that a rollback went back past


def load(path: Path) -> Marks | None:
    """The marks in a file; None where it is missing or damaged."""
    found = read_object(path)
    whole = found and all(_whole(name, mark) for name, mark in found.items())
    return found if whole else None


def _whole(name: str, mark: object) -> bool:
    if not isinstance(mark, dict) or type(mark.get("epoch")) is not int:
        return False
    return name not in BEST or (_is_number(mark.get("fid_score")) and "encoder" in mark)


def standing(marks: Marks, epochs: Sequence[int]) -> Marks:
    """The marks, without those of the best whose checkpoints are gone.

    Where `best` is gone, the best before it takes its place. Until then both stay: what is read at
    a start may be dropped or found damaged later.
    """
    others = {name: mark for name, mark in marks.items() if name not in BEST}
    left = [marks[name] for name in BEST if name in marks and marks[name]["epoch"] in epochs]
    return others | dict(zip(BEST, left, strict=False))


def set_aside(folder: Path, best: dict[str, Any]) -> str:
    """Move the best checkpoint to a folder of its own, with a mark; the folder's name.

    "" where it is not there, or a better one was moved so before.
    """
    checkpoint = folder / str(best["epoch"])
    if not checkpoint.is_dir() or set_aside_and_better(folder, best):
        return ""
    free = (folder / f"{_ASIDE}{number}" for number in itertools.count(1))
    place = next(path for path in free if not path.exists())
    replace_object(place / "marks.json", {"best": best})
    checkpoint.rename(place / checkpoint.name)
    return place.name


def set_aside_and_better(folder: Path, best: dict[str, Any] | None) -> list[str]:
    """Names of the folders with checkpoints that were set aside and are better than `best`.

    The best of them comes first. Without `best`, all of them; an FID by another encoder says
    nothing.
    """
    found = []
    for path in folder.glob(f"{_ASIDE}*/marks.json"):
        mark = (load(path) or {}).get("best")
        if not mark or not (path.parent / str(mark["epoch"])).is_dir():
            continue  # moving it was cut short
        fid, encoder = mark["fid_score"], mark["encoder"]
        if best is None or (encoder == best["encoder"] and fid < best["fid_score"]):
            found.append((fid, path.parent.name))
    return [name for _, name in sorted(found)]


def told(record: Path, epochs: Sequence[int]) -> Marks:
    """The marks of the checkpoints after so many epochs, as far as `metrics.jsonl` tells them.

    A checkpoint whose line is lost may be the best, and is marked as `untold`, which keeps it.
    """
    lines = {done: line for done, line in _lines(record) if done in epochs}
    marks: Marks = {f"untold {epoch}": {"epoch": epoch} for epoch in epochs if epoch not in lines}
    healthy = [done for done, line in lines.items() if line.get("verdict") not in (None, "failing")]
    if healthy:
        marks["healthy"] = {"epoch": max(healthy)}
    measured = {
        done: {key: line[key] for key in ("fid_score", "encoder")}
        for done, line in lines.items()
        if _is_number(line.get("fid_score")) and "encoder" in line
    }
    if measured:
        newest = measured[max(measured)]["encoder"]
        alike = [done for done, found in measured.items() if found["encoder"] == newest]
        for name in BEST:
            if alike:
                best = min(alike, key=lambda done: measured[done]["fid_score"])
                marks[name] = {"epoch": best, **measured[best]}
                alike = [done for done in alike if done < best]
    return marks


def _lines(record: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(epochs played, the last of them's line) of a record; nothing where there is none."""
    if not record.is_file():
        return
    with record.open("rb") as lines:
        for line in lines:
            found = parsed(line) or {}
            epoch = epoch_of(found)
            if epoch is not None:
                yield epoch + 1, found


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
