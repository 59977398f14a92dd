"""What a person sees while a run trains: the guide's block, the quality line, a progress bar."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from wgan_jax.keys import BY_KEY, encoder_mark, shown

WIDTH = 75
_THICK, _THIN = "═" * WIDTH, "─" * WIDTH


def epoch_block(epoch: int, epochs: int, row: Mapping[str, float]) -> str:
    """The guide's block for one epoch, 75 columns wide.

    Args:
      epoch: number of the epoch, from 0.
      epochs: epochs of the whole run.
      row: the round's values by the keys of `wgan_jax.keys`; `clip_ratio` is a share.
    """
    v = {key: shown(key, value) for key, value in row.items() if key in BY_KEY}
    return f"""\
{_THICK}
Epoch {epoch}/{epochs} [{seconds(row["epoch_time"])}]
{_THIN}
  Losses     │ D: {v["d_loss"]} (R:{v["d_loss_real"]} F:{v["d_loss_fake"]})  \
G: {v["g_loss"]}  W-dist: {v["wasserstein_distance"]}
  Weights    │ Critic μ:{v["critic_weight_mean"]} σ:{v["critic_weight_std"]}  \
Gen μ:{v["generator_weight_mean"]} σ:{v["generator_weight_std"]}
  Stability  │ D/G Ratio: {v["dg_ratio"]}  Clip%: {v["clip_ratio"]}  Var: {v["loss_variance"]}
{_THICK}"""


def quality_line(values: Mapping[str, float], encoder: str, real_score: float | None = None) -> str:
    """The guide's quality line; scores by another encoder than Inception carry its name.

    Args:
      values: by the keys of `wgan_jax.keys`; without features (no weights), PixVar alone.
      encoder: whose features they are.
      real_score: the Inception Score of the real images by that encoder, the ceiling, if it is to
        be printed beside.
    """
    name = encoder_mark(encoder)
    parts = []
    if "fid_score" in values:
        parts.append(f"FID{name}: {shown('fid_score', values['fid_score'])}")
    if "inception_score_mean" in values:
        keys = ("inception_score_mean", "inception_score_std")
        mean, spread = (shown(key, values[key]) for key in keys)
        ceiling = "" if real_score is None else f" (real: {real_score:.2f})"
        parts.append(f"IS{name}: {mean}±{spread}{ceiling}")
    if "pixel_variance" in values:
        parts.append(f"PixVar: {shown('pixel_variance', values['pixel_variance'])}")
    return "  Quality    │ " + ("  ".join(parts) or "not measured")


def classes_line(shares: Mapping[str, float]) -> str:
    """The share of the samples in each class, e.g. `  Classes    │ 0:10% 1:9% ...`."""
    return "  Classes    │ " + " ".join(f"{name}:{share:.0%}" for name, share in shares.items())


def overfit_line(share: float) -> str:
    """How much the critic overfits, `critic_overfit`, e.g. `  Overfit    │ 0.12 (...)`."""
    words = "0: held-out images score as trained ones, 1: as samples"
    return f"  Overfit    │ {share:.2f} ({words})"


def seconds(value: float) -> str:
    """A duration as the block prints it: two decimals, or in ms where they would show nothing."""
    return f"{value:.2f}s" if value >= 0.1 else f"{1000 * value:.1f}ms"


class Console:
    """Prints lines above a progress bar; without a terminal, a plain line now and then instead.

    Where nobody listens any more (a closed pipe or terminal), it falls silent: the run goes on.
    """

    def __init__(self, epochs: int, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Nothing is printed yet; the bar appears with the first `progress`.

        Args:
          epochs: epochs of the whole run.
          quiet: say nothing at all.
          stream: where to; standard output by default.
        """
        self._stream = stream or sys.stdout
        self._quiet = quiet or self._stream is None  # as where a program is started without one
        self._epochs = epochs
        self._start: tuple[int, float] | None = None
        self._said = 0.0
        self._bar: Any = None

    def say(self, text: str) -> None:
        """A line or block for the person at the terminal; `?` for signs that it cannot show."""
        if self._quiet:
            return
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        with self._while_heard():
            if self._bar is not None:
                self._bar.write(text, file=self._stream)
            else:
                print(text, file=self._stream, flush=True)

    @contextlib.contextmanager
    def _while_heard(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._quiet, self._bar = True, None

    def progress(self, done: int, every: float = 30.0) -> None:
        """Move the bar to `done` epochs, or say where the run is if nothing was for a while."""
        now = time.monotonic()
        if self._start is None:
            self._start, self._said = (done, now), now
            if not self._quiet and self._stream.isatty():
                from tqdm import tqdm

                with self._while_heard():
                    self._bar = tqdm(
                        total=self._epochs,
                        initial=done,
                        unit="epoch",
                        file=self._stream,
                        dynamic_ncols=True,
                    )
        elif self._bar is not None:
            with self._while_heard():
                self._bar.update(done - self._bar.n)
        elif now - self._said > every and done > self._start[0]:
            pace = (now - self._start[1]) / (done - self._start[0])
            left = clock(pace * (self._epochs - done))
            self.say(f"{done}/{self._epochs} epochs, {1 / pace:.3g} epochs/s, {left} left")
            self._said = now

    def close(self) -> None:
        if self._bar is not None:
            with self._while_heard():
                self._bar.close()
            self._bar = None


def clock(duration: float) -> str:
    """h:mm:ss or m:ss."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
