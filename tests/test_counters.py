"""What a run may ask of device and compiler: counted, since a slip here costs speed and no test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from wgan_jax.data.digits import read_labelled
from wgan_jax.gan.rounds import CHUNK, Chunk
from wgan_jax.loop import Session
from wgan_jax.record.writers import MultiWriter
from wgan_jax.recording import Played
from wgan_jax.training import train

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """Names of the programs compiled meanwhile (read from the cache, or made)."""
    found: list[str] = []

    def note(event: str, duration: float, **details: object) -> None:
        del duration
        if event == COMPILED:
            found.append(str(details.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    jax.monitoring.unregister_event_duration_listener(note)


def test_one_program_for_all_chunks_and_one_transfer_a_chunk(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[str]
) -> None:
    fetched: list[int] = []
    usual_get, usual_fetch = jax.device_get, Session._fetch

    def counted(tree: Any) -> Any:
        if isinstance(tree, Chunk):
            fetched.append(sum(leaf.nbytes for leaf in tree))
        return usual_get(tree)

    after_first: list[int] = []

    def fetch(self: Session, chunk: Chunk, clock: float) -> Played:
        played = usual_fetch(self, chunk, clock)
        after_first.append(len(compiled))
        return played

    lengths = iter([1, 3, 2, 4, 1, 1])
    monkeypatch.setattr(jax, "device_get", counted)
    monkeypatch.setattr(Session, "_fetch", fetch)
    monkeypatch.setattr(Session, "_rounds_to_play", lambda *_: next(lengths))
    images, _ = read_labelled()
    run = train(tiny | {"epochs": 12, "checkpoint_every": 4}, tmp_path / "run", images, quiet=True)
    assert np.isfinite(run.history["d_loss"]).all()
    assert fetched == [CHUNK * len(run.game.metric_keys) * 4 + 8] * 6
    assert sum("play_chunk" in name for name in compiled) == 1
    # When all goes its way, nothing is compiled but what copies a state to be saved, once.
    assert compiled[after_first[0] : after_first[-1]] in ([], ["jit(_copied)"])


def test_the_device_works_while_the_chunk_before_is_recorded(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            happened.append(name)
            return call(*arguments)

        return noting

    def opened(session: Session) -> None:
        usual_open(session)
        session.program = noted("begun", session.program)

    usual_open = Session._open
    monkeypatch.setattr(Session, "_open", opened)
    monkeypatch.setattr(Session, "_fetch", noted("fetched", Session._fetch))
    monkeypatch.setattr(MultiWriter, "write_chunk", noted("recorded", MultiWriter.write_chunk))
    monkeypatch.setattr(Session, "_rounds_to_play", lambda *_: 1)
    train(tiny | {"epochs": 3, "sample_every": 0, "checkpoint_every": 0}, tmp_path, quiet=True)
    one_ahead = ["begun", "recorded", "fetched"]
    assert happened == ["begun", "fetched", *one_ahead, *one_ahead, "recorded"]
