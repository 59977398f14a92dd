"""Whole runs, small: what they leave, that they resume exactly, and what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.small_runs import STREAMED, lines, power_cut, same_bits
from wgan_jax import hosts, loop, train
from wgan_jax.config import resolve, to_dict
from wgan_jax.data.digits import read_labelled
from wgan_jax.errors import Interrupted, UserError
from wgan_jax.gan.state import GanState, new_game, root_key
from wgan_jax.health import judge
from wgan_jax.history import History
from wgan_jax.keys import ROUND_KEYS
from wgan_jax.notebook import Run
from wgan_jax.preview import _passes, preview
from wgan_jax.record import events
from wgan_jax.record.claim import claimed
from wgan_jax.record.samples import epochs_in_name, grid_paths
from wgan_jax.record.writers import JsonLinesWriter
from wgan_jax.starting import new_state, open_run, weights_from

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # orbax's event loops
    pytest.mark.usefixtures("no_dashboard", "traced_once"),
]


def test_what_a_run_leaves(finished: Run) -> None:
    place = finished.workdir
    assert [line["epoch"] for line in lines(place)] == list(range(6))
    for line in lines(place):
        assert set(line) >= {*ROUND_KEYS, "epoch_time", "images_per_second", "verdict"}
    assert [path.name for path in sorted((place / "samples").iterdir())] == [
        *(f"epoch_{epoch:06d}.png" for epoch in (0, 3, 6)),
        "progress.gif",
        "reals.png",
    ]
    with Image.open(place / "samples" / "progress.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
    assert json.loads((place / "config.json").read_text())["batch_size"] == 8
    assert json.loads((place / "environment.json").read_text())["seed"] == 42
    assert [event["event"] for event in events.read(place)] == ["started", "finished"]
    assert sorted(p.name for p in (place / "checkpoints").iterdir() if p.name.isdigit()) == [
        "3",
        "6",
    ]


def test_the_run_in_a_notebook(finished: Run) -> None:
    distance = finished.history["wasserstein_distance"]
    assert distance.shape == (6,)
    assert distance.tolist() == [line["wasserstein_distance"] for line in lines(finished.workdir)]
    for n, seed in ((0, 0), (-1, 0), (1, -1), (1, 2**32), (1e3, 0), (1, "0")):
        with pytest.raises(UserError, match=r"from 1 to 1000000, the seed from 0 to 2\*\*32 - 1"):
            finished.sample(n, seed)
    pictures = finished.sample(5)
    assert (pictures.shape, pictures.dtype) == ((5, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(pictures, finished.sample(5))
    assert not np.array_equal(pictures, finished.sample(5, seed=1))


def test_the_same_seed_is_the_same_run(finished: Run, tiny: dict[str, Any], tmp_path: Path) -> None:
    """Whatever kind of keys jax makes where none is named."""
    with jax.default_prng_impl("rbg"):
        again = train(tiny, tmp_path / "again", quiet=True)
    assert same_bits(again.state, finished.state)
    other = train(tiny | {"seed": 1}, tmp_path / "other", quiet=True)
    assert not np.array_equal(other.history["d_loss"], finished.history["d_loss"])


def test_stopped_and_resumed_is_the_same_run(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after 1, 2 and 5 epochs, between them in chunks of one round."""
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    for stop in (1, 2, 5):
        with pytest.raises(Interrupted), stopping_after(stop, monkeypatch):
            train(tiny, tmp_path / "run", quiet=True)
        assert status(tmp_path / "run") == "stopped"
    resumed = train(tiny, tmp_path / "run", quiet=True)
    assert same_bits(resumed.state, finished.state)
    for key in finished.game.metric_keys:
        np.testing.assert_array_equal(resumed.history[key], finished.history[key])
    assert [line["epoch"] for line in lines(tmp_path / "run")] == list(range(6))
    happened = [event["event"] for event in events.read(tmp_path / "run")]
    assert happened == ["started", "stopped"] + ["resumed", "stopped"] * 2 + ["resumed", "finished"]


