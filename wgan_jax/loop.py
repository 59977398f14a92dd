"""The loop: plays chunks of rounds, in the one order that matters; records, judges and saves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import Array

from wgan_jax import devices, hosts
from wgan_jax.backend import compiling, quick_options, use_compilation_cache
from wgan_jax.data.dataset import Dataset
from wgan_jax.errors import Interrupted, RunFailed
from wgan_jax.feeding import feed
from wgan_jax.gan.rounds import CHUNK, Chunk, chunk_program
from wgan_jax.gan.state import GRID, GanState, new_game, root_key
from wgan_jax.health.windows import LEAST
from wgan_jax.interruption import Signals, watched
from wgan_jax.record import events
from wgan_jax.record.checkpoints import Checkpoints
from wgan_jax.recording import Follower, Played, Recorder
from wgan_jax.settings import Settings
from wgan_jax.starting import first_state

if TYPE_CHECKING:  # imported only by runs that measure quality
    from wgan_jax.evaluator import Evaluator

CHUNK_SECONDS = 1.0  # device work between two looks from the host
SKETCH = 256  # latents for a grid's standing statistics: enough for the eye, in a quarter the time
PATIENCE = 10.0  # seconds that a measurement may still take once a signal came; clusters wait 30


class _SignalCame(Exception):
    """Raised between batches of a measurement, to abort it because a signal arrived."""


class Session:
    """One process's part of a run. `run` has the order; the rest are its steps."""

    def __init__(
        self,
        settings: Settings,
        workdir: Path,
        dataset: Dataset,
        signals: Signals,
        *,
        quiet: bool,
        profile: bool,
    ) -> None:
        use_compilation_cache()
        self.profile = profile
        self.settings, self.workdir, self.dataset = settings, workdir, dataset
        self.game = new_game(settings, dataset.channels, devices.mesh(settings.devices))
        whole = devices.everywhere(self.game.mesh)
        self.key = jax.jit(root_key, static_argnums=0, out_shardings=whole)(settings.seed)
        recorder = Recorder if hosts.first() else Follower
        self.record = recorder(settings, workdir, quiet=quiet)
        self.say = self.record.say
        self.checkpoints = Checkpoints(workdir / "checkpoints", settings.keep_checkpoints, self.say)
        self.evaluator: Evaluator | None = None
        self.ends = contextlib.ExitStack()  # what is to be closed, the last one opened first
        self.ends.callback(self.record.close)
        self.ends.callback(self.checkpoints.close)
        self.epoch, self.state = first_state(self.game, self.checkpoints, self.key)
        self._end_rollback()
        self.record.take_back_to(self.epoch)
        self.seconds_per_round = CHUNK_SECONDS  # until it is measured: chunks of one round
        self.sound = True  # the newest chunk is finite to its end
        self.cut_short = False  # whether a signal ended the newest measurement
        self.signals = signals

    def run(self) -> None:
        """Play every epoch that is left, in this order.

        1. The device is given the next chunk, and at once goes to work.
        2. While it works, the host records the chunk before: history, judge, files, console.
        3. The host waits for the chunk's metrics: the one transfer.
        4. Then comes what needs the weights of just this epoch: samples, quality, checkpoint.
        5. A verdict is acted on last. Signals are looked for between chunks, when all is whole.
        6. The end: save, conclude, and last write the event `finished`. Signals are ignored here.
           Where a process died before that event, the next start concludes the run.
        """
        trained = self.epoch >= self.settings.epochs
        if trained and hosts.by_first(lambda: events.ended(self.workdir)):
            self.say(f"{self.workdir} is finished: all {self.epoch} epochs are trained.")
            return
        self.record.open(self.epoch)
        if not trained:
            self._open()
        signum = 0
        with watched(self.signals):
            if trained:
                self._measure_the_last()
            while self.epoch < self.settings.epochs:
                images, most = self.feed.images(self.epoch)
                rounds, signum = hosts.agreed(self._rounds_to_play(most), self.signals.received)
                if signum:
                    break
                clock = time.perf_counter()
                self.state, chunk = self.program(self.state, images, self.key, np.int32(rounds))
                self.record.record()
                played = self._fetch(chunk, clock)
                self._at_boundaries(played)
                self._act_on_verdict()
            if self.cut_short:
                signum = hosts.any_signal(self.signals.received)
            self._end(signum)

    def close(self) -> None:
        """End all threads; what is written by then is whole."""
        self.ends.close()

    def _open(self) -> None:
        """Say what is trained on, compile, and begin to draw images."""
        self.say(f"Training on {self.dataset.words}")
        self.feed = feed(self.game, self.dataset, self.key)
        self.ends.callback(self.feed.close)
        self.feed.start(self.state)
        program = chunk_program(self.game)
        images, _ = self.feed.images(self.epoch)
        with compiling(self.say):
            compiled = program.lower(self.state, images, self.key, np.int32(1)).compile()
        self.program: Callable[..., tuple[GanState, Chunk]] = compiled
        if self.profile:
            from wgan_jax.profiling import Traced

            traced = self.program = Traced(compiled, self.workdir / "profile", self.say)
            self.ends.callback(traced.close)
        self.draw = jax.jit(
            self._grid,
            out_shardings=devices.everywhere(self.game.mesh),
            compiler_options=quick_options(),
        )
        if self.settings.sample_every:
            self.record.reals(self.dataset.source, GRID)
            if not self.epoch:
                self._draw_samples()
        self.record.console.progress(self.epoch)

    def _rounds_to_play(self, most: int) -> int:
        """About a second's worth, but no further than where the next thing is due."""
        s = self.settings
        stops = [s.epochs] + [
            (self.epoch // every + 1) * every
            for every in (s.sample_every, s.quality_every, s.checkpoint_every)
            if every
        ]
        length = int(CHUNK_SECONDS / max(self.seconds_per_round, 1e-9))
        return max(1, min(length, most, CHUNK, min(stops) - self.epoch))

    def _fetch(self, chunk: Chunk, clock: float) -> Played:
        """Wait for the chunk and bring its metrics to the host."""
        rows, count, updates = jax.device_get(chunk)
        elapsed, count = time.perf_counter() - clock, int(count)
        rows = rows[:count].astype(np.float64)
        columns = dict(zip(self.game.metric_keys, rows.T, strict=True))
        columns["epoch_time"] = np.full(count, elapsed / count)
        images = int(updates) * self.settings.batch_size
        columns["images_per_second"] = np.full(count, images / elapsed)
        played = Played(np.arange(self.epoch, self.epoch + count), columns)
        self.seconds_per_round = elapsed / count
        self.epoch += count
        self.sound = bool(np.isfinite(rows[-1]).all())
        self.record.take(played)
        return played

    def _at_boundaries(self, played: Played) -> None:
        """What is due after this epoch, and needs its weights."""
        if not self.sound:
            return
        s = self.settings
        if self._due(s.sample_every):
            self._draw_samples()
        better = bool(s.quality_every) and self._measured_better(played)
        if better or (s.checkpoint_every and self.epoch % s.checkpoint_every == 0):
            self._save()
            self.record.summarize("running")

    def _measured_better(self, played: Played) -> bool:
        """Measure where that is due, unless a signal comes; whether it was the best so far."""
        try:
            self._measure(played)
        except _SignalCame:
            self.cut_short = True
            self.say(f"A signal came: measuring was left, at epoch {self.epoch - 1}.")
        if played.quality is None:
            return False
        fid, encoder = played.quality.values.get("fid_score"), played.quality.encoder
        if fid is None or not self.checkpoints.is_better(fid, encoder):
            return False
        self.checkpoints.mark_best(self.epoch, fid, encoder)
        return True

    def _measure_the_last(self) -> None:
        """Measure after the last epoch, if a signal kept the process before from doing so.

        The epoch gets a new line in the record.
        """
        history, last = self.record.history, self.epoch - 1
        if not self.settings.quality_every or last in history.measured("pixel_variance")[0]:
            return
        keys = (*self.game.metric_keys, "epoch_time", "images_per_second")
        played = Played(history.epochs[-1:], {key: history[key][-1:] for key in keys})
        self.record.take_back_to(last)
        self.record.take(played)
        self._measured_better(played)

    def _measure(self, played: Played) -> None:
        """Measure the samples where that is due; build the encoder at the first call."""
        due = self._due(self.settings.quality_every)
        if self.evaluator is None:
            if not due:
                self.record.record()  # the first round shows before the wait for an encoder
            self.evaluator = self._new_evaluator()
        if due:
            played.quality = self.evaluator.measure(self.state, self.epoch)

    def _look_for_signals(self) -> None:
        """Between batches of a measurement: after a signal it has `PATIENCE` seconds to end."""
        late = self.signals.received and time.monotonic() - self.signals.since > PATIENCE
        if hosts.any_signal(self.signals.received if late else 0):
            raise _SignalCame

    def _due(self, every: int) -> bool:
        """Whether what comes every so many epochs, and after the last, comes now; 0: never."""
        return bool(every) and (self.epoch % every == 0 or self.epoch == self.settings.epochs)

    def _grid(self, state: GanState, key: Array) -> Array:
        """The same latents' samples at every epoch, uint8 [n, h, w, c]."""
        latents = self.game.grid_latents(key)
        return self.game.pictures(self.game.sampler(state, key, SKETCH), latents)

    def _new_evaluator(self) -> Evaluator:
        """The encoder's weights may have to be trained or read, which takes time."""
        from wgan_jax.evaluator import Evaluator

        evaluator = Evaluator(self.game, self.dataset, self.say, between=self._look_for_signals)
        self.record.told.add(evaluator.note)
        return evaluator

    def _draw_samples(self) -> None:
        self.record.pictures(np.asarray(self.draw(self.state, self.key)), self.epoch)

    def _save(self) -> None:
        self.record.record()
        self.record.flush()  # no checkpoint without the epochs that led to it
        healthy = self.record.verdict.verdict != "failing"
        self.checkpoints.save(self.epoch, self.state, healthy=healthy)

    def _act_on_verdict(self) -> None:
        """Stop or roll back a run that cannot or should not go on."""
        s, record = self.settings, self.record
        if self.sound and (record.verdict.verdict != "failing" or s.on_failure == "warn"):
            return
        record.record()
        reason = record.verdict.line()
        if not self.sound:
            bad = next(k for k in self.game.metric_keys if not np.isfinite(record.history[k][-1]))
            reason = f"{bad} is {record.history[bad][-1]} at epoch {self.epoch - 1}"
        if s.on_failure == "rollback" and len(self._rollbacks()) < s.max_rollbacks:
            self._roll_back(reason)
            return
        if self.sound:
            self._save()
        record.event("failed", self.epoch - 1, reason=reason)
        record.conclude("failed")
        self.checkpoints.wait()
        kept = self.checkpoints.epochs()
        saved = f"the last checkpoint is after {kept[-1]} epochs" if kept else "no checkpoint yet"
        what = reason.partition(" (")[0]  # the evidence stands in the record
        raise RunFailed(f"{self.workdir} stopped: {what}; {saved}. {self._remedy()}")

    def _remedy(self) -> str:
        advice = "See report.html for advice" if self.sound else "Lower the learning rates"
        if self.settings.on_failure == "rollback":
            return f"{advice}: {len(self._rollbacks())} rollbacks did not help."
        return f"{advice}, or go on with --config.on_failure=rollback."

    def _roll_back(self, reason: str) -> None:
        """Go on from the last healthy checkpoint (or anew) with lower learning rates."""
        self.checkpoints.wait()
        left = self.epoch - 1
        factor = np.float32(self.state.rate_factor) * np.float32(self.settings.rollback_factor)
        self.epoch, state = first_state(self.game, self.checkpoints, self.key, "healthy")
        self.state = self._at_rates(state, factor)
        # The event first: where the process ends after it, the next start does what is left.
        rate = float(factor)
        self.record.event("rollback", left, reason=reason, to_epoch=self.epoch, rate_factor=rate)
        self.checkpoints.drop_after(self.epoch)
        self.record.take_back_to(self.epoch)
        self.feed.start(self.state)
        self.say(
            f"Rolled back from epoch {left} to {self.epoch}, learning rates x {rate:g}: {reason}"
        )

    def _end_rollback(self) -> None:
        """Complete a rollback that the end of a process interrupted.

        A checkpoint whose rates are not those of the newest rollback's event is from before it.
        """
        back = self._rollbacks()[-1:]
        if back and np.float32(self.state.rate_factor) != np.float32(back[0]["rate_factor"]):
            self.checkpoints.drop_after(back[0]["to_epoch"])
            self.epoch, state = first_state(self.game, self.checkpoints, self.key)
            self.state = self._at_rates(state, np.float32(back[0]["rate_factor"]))

    def _rollbacks(self) -> list[dict[str, Any]]:
        happened = hosts.by_first(lambda: events.read(self.workdir))
        return [event for event in happened if event["event"] == "rollback"]

    def _at_rates(self, state: GanState, factor: np.float32) -> GanState:
        whole = devices.everywhere(self.game.mesh)
        return state.replace(rate_factor=devices.put(factor, whole))

    def _end(self, signum: int) -> None:
        """All is trained, or a signal came: save, and say so."""
        self._save()
        self.checkpoints.wait()
        if signum:
            self.record.event("stopped", self.epoch - 1, signal=signum)
            self.record.summarize("stopped")
            raise Interrupted(
                f"stopped after {self.epoch} of {self.settings.epochs} epochs; all is saved. The "
                "same command goes on from there.",
                signum,
            )
        verdict = self.record.verdict
        finished = events.new("finished", self.epoch - 1, verdict=verdict.word)
        paths = self.record.conclude("finished", finished)
        self.record.event(**finished)
        word = verdict.line()
        if not verdict.judged:
            word = f"too few to judge (losses are judged from {LEAST} on)"
        see = f"; see {', '.join(path.name for path in paths)}" if paths else ""
        self.say(f"Finished {self.epoch} epochs: {word}.\nAll is in {self.workdir}{see}.")
