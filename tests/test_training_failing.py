"""Runs that go wrong: non-finite values, failing verdicts, rollbacks, power cuts."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.small_runs import STREAMED, lines, power_cut, same_bits
from wgan_jax import hosts, loop, train
from wgan_jax.errors import OneLine, RunFailed
from wgan_jax.feeding import Resident
from wgan_jax.gan.rounds import Chunk
from wgan_jax.health.judge import Finding, Judge, Verdict
from wgan_jax.history import History
from wgan_jax.measurement import Quality
from wgan_jax.notebook import Run
from wgan_jax.record import events
from wgan_jax.record.samples import grid_paths
from wgan_jax.starting import open_run

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # orbax's event loops
    pytest.mark.usefixtures("no_dashboard", "traced_once"),
]


def poisoned(monkeypatch: pytest.MonkeyPatch, epoch: int, times: int = 1) -> None:
    """NaN in the generator's weights before the chunk that plays this epoch."""
    to_play, left = loop.Session._rounds_to_play, [times]

    def poison(session: Any, most: int) -> Any:
        if session.epoch == epoch and left[0]:
            left[0] -= 1
            params = dict(session.state.generator.params)
            params["Dense_0"] = jax.tree.map(lambda w: w * jnp.nan, params["Dense_0"])
            generator = session.state.generator.replace(params=params)
            session.state = session.state.replace(generator=generator)
        return to_play(session, most)

    monkeypatch.setattr(loop.Session, "_rounds_to_play", poison)


def test_non_finite_losses_stop_the_run_and_name_the_epoch(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, 3)
    with pytest.raises(RunFailed) as caught:
        train(tiny, tmp_path, quiet=True)
    assert "is nan at epoch 3" in str(caught.value)
    assert "the last checkpoint is after 3 epochs" in str(caught.value)
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1, 2, 3]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()) == ["3"]
    assert events.read(tmp_path)[-1]["event"] == "failed"