def test_a_ctrl_c_that_is_lost_while_a_run_is_prepared_stops_it(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python loses one in a callback of its garbage collector."""
    feed, before = loop.feed, signal.signal(signal.SIGINT, signal.default_int_handler)

    def feed_and_lose(*arguments: Any) -> Any:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return feed(*arguments)

    try:
        monkeypatch.setattr(loop, "feed", feed_and_lose)
        with pytest.raises(Interrupted, match="after 0 of 6"):
            train(tiny, tmp_path / "run", quiet=True)
    finally:
        monkeypatch.setattr(loop, "feed", feed)
        signal.signal(signal.SIGINT, before)
    assert status(tmp_path / "run") == "stopped"
    assert same_bits(train(tiny, tmp_path / "run", quiet=True).state, finished.state)


def status(workdir: Path) -> str:
    """What the experiment log says of a run."""
    return str(json.loads((workdir / "summary.json").read_text())["status"])


class stopping_after:
    """SIGTERM to this process once so many epochs are played."""

    def __init__(self, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epochs, self.monkeypatch = epochs, monkeypatch

    def __enter__(self) -> None:
        fetch = loop.Session._fetch

        def fetch_and_stop(session: Any, *args: Any) -> Any:
            played = fetch(session, *args)
            if session.epoch >= self.epochs:
                os.kill(os.getpid(), signal.SIGTERM)
            return played

        self.monkeypatch.setattr(loop.Session, "_fetch", fetch_and_stop)
        self.undo: Callable[[], None] = lambda: self.monkeypatch.setattr(
            loop.Session, "_fetch", fetch
        )

    def __exit__(self, *_: object) -> None:
        self.undo()


def test_a_stop_is_told_when_all_is_saved(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the event may start the run elsewhere at once."""
    event, there = loop.Recorder.event, list[tuple[str, list[int]]]()

    def noted(record: Any, name: str, *arguments: Any, **details: Any) -> None:
        there.append((name, loop.Checkpoints(tmp_path / "checkpoints").epochs()))
        event(record, name, *arguments, **details)

    monkeypatch.setattr(loop.Recorder, "event", noted)
    with pytest.raises(Interrupted), stopping_after(1, monkeypatch):
        train(tiny, tmp_path, quiet=True)
    assert there == [("started", []), ("stopped", [1])]


def test_no_checkpoint_without_the_epochs_that_led_to_it(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long these take to be written."""
    write, save, recorded = JsonLinesWriter.write_chunk, loop.Checkpoints.save, dict[int, int]()

    def write_slowly(*arguments: Any) -> None:
        time.sleep(0.2)
        write(*arguments)

    def noted(checkpoints: Any, epoch: int, *arguments: Any, **more: Any) -> None:
        recorded[epoch] = len(lines(tmp_path))
        save(checkpoints, epoch, *arguments, **more)

    monkeypatch.setattr(JsonLinesWriter, "write_chunk", write_slowly)
    monkeypatch.setattr(loop.Checkpoints, "save", noted)
    train(tiny, tmp_path, quiet=True)
    assert recorded == {3: 3, 6: 6}


def test_a_chunk_lasts_a_second_and_ends_where_something_is_due(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes 0.3 seconds by this clock, however many rounds it has."""
    ticks = itertools.count(0, 0.3)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), monotonic=time.monotonic)
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(loop, "CHUNK", 8)
    config = tiny | {"epochs": 29, "sample_every": 0, "checkpoint_every": 15}
    run = train(config, tmp_path, quiet=True)
    # At first one; a second's worth; what there is room for; as far as a checkpoint, and the end.
    lengths = np.repeat([1, 3, 8, 3, 8, 6], [1, 3, 8, 3, 8, 6])
    np.testing.assert_allclose(run.history["epoch_time"], 0.3 / lengths)
    np.testing.assert_allclose(run.history["images_per_second"], lengths * 2 * 8 / 0.3)


