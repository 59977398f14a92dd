"""Training: the one place with an order. Plays chunks of rounds, and records, judges and saves."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from wgan_jax import interruption
from wgan_jax.config import Settings, encoder_of, flat, resolve
from wgan_jax.data.dataset import Dataset, from_array, load
from wgan_jax.errors import Interrupted, RunFailed, UserError
from wgan_jax.gan.rounds import CHUNK, Chunk, chunk_program
from wgan_jax.gan.state import GanState, Game, Stream, new_game, root_key
from wgan_jax.health.judge import Judge, Verdict
from wgan_jax.history import History
from wgan_jax.quality.cache import cache_dir
from wgan_jax.record import claim, environment, samples
from wgan_jax.record.background import InBackground
from wgan_jax.record.checkpoints import Checkpoints, structure
from wgan_jax.record.console import Console, classes_line, epoch_block, quality_line
from wgan_jax.record.writers import JsonLinesWriter, MultiWriter, Writer

if TYPE_CHECKING:  # imported where it is used: a run that measures nothing does without
    from wgan_jax.evaluation import Evaluator, Quality

CHUNK_SECONDS = 1.0  # device work between two looks from the host
GRID = 64  # samples in a grid


@dataclass(frozen=True)
class Run:
    """A run as it stands after training, for notebooks.

    Attributes:
      settings: what it was trained with.
      workdir: where its files lie.
      game: networks and optimisers.
      state: weights after the last epoch.
      history: everything measured, e.g. `run.history["wasserstein_distance"]` [epochs].
      verdict: what the judge says of it.
    """

    settings: Settings
    workdir: Path
    game: Game
    state: GanState
    history: History
    verdict: Verdict

    def sample(self, n: int, seed: int = 0) -> NDArray[np.uint8]:
        """n samples, uint8 [n, h, w, c]; the same for the same seed."""
        key = jax.random.fold_in(root_key(self.settings.seed), Stream.SAMPLES)
        latents = self.game.latents(jax.random.fold_in(key, seed), n)
        return np.asarray(jax.jit(self.game.pictures)(self.state, latents))


def train(
    config: Mapping[str, Any] | Settings,
    workdir: str | Path,
    images: NDArray[np.uint8] | None = None,
    *,
    quiet: bool = False,
) -> Run:
    """Train, or go on with the run that lies in `workdir`.

    Args:
      config: from an experiment's `get_config()`, a nested dictionary, or settings.
      workdir: the run's folder; made if it is not there.
      images: real images, uint8 [n, h, w, c]; None: those that the config names.
      quiet: print nothing.

    Raises:
      UserError: the config, the images or the folder cannot be used; nothing was changed.
      RunFailed: non-finite values, or a failing run with `on_failure=stop`; all is saved.
      Interrupted: Ctrl-C or SIGTERM; all is saved.
    """
    settings = resolve(config)
    if images is not None:
        data = dataclasses.replace(settings.data, name="arrays")
        settings = dataclasses.replace(settings, data=data)
    place = Path(workdir)
    dataset = read_images(settings, images)
    with claim.claimed(place):
        claim.settle(place, settings, dataset.identity)
        session = Session(settings, place, dataset, quiet)
        try:
            session.run()
        finally:
            session.close()
        return session.result()


def read_images(settings: Settings, images: NDArray[np.uint8] | None = None) -> Dataset:
    """The run's images, at least one batch of them. Raises UserError."""
    if images is not None:
        dataset = from_array(images, settings.image_size)
    else:
        dataset = load(settings.data, settings.image_size)
    if len(dataset.images) < settings.batch_size:
        raise UserError(
            f"config.batch_size = {settings.batch_size} is larger than the dataset: "
            f"{dataset.name} has {len(dataset.images)} images. Set it to that or less."
        )
    return dataset


@dataclass
class Played:
    """A chunk that the device has finished and the host has yet to record.

    Attributes:
      epochs: its epochs [n].
      columns: key -> float64 [n].
      extras: epoch -> what was measured at that epoch only (quality, protocol).
    """

    epochs: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]
    extras: dict[int, dict[str, Any]]

    def all_columns(self) -> dict[str, NDArray[np.float64]]:
        """The columns, and one for each number in the extras, NaN where it was not measured."""
        found = dict(self.columns)
        for epoch, extra in self.extras.items():
            for key, value in extra.items():
                if isinstance(value, float):
                    found.setdefault(key, np.full(len(self.epochs), np.nan))
                    found[key][epoch - self.epochs[0]] = value
        return found