def test_what_is_not_finite_is_neither_saved_nor_drawn(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though both are due after just this epoch, the last of its chunk."""
    fetch = loop.Session._fetch

    def fetch_a_nan(session: Any, chunk: Chunk, clock: float) -> Any:
        if session.epoch + int(chunk.rounds) == 3:
            chunk = chunk._replace(metrics=chunk.metrics.at[chunk.rounds - 1, 0].set(jnp.nan))
        return fetch(session, chunk, clock)

    monkeypatch.setattr(loop.Session, "_fetch", fetch_a_nan)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 100.0)  # of one round, and two
    with pytest.raises(RunFailed, match="is nan at epoch 2; no checkpoint yet"):
        train(tiny, tmp_path, quiet=True)
    assert [path.name for path in grid_paths(tmp_path / "samples")] == ["epoch_000000.png"]


@pytest.mark.slow
def test_a_failed_run_goes_on_from_its_last_good_checkpoint(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        poisoned(patched, 3)
        with pytest.raises(RunFailed):
            train(tiny, tmp_path, quiet=True)
    assert same_bits(train(tiny, tmp_path, quiet=True).state, finished.state)


def test_rollback_goes_back_lowers_the_rates_and_records_it(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, 4)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    run = train(tiny | {"on_failure": "rollback"}, tmp_path, quiet=True)
    assert int(run.state.epoch) == 6
    assert float(run.state.rate_factor) == 0.5
    assert np.isfinite(run.history["d_loss"]).all()
    happened = [event["event"] for event in events.read(tmp_path)]
    assert [name for name in happened if name != "verdict"] == ["started", "rollback", "finished"]
    back = next(event for event in events.read(tmp_path) if event["event"] == "rollback")
    assert (back["epoch"], back["to_epoch"], back["rate_factor"]) == (4, 3, 0.5)
    assert "is nan" in back["reason"]
    assert [line["epoch"] for line in lines(tmp_path)] == list(range(6))


def started_once() -> Any:
    """`Feed.start`, which a rollback calls again: there the power is cut."""
    calls: list[object] = []
    return lambda *_: power_cut() if calls else calls.append(None)


@pytest.mark.slow
@pytest.mark.parametrize("left", ["drop_after", "nothing"])
def test_a_rollback_outlives_the_process(
    left: str, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended in the midst of it, with a checkpoint from before still there, and right after it."""
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    config = tiny | {"on_failure": "rollback", "checkpoint_every": 1, "max_rollbacks": 1}
    with monkeypatch.context() as patched:
        failing_after(patched, 4)
        whole = train(config, tmp_path / "whole", quiet=True)
    with monkeypatch.context() as patched:
        failing_after(patched, 4)
        if left == "drop_after":
            patched.setattr(loop.Checkpoints, "drop_after", power_cut)
        else:
            patched.setattr(Resident, "start", started_once())
        with pytest.raises(OSError, match="power cut"):
            train(config, tmp_path / "run", quiet=True)
        newest = loop.Checkpoints(tmp_path / "run" / "checkpoints").epochs()[-1]
        assert newest == {"drop_after": 4, "nothing": 3}[left]
    resumed = train(config, tmp_path / "run", quiet=True)
    assert float(resumed.state.rate_factor) == 0.5
    assert same_bits(resumed.state, whole.state)
    assert [line["epoch"] for line in lines(tmp_path / "run")] == list(range(6))


def test_a_rollback_to_the_start_takes_its_weights_from_there(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    states: list[Any] = []
    monkeypatch.setattr(Resident, "start", lambda _, state: states.append(jax.device_get(state)))
    poisoned(monkeypatch, 1)
    config = tiny | {"on_failure": "rollback", "init_from": str(finished.workdir), "epochs": 2}
    train(config, tmp_path / "run", quiet=True)
    assert [float(state.rate_factor) for state in states] == [1, 0.5]
    weights = finished.state.generator.params
    assert all(same_bits(state.generator.params, weights) for state in states)


@pytest.mark.parametrize("ending", ["finished", "failed", "stopped"])
def test_processes_leave_together_once_all_is_closed(
    ending: str, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jax ends those that wait long for one that still concludes, and that one with them."""
    happened: list[str] = []
    close = loop.Session.close

    def noted(session: Any) -> None:
        close(session)
        happened.append("closed")

    monkeypatch.setattr(loop.Session, "close", noted)
    monkeypatch.setattr(hosts, "meet", lambda: happened.append("met"))
    if ending == "failed":
        poisoned(monkeypatch, 3)
    if ending == "stopped":
        monkeypatch.setattr(hosts, "agreed", lambda rounds, _: (rounds, signal.SIGTERM))
    with contextlib.nullcontext() if ending == "finished" else pytest.raises(OneLine):
        train(tiny, tmp_path, quiet=True)
    assert events.read(tmp_path)[-1]["event"] == ending
    assert happened == ["closed", "met"]


def test_rollbacks_come_to_an_end(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, 4, times=100)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    with pytest.raises(RunFailed, match="Lower the learning rates: 2 rollbacks did not help"):
        train(tiny | {"on_failure": "rollback", "max_rollbacks": 2}, tmp_path, quiet=True)
    rates = [e["rate_factor"] for e in events.read(tmp_path) if e["event"] == "rollback"]
    assert rates == [0.5, 0.25]


def test_grids_show_the_same_latents_at_every_epoch(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that once nothing is learnt they are the same pictures."""
    poisoned(monkeypatch, 1)
    config = tiny | {"epochs": 3, "sample_every": 1}
    train(config | {"on_failure": "rollback", "rollback_factor": 1e-30}, tmp_path, quiet=True)
    assert [e["to_epoch"] for e in events.read(tmp_path) if e["event"] == "rollback"] == [0]
    pictures = [path.read_bytes() for path in grid_paths(tmp_path / "samples")]
    assert (len(pictures), len(set(pictures))) == (4, 1)


FAILING = Verdict.of(
    [Finding("made_up", "collapse", "failing", "1 of 10 classes", 3, "lower the rate", "a test")]
)


def failing_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """A judge that calls the run failing once it is so long, and healthy after a rollback."""
    accused: list[Judge] = []

    def update(judge: Judge, history: History) -> Verdict:
        if len(history) >= epochs and not accused:
            accused.append(judge)
        return FAILING if judge in accused else Verdict.of([])

    monkeypatch.setattr(Judge, "update", update)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)


def test_a_failing_run_is_stopped_where_asked_for_and_keeps_its_report(
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing_after(monkeypatch, 4)
    with pytest.raises(RunFailed) as caught:
        train(tiny | {"on_failure": "stop"}, tmp_path)
    assert str(caught.value).endswith(
        "stopped: failing since epoch 3: collapse; the last checkpoint is after 5 epochs. "
        "See report.html for advice, or go on with --config.on_failure=rollback."
    )
    assert "Health: failing since epoch 3: collapse (1 of 10 classes)" in capsys.readouterr().out
    happened = [event["event"] for event in events.read(tmp_path)]
    assert happened == ["started", "verdict", "failed"]
    assert json.loads((tmp_path / "summary.json").read_text())["status"] == "failed"
    assert (tmp_path / "report.html").exists()
    marks = json.loads((tmp_path / "checkpoints" / "marks.json").read_text())
    assert marks["healthy"]["epoch"] == 3  # the one saved when it stopped is not


def test_a_failing_run_is_rolled_back_where_asked_for(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_after(monkeypatch, 4)
    run = train(tiny | {"on_failure": "rollback"}, tmp_path, quiet=True)
    assert float(run.state.rate_factor) == 0.5
    (back,) = [event for event in events.read(tmp_path) if event["event"] == "rollback"]
    assert back["to_epoch"] == 3
    assert "collapse" in back["reason"]
    assert [line["epoch"] for line in lines(tmp_path)] == list(range(6))


@pytest.mark.slow
def test_a_run_rolled_back_past_its_best_checkpoints_keeps_the_best(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come after the last healthy one in a run that at first went on though it was failing."""
    fids = iter([50.0, 40.0, 30.0, 20.0, 10.0, 45.0, 44.0, 43.0, 42.0, 41.0])

    def measure(_: Any, played: Any) -> None:
        played.quality = Quality({"fid_score": next(fids)}, "digits", {})

    monkeypatch.setattr(loop.Session, "_measure", measure)
    config = tiny | {"checkpoint_every": 1, "quality_every": 1}
    failing_after(monkeypatch, 3)
    train(config | {"epochs": 5}, tmp_path, quiet=True)
    failing_after(monkeypatch, 3)
    run = train(config | {"on_failure": "rollback"}, tmp_path, quiet=True)
    (back,) = [event for event in events.read(tmp_path) if event["event"] == "rollback"]
    assert (back["to_epoch"], int(run.state.epoch)) == (2, 6)
    _, epoch, state = open_run(tmp_path, "best")
    assert (epoch, float(state.rate_factor)) == (5, 1.0)
    assert float(open_run(tmp_path, "5")[2].rate_factor) == 0.5


def test_samples_that_a_rollback_took_back_are_not_shown(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those after 6 epochs: the run that goes on fails after 5."""
    lives, limits = iter([5, 4]), dict[Judge, int]()

    def update(judge: Judge, history: History) -> Verdict:
        if judge not in limits:
            limits[judge] = next(lives, 4)
        return FAILING if len(history) >= limits[judge] else Verdict.of([])

    monkeypatch.setattr(Judge, "update", update)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    config = tiny | {"on_failure": "rollback", "max_rollbacks": 1, "sample_every": 1}
    with pytest.raises(RunFailed, match="1 rollbacks did not help"):
        train(config, tmp_path, quiet=True)
    assert [line["epoch"] for line in lines(tmp_path)] == [0, 1, 2, 3, 4]
    assert "after 5 epochs" in (tmp_path / "report.html").read_text()
    with Image.open(tmp_path / "samples" / "progress.gif") as gif:
        assert gif.n_frames == 6


def test_by_default_a_failing_run_goes_on(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_after(monkeypatch, 4)
    assert same_bits(train(tiny, tmp_path, quiet=True).state, finished.state)
    verdicts = [line["verdict"] for line in lines(tmp_path)]
    assert verdicts == ["healthy"] * 3 + ["failing"] * 3


def test_a_streamed_run_rolls_back(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(monkeypatch, 4)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    config = tiny | {"on_failure": "rollback", "data": STREAMED}
    run = train(config, tmp_path, quiet=True)
    assert int(run.state.epoch) == 6
    drawn_images = 6 * tiny["n_critic"] * tiny["batch_size"]
    assert int(run.state.position) == drawn_images
    assert [event["event"] for event in events.read(tmp_path) if event["event"] != "verdict"] == [
        "started",
        "rollback",
        "finished",
    ]


def test_a_best_that_was_marked_and_never_whole_is_found_again(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_best = loop.Checkpoints.mark_best

    def cut(*arguments: Any) -> None:
        mark_best(*arguments)
        power_cut()

    few = {"epochs": 3, "checkpoint_every": 0, "keep_checkpoints": 1, "sample_every": 0}
    config = tiny | few | {"quality_every": 2, "quality": {"n": 64, "batch_size": 64}}
    with monkeypatch.context() as patched:
        patched.setattr(loop.Checkpoints, "mark_best", cut)
        patched.setattr(loop.Checkpoints, "save", lambda *_, **__: None)  # not yet whole
        with pytest.raises(OSError, match="power cut"):
            train(config, tmp_path, quiet=True)
    train(config, tmp_path, quiet=True)
    marks = json.loads((tmp_path / "checkpoints" / "marks.json").read_text())
    assert marks["best"]["epoch"] in (2, 3)
    assert loop.Checkpoints(tmp_path / "checkpoints").epochs() == [2, 3]