def test_a_crash_between_checkpoints_is_the_same_run(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines written after the last checkpoint are played again, and kept aside."""

    def crash(session: Any) -> None:
        if session.epoch == 5:
            session.record.record()
            raise OSError("power cut")

    monkeypatch.setattr(loop, "CHUNK_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(loop.Session, "_at_boundaries", crash_after(3, crash))
        with pytest.raises(OSError, match="power cut"):
            train(tiny, tmp_path / "run", quiet=True)
    assert status(tmp_path / "run") == "running"
    resumed = train(tiny, tmp_path / "run", quiet=True)
    assert same_bits(resumed.state, finished.state)
    assert [line["epoch"] for line in lines(tmp_path / "run")] == list(range(6))
    assert len((tmp_path / "run" / "metrics.dropped.jsonl").read_text().splitlines()) == 2


def crash_after(epochs: int, crash: Any) -> Any:
    real = loop.Session._at_boundaries

    def at_boundaries(session: Any, played: Any) -> None:
        if session.epoch > epochs:
            crash(session)
        else:
            real(session, played)

    return at_boundaries


def test_more_epochs_continue_a_finished_run(
    finished: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    train(tiny | {"epochs": 4}, tmp_path / "run", quiet=True)
    longer = train(tiny, tmp_path / "run", quiet=True)
    assert same_bits(longer.state, finished.state)


def test_a_finished_run_says_so_and_does_nothing(
    finished: Run, tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in finished.workdir.rglob("*.png"))
    run = train(tiny, finished.workdir)
    assert "is finished: all 6 epochs are trained" in capsys.readouterr().out
    assert sorted((p, p.stat().st_mtime_ns) for p in finished.workdir.rglob("*.png")) == before
    assert len(run.history) == 6
    assert [event["event"] for event in events.read(finished.workdir)] == ["started", "finished"]


def test_a_run_shows_itself_in_one_line(finished: Run) -> None:
    assert repr(finished) == f"Run({finished.workdir}: 6 of 6 epochs, not judged)"


def named(workdir: Path) -> list[str]:
    return [event["event"] for event in events.read(workdir)]


@pytest.mark.parametrize("moment", ["conclude", "event"])
def test_a_run_that_ended_before_its_conclusion_is_concluded(
    moment: str, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.Recorder.event

    def cut_at_the_last(record: Any, event: str, *arguments: Any, **details: Any) -> None:
        if event == "finished":
            power_cut()
        real(record, event, *arguments, **details)

    with monkeypatch.context() as patched:
        patched.setattr(loop.Recorder, moment, cut_at_the_last if moment == "event" else power_cut)
        with pytest.raises(OSError, match="power cut"):
            train(tiny, tmp_path / "run", quiet=True)
    assert named(tmp_path / "run") == ["started"]
    for _ in range(2):
        train(tiny, tmp_path / "run", quiet=True)
        assert named(tmp_path / "run") == ["started", "resumed", "finished"]
    assert status(tmp_path / "run") == "finished"
    assert (tmp_path / "run" / "report.html").exists()


def test_a_runs_own_report_shows_that_it_finished(finished: Run) -> None:
    """As the one does that is made anew later: it has the same line, though it was made before."""
    own = (finished.workdir / "report.md").read_text()
    last = events.read(finished.workdir)[-1]
    assert f"| finished | {last['epoch']} | {last['time']} | verdict: {last['verdict']} |" in own


@pytest.mark.parametrize("part", ["report.report", "record.samples.save_progress"])
def test_a_report_that_cannot_be_made_costs_a_run_nothing_else(
    part: str,
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(f"wgan_jax.{part}", lambda *_: {}["no such key"])
    run = train(tiny, tmp_path / "run")
    assert (named(tmp_path / "run")[-1], len(run.history)) == ("finished", 6)
    said = capsys.readouterr().out
    assert "could not be made (KeyError: 'no such key')" in said
    assert said.endswith("run.\n" if part == "report.report" else "dashboard.png.\n")


def test_code_that_changed_under_a_run_costs_it_the_report_alone(
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is imported at the end: a checkout may be another by then, of which some is loaded."""
    monkeypatch.setitem(sys.modules, "wgan_jax.report", None)
    train(tiny, tmp_path / "run")
    assert named(tmp_path / "run")[-1] == "finished"
    assert "The report of " in (said := capsys.readouterr().out)
    assert "could not be made (ModuleNotFoundError: " in said


def test_a_signal_does_not_disturb_the_conclusion(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conclude = loop.Recorder.conclude

    def disturbed(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return conclude(*arguments)

    monkeypatch.setattr(loop.Recorder, "conclude", disturbed)
    train(tiny, tmp_path / "run", quiet=True)
    assert named(tmp_path / "run") == ["started", "finished"]


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "measured_then"), [(-1.0, []), (60.0, [2])])
def test_a_measurement_is_left_for_a_signal_where_it_takes_long(
    patience: float,
    measured_then: list[int],
    finished: Run,
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "PATIENCE", patience)
    config = tiny | {"quality_every": 3, "quality": {"encoder": "none", "n": 16}}
    with pytest.raises(Interrupted), stopping_after(3, monkeypatch):
        train(config, tmp_path, quiet=True)
    assert measured(tmp_path) == measured_then
    assert same_bits(train(config, tmp_path, quiet=True).state, finished.state)
    assert measured(tmp_path) == [*measured_then, 5]


def test_a_signal_during_the_last_measurement_leaves_it_to_the_next_start(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny | {"quality_every": 3, "quality": {"encoder": "none", "n": 16}}
    with monkeypatch.context() as patched:
        patched.setattr(loop, "PATIENCE", -1.0)
        with pytest.raises(Interrupted, match="after 6 of 6"), stopping_after(6, patched):
            train(config, tmp_path, quiet=True)
    assert (named(tmp_path)[-1], measured(tmp_path)) == ("stopped", [2])
    run = train(config, tmp_path, quiet=True)
    assert (named(tmp_path)[-1], measured(tmp_path)) == ("finished", [2, 5])
    assert same_bits(run.state, finished.state)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(6))
    columns = {key: run.history[key] for key in ("d_loss", "g_loss", "critic_weight_std")}
    for key, column in columns.items():
        np.testing.assert_array_equal(column, finished.history[key], err_msg=key)


def test_what_ctrl_c_says_is_true_at_any_moment(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Session, "_act_on_verdict", second)
    with pytest.raises(Interrupted, match="stopped at once") as caught:
        train(tiny, tmp_path / "run", quiet=True)
    assert caught.value.signum == signal.SIGINT


def test_a_log_that_cannot_be_written_is_said_once(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".experiments.lock").mkdir()
    run = train(tiny, tmp_path / "run")
    assert len(run.history) == 6
    assert capsys.readouterr().out.count("The experiment log is not written") == 1
    assert status(tmp_path / "run") == "finished"


def test_two_calls_at_once_train_one_after_the_other(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, inside, most = loop.Session.run, set[str](), list[int]()

    def counted(session: Any) -> None:
        inside.add(session.workdir.name)
        most.append(len(inside))
        run(session)
        inside.remove(session.workdir.name)

    monkeypatch.setattr(loop.Session, "run", counted)
    places = [tmp_path / name for name in "ab"]
    threads = [
        threading.Thread(target=train, args=(tiny, p), kwargs={"quiet": True}) for p in places
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]
    for place in places:
        assert lines(place)[-1]["d_loss"] == finished.history["d_loss"][-1]


def test_memory_that_runs_out_is_told_with_the_remedy(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(loop.Session, "run", run)
    with pytest.raises(UserError, match=r"Memory does not suffice \(.*\): lower config.batch_size"):
        train(tiny, tmp_path, quiet=True)


@pytest.mark.parametrize("differ", ["The settings", "The images"])
def test_processes_with_other_settings_or_images_do_not_begin(
    differ: str,
    finished: Run,
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fingerprint = json.loads((finished.workdir / "dataset.json").read_text())["fingerprint"]

    def check_same(what: str, value: str) -> None:
        assert value == {"The settings": repr(resolve(tiny)), "The images": fingerprint}[what]
        if what == differ:
            raise UserError(f"{what} of process 1 are not those of process 0.")

    monkeypatch.setattr(hosts, "check_same", check_same)
    with pytest.raises(UserError, match=f"{differ} of process 1"):
        train(tiny, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clip": 0.02}, "clip 0.05 -> 0.02"),
        ({"epochs": 3}, "epochs 6 -> 3"),
        ({"data": {"classes": "1,2"}}, "data.classes  -> 1,2"),
        ({"quality": {"n": 40}}, "quality.n 10000 -> 40"),
        ({"quality": {"resize": "pytorch"}}, "run.py evaluate measures it in other ways"),
    ],
)
def test_other_settings_are_refused_in_the_same_folder(
    finished: Run, tiny: dict[str, Any], change: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match="holds a run with other settings") as caught:
        train(tiny | change, finished.workdir, quiet=True)
    assert says in str(caught.value)


def test_settings_that_cannot_change_the_result_may_differ(
    finished: Run, tiny: dict[str, Any]
) -> None:
    assert len(train(tiny | {"log_every": 1}, finished.workdir, quiet=True).history) == 6


def test_other_images_are_refused_in_the_same_folder(tiny: dict[str, Any], tmp_path: Path) -> None:
    images = read_labelled()[0].copy()
    train(tiny | {"epochs": 1}, tmp_path, images=images, quiet=True)
    images[0, 0, 0, 0] ^= 1
    with pytest.raises(UserError, match="images are not those"):
        train(tiny | {"epochs": 1}, tmp_path, images=images, quiet=True)


def test_the_schedule_of_a_finished_run_cannot_be_stretched(
    finished: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny | {"critic_optimizer": tiny["critic_optimizer"] | {"schedule": "linear"}}
    shutil.copytree(finished.workdir, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(json.dumps(to_dict(resolve(config))))
    with pytest.raises(UserError, match="learning rate's schedule"):
        train(config | {"epochs": 12}, tmp_path / "run", quiet=True)


@pytest.mark.slow
def test_the_last_epoch_is_drawn_and_measured_whatever_the_length(
    finished: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    """Also of a run that goes on from there; its bits are those of one without."""
    often = {"sample_every": 4, "quality_every": 3, "quality": {"n": 64, "batch_size": 64}}
    place = tmp_path / "run"
    train(tiny | often | {"epochs": 5}, place, quiet=True)
    assert (grids(place), measured(place)) == ([0, 4, 5], [2, 4])
    longer = train(tiny | often, place, quiet=True)
    assert (grids(place), measured(place)) == ([0, 4, 5, 6], [2, 4, 5])
    assert same_bits(longer.state, finished.state)
    with Image.open(place / "samples" / "progress.gif") as gif:
        assert gif.n_frames == 4


def test_what_is_off_is_off_after_the_last_epoch_too(tiny: dict[str, Any], tmp_path: Path) -> None:
    train(tiny | {"epochs": 2, "sample_every": 0}, tmp_path, quiet=True)
    assert (grids(tmp_path), measured(tmp_path)) == ([], [])


def grids(workdir: Path) -> list[int]:
    return [epochs_in_name(path) for path in grid_paths(workdir / "samples")]


def measured(workdir: Path) -> list[int]:
    return [line["epoch"] for line in lines(workdir) if "pixel_variance" in line]


def test_quality_changes_nothing_and_best_is_kept(
    finished: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny | {"quality_every": 2, "quality": {"n": 64, "batch_size": 64}}
    run = train(config, tmp_path / "run", quiet=True)
    assert same_bits(run.state, finished.state)
    measured, values = run.history.measured("fid_score")
    assert measured.tolist() == [1, 3, 5]
    marks = json.loads((tmp_path / "run" / "checkpoints" / "marks.json").read_text())
    best = int(np.argmin(values))
    assert marks["best"]["epoch"] == measured[best] + 1
    assert marks["best"]["fid_score"] == values[best]
    line = lines(tmp_path / "run")[1]
    assert line["encoder"] == "digits"
    assert line["protocol"]["n_fake"] == 64


@pytest.mark.parametrize(
    ("encoder", "caveat"),
    [
        ("digits", "generated has 64 images, not above the 64 feature dimensions"),
        ("inception", "FID and IS are off: no Inception weights"),
        ("none", "FID and IS are off: config.quality.encoder is none"),
    ],
)
def test_a_caveat_is_printed_once_and_recorded_with_each_measurement(
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    encoder: str,
    caveat: str,
) -> None:
    if encoder == "inception":
        monkeypatch.setenv("WGAN_JAX_CACHE", str(tmp_path / "empty"))
    quality = {"encoder": encoder, "n": 64, "batch_size": 64}
    train(tiny | {"quality_every": 2, "quality": quality}, tmp_path / "run")
    out = capsys.readouterr().out
    assert out.count("Quality    │") == 3
    assert out.count(caveat) == 1
    measured = [line for line in lines(tmp_path / "run") if "encoder" in line]
    assert len(measured) == 3
    assert all(caveat in line["caveats"][0] for line in measured)


def test_a_measurement_stands_under_its_epochs_block_or_names_the_epoch(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny | {"epochs": 8, "log_every": 3, "quality_every": 2, "sample_every": 0}
    quality = {"encoder": "none", "n": 8, "batch_size": 8}
    train(config | {"quality": quality}, tmp_path / "run")
    said = capsys.readouterr().out.splitlines()
    marks = ("Epoch ", "  Computing")
    assert [line.split(" [")[0].strip() for line in said if line.startswith(marks)] == [
        "Computing quality metrics (epoch 1)...",
        "Epoch 2/8",
        "Computing quality metrics (epoch 3)...",
        "Epoch 5/8",
        "Computing quality metrics...",
        "Computing quality metrics (epoch 7)...",
    ]


@pytest.mark.slow
def test_init_from_takes_weights_and_nothing_else(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny | {"epochs": 1, "init_from": str(finished.workdir)}
    session_states: list[GanState] = []
    open_ = loop.Session._open

    def noted(session: Any) -> None:
        session_states.append(jax.device_get(session.state))
        open_(session)

    monkeypatch.setattr(loop.Session, "_open", noted)
    train(config, tmp_path / "run", quiet=True)
    start = session_states[0]
    assert int(start.epoch) == 0
    for mine, other in (
        (start.critic, finished.state.critic),
        (start.generator, finished.state.generator),
    ):
        assert same_bits((mine.params, mine.stats), (other.params, other.stats))
    assert not same_bits(start.critic.opt_state, finished.state.critic.opt_state)


def test_averaged_weights_come_from_the_other_run_too(finished: Run, tmp_path: Path) -> None:
    """Or, where it has none, are its generator's as it was last."""
    averaging = dataclasses.replace(finished.settings, ema=0.9)
    new = new_state(new_game(averaging, 1), root_key(7))
    weights = finished.state.generator.params
    assert same_bits(weights_from(finished.workdir, new).ema, weights)
    mean = jax.tree.map(lambda leaf: leaf / 2, weights)
    shutil.copy(finished.workdir / "dataset.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(to_dict(averaging)))
    with contextlib.closing(loop.Checkpoints(tmp_path / "checkpoints")) as checkpoints:
        checkpoints.save(6, finished.state.replace(ema=mean))
    found = weights_from(tmp_path, new)
    assert same_bits(found.ema, mean)
    assert same_bits(found.generator.params, weights)


def test_a_tilde_is_the_home_folder(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(finished.workdir.parent))
    monkeypatch.chdir(tmp_path)
    config = tiny | {"epochs": 1, "init_from": f"~/{finished.workdir.name}"}
    run = train(config, "~/of_home", quiet=True)
    assert run.workdir == finished.workdir.parent / "of_home"
    assert (run.workdir / "metrics.jsonl").exists()
    assert list(tmp_path.iterdir()) == []


def test_no_thread_stays_of_the_run_that_weights_come_from(finished: Run) -> None:
    before = set(threading.enumerate())
    _, epochs, _ = open_run(finished.workdir, "latest")
    assert epochs == finished.settings.epochs
    patience = time.monotonic() + 10  # event loops that were closed end their threads by and by
    while (left := set(threading.enumerate()) - before) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not left


def test_init_from_another_network_is_refused(
    finished: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny | {"init_from": str(finished.workdir), "latent_dim": 5}
    with pytest.raises(UserError, match="its generator is another network"):
        train(config, tmp_path / "run", quiet=True)


def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_used(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny, tmp_path, quiet=True)
    for path in (tmp_path / "checkpoints" / "6" / "state").rglob("*"):
        if path.is_file() and "d" in path.parent.name:
            path.write_bytes(path.read_bytes()[:10])
    resumed = train(tiny, tmp_path)
    assert "Checkpoint 6 is damaged" in capsys.readouterr().out
    assert same_bits(resumed.state, finished.state)
    assert list((tmp_path / "checkpoints").glob("damaged-6-*"))


def test_two_processes_cannot_train_in_one_folder(tiny: dict[str, Any], tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(UserError, match="Another process trains"):
        train(tiny, tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((20, 8, 8, 1), np.float32), "must be uint8"),
        (np.zeros((20, 9, 9, 1), np.uint8), r"must be \[n, 8, 8, 1 or 3\], got .*: resize them"),
        (np.zeros((0, 8, 8, 1), np.uint8), "empty"),
        (np.eye(8, dtype=np.uint8)[None].repeat(20, 0), "The array has images of 0 and 1, which"),
        (np.zeros((7, 8, 8, 1), np.uint8), "batch_size = 8 is larger than the dataset"),
    ],
)
def test_bad_images(
    tiny: dict[str, Any], tmp_path: Path, images: NDArray[np.uint8] | NDArray[np.float32], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        train(tiny, tmp_path / "run", images=images, quiet=True)
    assert not (tmp_path / "run").exists()


def test_classes_do_not_go_with_an_array(tiny: dict[str, Any], tmp_path: Path) -> None:
    config = tiny | {"data": {"classes": "3"}}
    with pytest.raises(UserError, match=r"config.data.classes = '3' does not go with images="):
        train(config, tmp_path / "run", images=np.full((20, 8, 8, 1), 9, np.uint8), quiet=True)


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        (jax.enable_x64, True, "jax_enable_x64 is True: .* Unset JAX_ENABLE_X64"),
        (jax.threefry_partitionable, False, "jax_threefry_partitionable is False"),
    ],
)
def test_flags_of_jax_that_make_other_numbers(
    flag: Callable[[bool], contextlib.AbstractContextManager[object]],
    value: bool,
    says: str,
    tiny: dict[str, Any],
    tmp_path: Path,
    finished: Run,
) -> None:
    for begin in (
        lambda: train(tiny, tmp_path / "run", quiet=True),
        lambda: preview(resolve(tiny)),
        lambda: open_run(finished.workdir, "latest"),
    ):
        with flag(value), pytest.raises(UserError, match=says):
            begin()
    assert not (tmp_path / "run").exists()


def test_a_preview_counts_the_passes_of_long_epochs_too(tiny: dict[str, Any]) -> None:
    schedule = {"warm_epochs": 1, "period": 3, "long": 1000}
    # Epochs 0 and 3 have 1,000 updates, the other four 2: 2,008 batches of 8, of 1,797 images.
    assert _passes(resolve(tiny | {"n_critic_schedule": schedule}), 1797) == 2008 * 8 / 1797


@pytest.mark.parametrize("workdir", ["", " ", None])
def test_a_workdir_that_names_no_folder_is_not_the_current_one(
    workdir: str | None, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="names no folder: give one"):
        train(tiny, workdir)
    assert list(tmp_path.iterdir()) == []


def test_a_workdir_that_is_a_file(tiny: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file: name a folder"):
        train(tiny, tmp_path / "file", quiet=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_off_the_main_thread_too(tiny: dict[str, Any], tmp_path: Path) -> None:
    runs: list[Run] = []
    config = tiny | {"epochs": 1}
    thread = threading.Thread(target=lambda: runs.append(train(config, tmp_path, quiet=True)))
    thread.start()
    thread.join()
    assert len(runs[0].history) == 1


@pytest.mark.slow
def test_a_digits_run_imports_neither_tensorflow_nor_wandb(tmp_path: Path) -> None:
    code = (
        "import sys, json, wgan_jax\n"
        "early = {m for m in ('jax', 'tensorflow', 'wandb') if m in sys.modules}\n"
        "from tests.conftest import TINY\n"
        f"wgan_jax.train(TINY | {{'epochs': 2}}, {str(tmp_path / 'run')!r}, quiet=True)\n"
        "late = {m for m in ('tensorflow', 'wandb') if m in sys.modules}\n"
        "print(early, late)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() set()\n"


def test_history_reads_back_what_was_written(finished: Run) -> None:
    read = History.read(finished.workdir / "metrics.jsonl")
    for key in finished.game.metric_keys:
        np.testing.assert_array_equal(read[key], finished.history[key])


@pytest.mark.slow
def test_a_streamed_run_has_the_bits_of_a_resident_one(
    finished: Run, tiny: dict[str, Any], tmp_path: Path
) -> None:
    """Stopped, resumed, in blocks of one, two and more rounds."""
    config = tiny | {"data": STREAMED}
    train(config | {"epochs": 2}, tmp_path, quiet=True)
    assert same_bits(train(config, tmp_path, quiet=True).state, finished.state)
    assert not any(thread.name.startswith("stream") for thread in threading.enumerate())


@pytest.mark.slow
def test_pictures_that_vanish_while_they_are_streamed_end_the_run(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And they are missed at the next start."""
    to_play = loop.Session._rounds_to_play

    def remove(session: Any, most: int) -> int:
        for picture in pictures.glob("*") if session.epoch == 3 else ():
            picture.unlink()
        return to_play(session, most)

    monkeypatch.setattr(loop.Session, "_rounds_to_play", remove)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(40):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(pictures / f"{i:02d}.png")
    data = {"name": f"folder:{pictures}", "stream": True, "workers": 0}
    config = tiny | {"data": data, "epochs": 10_000, "log_every": 0}
    with pytest.raises(UserError, match=r"\d\d\.png"):
        train(config, tmp_path / "run", quiet=True)
    assert any(path.name.isdigit() for path in (tmp_path / "run" / "checkpoints").iterdir())
    Image.new("RGB", (8, 8)).save(pictures / "00.png")
    with pytest.raises(UserError, match=r"larger than the dataset|not those"):
        train(config, tmp_path / "run", quiet=True)


def test_what_is_trained_on_and_what_was_left_out_is_said_and_kept(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(100):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(pictures / f"{i:02d}.png")
    (pictures / "bad.png").write_bytes(b"no picture")
    config = tiny | {"data": {"name": f"folder:{pictures}"}, "epochs": 1}
    train(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert f"Training on folder:{pictures}: 100 images of 8x8x3, 0.0 MB, fingerprint" in said
    assert "  1 of 101 pictures cannot be read\n  left out: " in said
    kept = json.loads((tmp_path / "run" / "dataset.json").read_text())["notes"]
    assert f"left out: {pictures / 'bad.png'}" in kept[1]
    train(config | {"epochs": 2}, tmp_path / "run", quiet=True)  # the notes are no other images


def test_a_short_run_is_not_called_healthy(
    tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _ = read_labelled()
    run = train(tiny | {"epochs": 5}, tmp_path, images=images)
    said = capsys.readouterr().out
    assert "Finished 5 epochs: too few to judge (losses are judged from 100 on)." in said
    assert run.verdict.line() == "not judged"
    assert {line["verdict"] for line in lines(tmp_path)} == {"not judged"}


def test_a_short_run_with_enough_values_of_fid_is_judged(
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(judge, "RULES", ())  # nothing is found
    measured = {"quality_every": 1, "quality": {"n": 64, "batch_size": 64}}
    train(tiny | measured | {"epochs": 5}, tmp_path)
    assert "Finished 5 epochs: healthy." in capsys.readouterr().out


def test_a_record_without_a_checkpoint_is_played_again_and_that_is_said(
    finished: Run, tiny: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    shutil.copytree(finished.workdir, place)
    shutil.rmtree(place / "checkpoints")
    again = train(tiny, place)
    assert f"{place} has no checkpoint: its epochs are played again" in capsys.readouterr().out
    assert same_bits(again.state, finished.state)
    assert len((place / "metrics.dropped.jsonl").read_text().splitlines()) == 6
    train(tiny, place)
    assert "played again" not in capsys.readouterr().out