def weights_from(source: Path, state: GanState) -> GanState:
    """The state with both networks' weights taken from another run; optimisers and counters new.

    Args:
      source: a workdir (its newest checkpoint), or one of its checkpoints (`.../checkpoints/500`,
        `.../checkpoints/best`).
      state: a new state of this run.

    Raises:
      UserError: no run or checkpoint there, or its networks have other shapes.
    """
    workdir, which = source, "latest"
    if source.parent.name == "checkpoints":
        workdir, which = source.parent.parent, source.name
    theirs = claim.load_settings(workdir)
    channels = claim.load_dataset(workdir)["shape"][3]
    like = jax.eval_shape(new_game(theirs, channels).new_state, root_key(0))
    found = Checkpoints(workdir / "checkpoints").restore(like, which)
    if found is None:
        raise UserError(f"config.init_from = {source} has no checkpoint to start from.")
    for player in ("critic", "generator"):
        mine, other = getattr(state, player), getattr(found[1], player)
        if structure((mine.params, mine.stats)) != structure((other.params, other.stats)):
            raise UserError(f"config.init_from = {source}: its {player} is another network.")
        state = state.replace(**{player: mine.replace(params=other.params, stats=other.stats)})
    if state.ema is not None:
        ema = found[1].ema if found[1].ema is not None else state.generator.params
        state = state.replace(ema=jax.tree.map(jnp.copy, ema))
    return state


