"""What becomes of a chunk on the host: history, verdict, files, console. Knows no weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax import hosts
from wgan_jax.config import flat
from wgan_jax.data.held_out import some
from wgan_jax.data.sources import Images, Source
from wgan_jax.errors import UserError, kind_and_line
from wgan_jax.health.judge import Judge, Setup
from wgan_jax.history import History
from wgan_jax.keys import encoder_mark
from wgan_jax.record import claim, environment, events, ledger, samples
from wgan_jax.record.background import InBackground
from wgan_jax.record.console import Console, classes_line, epoch_block, overfit_line, quality_line
from wgan_jax.record.writers import Columns, JsonLinesWriter, MultiWriter, Writer
from wgan_jax.settings import Settings, figures_by

if TYPE_CHECKING:  # imported only by runs that measure quality
    from wgan_jax.measurement import Quality


@dataclass
class Played:
    """A chunk that the device has finished and the host has yet to record.

    Attributes:
      epochs: its epochs [n].
      columns: key -> float64 [n].
      quality: what was measured after its last epoch, if it was.
    """

    epochs: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]
    quality: Quality | None = None

    @property
    def last(self) -> int:
        return int(self.epochs[-1])

    def all_columns(self) -> dict[str, NDArray[np.float64]]:
        """The columns, and one for each quality value: NaN but for the last epoch."""
        found = dict(self.columns)
        for key, value in (self.quality.values if self.quality else {}).items():
            found[key] = np.full(len(self.epochs), np.nan)
            found[key][-1] = value
        return found

    def extras(self) -> dict[int, dict[str, object]]:
        """What `metrics.jsonl` has of the last epoch alone."""
        q = self.quality
        if q is None:
            return {}
        details: dict[str, object] = {**q.values, "encoder": q.encoder, "protocol": q.protocol}
        if q.class_shares:
            details["class_shares"] = q.class_shares
        if q.caveats:
            details["caveats"] = list(q.caveats)
        return {self.last: details}


class Recorder:
    """A run's record as it grows; `take_back_to` says from where.

    Attributes:
      history: everything measured.
      verdict: the judge's word on it.
      say: prints a line or block for the person at the terminal.
      told: lines that are not said again, e.g. caveats of measurements.
    """

    def __init__(self, settings: Settings, workdir: Path, *, quiet: bool) -> None:
        self.settings, self.workdir = settings, workdir
        self.console = Console(settings.epochs, quiet=quiet)
        self.say = self.console.say
        self.told: set[str] = set()
        self._lines = JsonLinesWriter(workdir / "metrics.jsonl")
        self._writer = MultiWriter([])
        self._waiting: Played | None = None
        self._drawn: tuple[NDArray[np.uint8], int] | None = None
        self._encoder = ""
        self._set_aside = False  # whether `take_back_to` moved lines of the record aside

    def take_back_to(self, epoch: int) -> None:
        """Make history and files end where the state does, with `epoch` epochs played."""
        self._writer.flush()
        self._set_aside = hosts.by_first(lambda: self._lines.truncate_after(epoch - 1))
        self.history = History.read(self._lines.path) if epoch else History()
        s = self.settings
        self.judge = Judge(Setup(s.objective, figures_by(s), s.clip, s.epochs))
        self.verdict = self.judge.update(self.history)

    def open(self, epoch: int) -> None:
        """Begin to write: the environment, an event, and the writers on threads of their own."""
        s = self.settings
        environment.save(self.workdir, s.seed)
        self.event("resumed" if epoch else "started", epoch)
        if not claim.is_guarded(self.workdir):
            self.say(
                f"Where {self.workdir} lies there are no file locks: see to it that no second "
                "process trains in it."
            )
        if epoch:
            self.say(f"Resuming {self.workdir} after {epoch} of {s.epochs} epochs.")
        elif self._set_aside:
            self.say(
                f"{self.workdir} has no checkpoint: its epochs are played again, and what was "
                "recorded of them is in metrics.dropped.jsonl."
            )
        self._writer = MultiWriter([InBackground(lambda: self._lines), *self._mirrors()])
        self._writer.write_hparams(flat(s))

    def close(self) -> None:
        """End all threads; what was handed over by then is written."""
        self.console.close()
        self._writer.close()

    def take(self, played: Played) -> None:
        """Keep a chunk until `record` has time for it."""
        self._waiting = played

    def pictures(self, images: NDArray[np.uint8], epoch: int) -> None:
        """Keep samples [n, h, w, c] drawn after so many epochs until `record` has time for them."""
        self._drawn = images, epoch

    def reals(self, source: Source | Images, count: int) -> None:
        """Write a grid of so many real images, spread evenly over all of them; once a run."""
        path = self.workdir / "samples" / samples.REALS
        if not path.exists():
            samples.save_grid(some(source, min(count, source.shape[0])), path, columns=8)

    def record(self) -> None:
        """Hand what waits, if anything does, to history, judge, files and console."""
        played, self._waiting = self._waiting, None
        drawn, self._drawn = self._drawn, None
        if played is not None:
            self._record_chunk(played)
        if drawn is not None:
            self._save_pictures(*drawn)

    def _record_chunk(self, played: Played) -> None:
        self.history.extend(played.epochs, played.all_columns())
        before, self.verdict = self.verdict, self.judge.update(self.history)
        verdicts = [self.verdict.word] * len(played.epochs)
        columns: Columns = {**played.columns, "verdict": verdicts}
        self._writer.write_chunk(played.epochs, columns, played.extras())
        self._show(played)
        if before.verdict != self.verdict.verdict:
            self.say(f"Health: {self.verdict.line()}")
            self.event("verdict", played.last, **self.verdict.to_dict())
        self.console.progress(played.last + 1)

    def event(self, event: str, epoch: int, **details: Any) -> None:
        """One line in `events.jsonl`."""
        events.append(self.workdir, event, epoch, **details)

    def _save_pictures(self, images: NDArray[np.uint8], epoch: int) -> None:
        path = samples.grid_path(self.workdir / "samples", epoch)
        page = samples.save_grid(images, path, columns=8)
        self._writer.write_images(max(epoch - 1, 0), {"generated_images": page})

    def summarize(self, status: str) -> None:
        """The run's row in the experiment log: `running`, `stopped`, `failed` or `finished`."""
        ledger.write_summary(
            self.workdir,
            flat(self.settings),
            self.history,
            status=status,
            verdict=self.verdict.word,
            finding=self.verdict.line() if self.verdict.findings else "",
            encoder=self._encoder,
            say=self._say_once,
        )

    def _say_once(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.say(text)

    def flush(self) -> None:
        """Until every epoch recorded is with the system; mirrors are not waited for."""
        self._writer.flush()

    def conclude(self, status: str, ending: Mapping[str, Any] | None = None) -> tuple[Path, ...]:
        """The looping picture, the report, the row in the log, and the mirrors' summary.

        Args:
          status: `failed` or `finished`.
          ending: the event that is to be written after all this, for the report to show.

        Returns:
          The report's files; none where it could not be made.
        """
        self.flush()
        self.summarize(status)
        grids = samples.grid_paths(self.workdir / "samples", self.history.played)
        paths: tuple[Path, ...] = ()
        with self._or_said("The looping picture"):
            if grids:
                samples.save_progress(grids, self.workdir / "samples" / "progress.gif")
        with self._or_said("The report"):
            from wgan_jax.report import report  # matplotlib: only at the end, and only here

            paths = report(self.workdir, ending)
        _, fid = self.history.measured("fid_score")
        summary: dict[str, object] = {"verdict": self.verdict.word, "workdir": self.workdir.name}
        if len(fid):
            summary["best_fid"] = float(fid.min())
        self._writer.write_summary(summary | ({"report": paths[0]} if paths else {}))
        self.console.close()
        return paths

    @contextlib.contextmanager
    def _or_said(self, what: str) -> Iterator[None]:
        """For what is drawn from the files: if that fails, say so and go on; all is saved."""
        try:
            yield
        except UserError:  # the disk is full, say: with room the same command concludes
            raise
        except Exception as error:
            reason = kind_and_line(error)
            self.say(f"{what} of {self.workdir} could not be made ({reason}); all else is saved.")

    def _show(self, played: Played) -> None:
        """The guide's block for each epoch that is due, and quality where it was measured."""
        for i, epoch in enumerate(played.epochs.tolist()):
            if self._has_block(epoch):
                row = {key: float(column[i]) for key, column in played.columns.items()}
                self.say(epoch_block(epoch, self.settings.epochs, row))
        if played.quality is not None:
            self._encoder = played.quality.encoder
            new = [caveat for caveat in played.quality.caveats if caveat not in self.told]
            self.told.update(new)
            where = "" if self._has_block(played.last) else f" (epoch {played.last})"
            self.say(quality_block(played.quality, new, where))

    def _has_block(self, epoch: int) -> bool:
        every = self.settings.log_every
        return bool(every) and (epoch + 1) % every == 0

    def _mirrors(self) -> list[Writer]:
        s, found = self.settings, list[Writer]()
        if s.wandb.mode != "disabled":
            from wgan_jax.record.wandb import wandb_mirror

            mirror = wandb_mirror(s.wandb, self.workdir, self.say, every=s.mirror_every)
            found += [mirror] if mirror else []
        if s.tensorboard:
            from wgan_jax.record.tensorboard import tensorboard_mirror

            found.append(tensorboard_mirror(self.workdir, self.say, every=s.mirror_every))
        return found


class Follower(Recorder):
    """Judges as the first process does, and leaves files, mirrors and console to it."""

    def __init__(self, settings: Settings, workdir: Path, *, quiet: bool) -> None:
        del quiet
        super().__init__(settings, workdir, quiet=True)

    def open(self, epoch: int) -> None:
        pass

    def event(self, event: str, epoch: int, **details: Any) -> None:
        pass

    def pictures(self, images: NDArray[np.uint8], epoch: int) -> None:
        pass

    def reals(self, source: Source | Images, count: int) -> None:
        pass

    def summarize(self, status: str) -> None:
        pass

    def conclude(self, status: str, ending: Mapping[str, Any] | None = None) -> tuple[Path, ...]:
        del status, ending
        return ()


def quality_block(quality: Quality, caveats: Sequence[str], where: str) -> str:
    """The guide's lines for a measurement.

    Args:
      quality: what was measured.
      caveats: what a reader does not know yet.
      where: the epoch, if it has no block of its own above.
    """
    # The ceiling of Inception's scores is known; that of another encoder is printed beside them.
    real = quality.real.get("inception_score_mean") if encoder_mark(quality.encoder) else None
    lines = ["", f"  Computing quality metrics{where}..."]
    lines.append(quality_line(quality.values, quality.encoder, real))
    if quality.class_shares:
        lines.append(classes_line(quality.class_shares))
    if "critic_overfit" in quality.values:
        lines.append(overfit_line(quality.values["critic_overfit"]))
    lines += [f"               {caveat}" for caveat in caveats]
    return "\n".join([*lines, ""])
