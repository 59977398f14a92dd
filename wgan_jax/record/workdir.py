"""Reads back what a run left in its folder, however much of it is there. Without jax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wgan_jax.config import describe, fits
from wgan_jax.errors import UserError
from wgan_jax.files import absolute, as_object
from wgan_jax.history import NON_FINITE, History, epoch_of, parsed

# Entries of the environment that are neither text nor number.
_ENVIRONMENT = {
    "untracked": list,
    "command": list,
    "flags": dict,
    "versions": dict,
    "earlier": list,
}


@dataclass(frozen=True)
class RunFolder:
    """A run folder's contents.

    Attributes:
      workdir: the folder; its name is the run's name.
      config: settings under dotted names; empty where `config.json` is missing.
      environment: versions, device, commit, seed (see `record.environment`).
      summary: the run's row in the experiment log (see `record.ledger`).
      history: what was measured.
      latest: the last value of each key in `metrics.jsonl` that is no number: verdict, encoder,
        protocol (its parts by name), class_shares.
      events: what happened, in order.
      faults: one line for each file, or value in one, that is damaged, and in what manner.
    """

    workdir: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    summary: dict[str, Any]
    history: History
    latest: dict[str, Any]
    events: list[dict[str, Any]]
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return absolute(self.workdir).name


def read(workdir: Path) -> RunFolder:
    """Read a run folder. Damage costs what is damaged and is listed in `faults`.

    Raises:
      UserError: there is no such folder, or nothing was measured in it.
    """
    if not (workdir / "metrics.jsonl").is_file():
        raise UserError(f"{workdir} is not a run folder: it has no metrics.jsonl.")
    faults: list[str] = []
    latest: dict[str, Any] = {}
    rows = _increasing(_lines(workdir / "metrics.jsonl", faults))
    history = History.from_rows(_noted(rows, latest))
    if not len(history):
        raise UserError(f"{workdir / 'metrics.jsonl'} holds no epoch yet: nothing to report.")
    shares = latest.get("class_shares", {})
    if not isinstance(shares, dict) or not all(type(x) in (int, float) for x in shares.values()):
        latest = _without(["class_shares"], latest, "metrics.jsonl", faults)
    return RunFolder(
        workdir=workdir,
        config=_settings(workdir / "config.json", faults),
        environment=_environment(workdir / "environment.json", faults),
        summary=_object(workdir / "summary.json", faults),
        history=history,
        latest=latest,
        events=list(_lines(workdir / "events.jsonl", faults)),
        faults=faults,
    )


def _settings(path: Path, faults: list[str]) -> dict[str, Any]:
    """Settings under dotted names, each of its own kind."""
    found = flatten(_object(path, faults))
    defaults = {name: default for name, default, _ in describe()}
    known = found.keys() & defaults.keys()
    odd = sorted(name for name in known if not fits(found[name], defaults[name]))
    return _without(odd, found, path.name, faults)


def _environment(path: Path, faults: list[str]) -> dict[str, Any]:
    found = _object(path, faults)
    odd = [
        name for name, kind in _ENVIRONMENT.items() if not isinstance(found.get(name, kind()), kind)
    ]
    return _without(odd, found, path.name, faults)


def _without(
    odd: Sequence[str], found: dict[str, Any], file: str, faults: list[str]
) -> dict[str, Any]:
    """What a file holds but for values of a kind that does not belong there."""
    faults += [f"{file}: its {name} is damaged and was left out." for name in odd]
    return {name: value for name, value in found.items() if name not in odd}


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, e.g. `data.flip`."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _object(path: Path, faults: list[str]) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none."""
    if not path.exists():
        return {}
    found = as_object(path.read_bytes())
    if found is None:
        faults.append(f"{path.name} is damaged and was left out.")
        return {}
    return found


def _lines(path: Path, faults: list[str]) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file; lines that hold none are counted as one fault."""
    if not path.exists():
        return
    bad = 0
    with path.open("rb") as lines:
        for line in lines:
            found = parsed(line)
            if found is not None:
                yield {
                    k: NON_FINITE.get(v, v) if isinstance(v, str) else v for k, v in found.items()
                }
            else:
                bad += 1
    if bad:
        faults.append(f"{path.name} has {bad} damaged line{'s' * (bad > 1)}, left out.")


def _noted(rows: Iterator[dict[str, Any]], latest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows as they pass; `latest` keeps the last value of each key that is no number."""
    for row in rows:
        latest.update({k: v for k, v in row.items() if isinstance(v, str | dict)})
        yield row


def _increasing(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows with an epoch above all before them."""
    last = -1
    for row in rows:
        epoch = epoch_of(row)
        if epoch is not None and epoch > last:
            last = epoch
            yield row