def _use_compilation_cache() -> None:
    """Compile a program once per machine, not once per start, unless the user has a place of his
    own for it (JAX_COMPILATION_CACHE_DIR) or has turned it off (JAX_ENABLE_COMPILATION_CACHE)."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))


class Session:
    """One process's part of a run. `run` has the order; the rest are its steps."""

    def __init__(self, settings: Settings, place: Path, dataset: Dataset, quiet: bool) -> None:
        self.settings, self.place, self.dataset = settings, place, dataset
        self.game = new_game(settings, dataset.channels)
        self.key = root_key(settings.seed)
        self.console = Console(settings.epochs, quiet=quiet)
        self.say = self.console.say
        self.checkpoints = Checkpoints(place / "checkpoints", settings.keep_checkpoints, self.say)
        self.lines = JsonLinesWriter(place / "metrics.jsonl")
        self.writer = MultiWriter([])
        self.evaluator: Evaluator | None = None
        self.history, self.verdict = History(), Verdict("healthy", None, ())
        self.pending: Played | None = None
        self.quality: Quality | None = None
        self.seconds_per_round = CHUNK_SECONDS  # until it is measured: chunks of one round
        self.epoch, self.state = self._first_state()
        self._take_back_to(self.epoch)

    def run(self) -> None:
        """Play every epoch that is left, in this order.

        1. The device is given the next chunk, and at once goes to work.
        2. While it works, the host records the chunk before: history, judge, files, console.
        3. The host waits for the chunk's metrics: the one transfer.
        4. Then comes what needs the weights of just this epoch: samples, quality, checkpoint.
        5. A verdict is acted on last, and a signal after it, when all before it is whole.
        """
        if self.epoch >= self.settings.epochs:
            self.say(f"{self.place} is finished: all {self.epoch} epochs are trained.")
            return
        self._open()
        with interruption.watched() as signals:
            while self.epoch < self.settings.epochs and not signals.received:
                rounds = self._rounds_to_play()
                clock = time.perf_counter()
                self.state, chunk = self.program(self.state, self.images, self.key, rounds)
                self._record()
                self.pending = self._fetch(chunk, int(rounds), clock)
                self._at_boundaries(self.pending)
                self._act_on_verdict()
        self._finish(signals.received)

    def result(self) -> Run:
        return Run(
            self.settings, self.place, self.game, self.state, self.history, self.verdict
        )

    def close(self) -> None:
        """End all threads; what is written by then is whole."""
        self.console.close()
        try:
            self.checkpoints.close()
        finally:
            self.writer.close()

    # -- before the first chunk

    def _first_state(self) -> tuple[int, GanState]:
        """From the newest checkpoint, from `init_from`, or new."""
        state = jax.jit(self.game.new_state)(self.key)
        found = self.checkpoints.restore(state)
        if found is not None:
            return found
        if self.settings.init_from:
            state = weights_from(Path(self.settings.init_from), state)
        return 0, state

    def _take_back_to(self, epoch: int) -> None:
        """Make history and record end where the state does, with `epoch` epochs played."""
        self.lines.truncate_after(epoch - 1)
        self.history = History.read(self.lines.path) if epoch else History()
        self.judge = self._new_judge()
        if epoch:
            self.verdict = self.judge.update(self.history)

    def _new_judge(self) -> Judge:
        s = self.settings
        return Judge(
            s.objective,
            encoder=encoder_of(s),
            clip=s.clip if self.game.objective.clips else None,
            total_epochs=s.epochs,
        )

    def _open(self) -> None:
        """Compile, and open what the run writes to."""
        s = self.settings
        event = "resumed" if self.epoch else "started"
        environment.save(self.place, s.seed)
        claim.append_event(self.place, event, self.epoch)
        if self.epoch:
            self.say(f"Resuming {self.place} after {self.epoch} of {s.epochs} epochs.")
        _use_compilation_cache()
        self.images = jax.device_put(self.dataset.images)
        lowered = chunk_program(self.game).lower(self.state, self.images, self.key, jnp.int32(1))
        self.program = lowered.compile()
        latents = self.game.latents(jax.random.fold_in(self.key, Stream.SAMPLES), GRID)
        self.draw = jax.jit(lambda state: self.game.pictures(state, latents))
        if s.quality_every:
            from wgan_jax import evaluation

            self.evaluator = evaluation.Evaluator(self.game, self.dataset, self.say)
        self.writer = MultiWriter([InBackground(lambda: self.lines), *self._mirrors()])
        self.writer.write_hparams(flat(s))
        if not self.epoch and s.sample_every:
            self._save_samples()
        self.console.progress(self.epoch)

    def _mirrors(self) -> list[Writer]:
        s = self.settings
        found: list[Writer] = []
        if s.wandb.mode != "disabled":
            from wgan_jax.record.wandb import wandb_mirror

            w = s.wandb
            mirror = wandb_mirror(w.mode, self.place.name, w.project, w.entity, self.place, self.say)
            found += [mirror] if mirror else []
        if s.tensorboard:
            from wgan_jax.record.tensorboard import tensorboard_mirror

            found.append(tensorboard_mirror(self.place, self.say))
        return found

    # -- one chunk

    def _rounds_to_play(self) -> Array:
        """About a second's worth, but no further than where the next thing is due."""
        s = self.settings
        stops = [s.epochs] + [
            (self.epoch // every + 1) * every
            for every in (s.sample_every, s.quality_every, s.checkpoint_every)
            if every
        ]
        length = int(CHUNK_SECONDS / max(self.seconds_per_round, 1e-9))
        return jnp.int32(max(1, min(length, CHUNK, min(stops) - self.epoch)))

    def _fetch(self, chunk: Chunk, rounds: int, clock: float) -> Played:
        """Wait for the chunk and bring its metrics to the host."""
        rows, count, updates = jax.device_get(chunk)
        elapsed = time.perf_counter() - clock
        count = int(count)
        epochs = np.arange(self.epoch, self.epoch + count)
        columns = dict(zip(self.game.metric_keys, rows[:count].T.astype(np.float64), strict=True))
        self.seconds_per_round = elapsed / count
        seen = int(updates) * self.settings.batch_size
        columns["epoch_time"] = np.full(count, self.seconds_per_round)
        columns["images_per_second"] = np.full(count, seen / elapsed)
        self.epoch += count
        self.sound = bool(np.isfinite(rows[count - 1]).all())
        return Played(epochs, columns, {})

    def _at_boundaries(self, played: Played) -> None:
        """What is due after this epoch, and needs its weights."""
        if not self.sound:
            return
        s, due = self.settings, lambda every: every and self.epoch % every == 0
        if due(s.sample_every):
            self._save_samples()
        best = self._measure(played) if due(s.quality_every) else None
        if due(s.checkpoint_every) or best:
            self._record()
            self._save()
        if best:
            self.checkpoints.mark_best(self.epoch, *best)

    def _measure(self, played: Played) -> tuple[float, str] | None:
        """Measure samples; (FID, encoder) if no earlier epoch had as low a FID."""
        quality = self.evaluator.measure(self.state, self.epoch)
        details = {"encoder": quality.encoder, "protocol": quality.protocol}
        if quality.class_shares:
            details["class_shares"] = quality.class_shares
        if quality.caveats:
            details["caveats"] = list(quality.caveats)
        played.extras[self.epoch - 1] = {**quality.values, **details}
        self.quality = quality
        fid = quality.values.get("fid_score")
        best = self.checkpoints.marks.get("best", {})
        comparable = best.get("encoder") == quality.encoder
        if fid is None or (comparable and best["fid_score"] <= fid):
            return None
        return fid, quality.encoder

    def _record(self) -> None:
        """Hand the chunk that was played last to history, judge, files and console."""
        if self.pending is None:
            return
        played, self.pending = self.pending, None
        self.history.extend(played.epochs, played.all_columns())
        before, self.verdict = self.verdict, self.judge.update(self.history)
        verdicts = [self.verdict.verdict] * len(played.epochs)
        self.writer.write_chunk(played.epochs, {**played.columns, "verdict": verdicts}, played.extras)
        self._show(played)
        if (before.verdict, before.causes) != (self.verdict.verdict, self.verdict.causes):
            self.say(f"Health: {self.verdict.line()}")
            last = int(played.epochs[-1])
            claim.append_event(self.place, "verdict", last, **self.verdict.to_dict())
        self.console.progress(int(played.epochs[-1]) + 1)

    def _show(self, played: Played) -> None:
        """The guide's block for each epoch that is due, and quality where it was measured."""
        every = self.settings.log_every
        for i, epoch in enumerate(played.epochs.tolist()):
            if every and (epoch + 1) % every == 0:
                row = {key: float(column[i]) for key, column in played.columns.items()}
                self.say(epoch_block(epoch, self.settings.epochs, row))
            if epoch in played.extras and self.quality:
                self._show_quality(self.quality)

    def _show_quality(self, quality: Quality) -> None:
        own = quality.encoder not in ("inception", "none")  # whose ceiling nobody knows by heart
        real = quality.real.get("inception_score_mean") if own else None
        lines = ["", "  Computing quality metrics..."]
        lines.append(quality_line(quality.values, quality.encoder, real))
        if quality.class_shares:
            lines.append(classes_line(quality.class_shares))
        lines += [f"               {caveat}" for caveat in quality.caveats]
        self.say("\n".join([*lines, ""]))

    def _act_on_verdict(self) -> None:
        """Stop or roll back a run that cannot or should not go on."""
        s = self.settings
        if not self.sound:
            self._record()
            bad = next(k for k in self.game.metric_keys if not np.isfinite(self.history[k][-1]))
            reason = f"{bad} is {self.history[bad][-1]} at epoch {self.epoch - 1}"
        elif self.verdict.verdict == "failing" and s.on_failure != "warn":
            self._record()
            reason = self.verdict.line()
        else:
            return
        past = [event for event in claim.events(self.place) if event["event"] == "rollback"]
        if s.on_failure == "rollback" and len(past) < s.max_rollbacks:
            self._roll_back(reason)
            return
        if self.sound:
            self._save()
        claim.append_event(self.place, "failed", self.epoch - 1, reason=reason)
        self.checkpoints.wait()
        kept = self.checkpoints.epochs()
        saved = f"the last checkpoint is after {kept[-1]} epochs" if kept else "no checkpoint yet"
        raise RunFailed(
            f"{self.place} stopped: {reason}; {saved}. Lower the learning rates, or go on with "
            "--config.on_failure=rollback."
        )

    def _roll_back(self, reason: str) -> None:
        """Go on from the last healthy checkpoint (or anew) with lower learning rates."""
        fresh = jax.jit(self.game.new_state)(self.key)
        self.checkpoints.wait()
        left, factor = self.epoch - 1, self.state.rate_factor * self.settings.rollback_factor
        self.epoch, state = self.checkpoints.restore(fresh, "healthy") or (0, fresh)
        self.state = state.replace(rate_factor=factor)
        self.checkpoints.drop_after(self.epoch)
        self.writer.flush()
        self._take_back_to(self.epoch)
        details = {"reason": reason, "to_epoch": self.epoch, "rate_factor": float(factor)}
        claim.append_event(self.place, "rollback", left, **details)
        self.say(
            f"Rolled back from epoch {left} to {self.epoch}, learning rates x {float(factor):g}: "
            f"{reason}"
        )

    def _save_samples(self) -> None:
        path = samples.grid_path(self.place / "samples", self.epoch)
        page = samples.save_grid(np.asarray(self.draw(self.state)), path, columns=8)
        self.writer.write_images(max(self.epoch - 1, 0), {"generated_images": page})

    def _save(self) -> None:
        healthy = self.verdict.verdict != "failing"
        self.checkpoints.save(self.epoch, self.state, healthy=healthy)

    # -- after the last chunk

    def _finish(self, signum: int) -> None:
        self._record()
        self._save()
        self.checkpoints.wait()
        if signum:
            claim.append_event(self.place, "stopped", self.epoch - 1, signal=signum)
            raise Interrupted(
                f"stopped after {self.epoch} of {self.settings.epochs} epochs; all is saved. The "
                "same command goes on from there.",
                signum,
            )
        grids = samples.grid_paths(self.place / "samples")
        if grids:
            samples.save_progress(grids, self.place / "samples" / "progress.gif")
        claim.append_event(self.place, "finished", self.epoch - 1, verdict=self.verdict.verdict)
        self.say(f"Finished {self.epoch} epochs: {self.verdict.line()}. All is in {self.place}.")
