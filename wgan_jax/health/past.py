"""A run's past as the rules see it: bounded tracks, and how the run is set up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wgan_jax import limits
from wgan_jax.errors import UserError
from wgan_jax.health.series import Ints, Track
from wgan_jax.health.windows import FEW, FEWEST, LEAST_SCORES, Windows, cut
from wgan_jax.history import Floats, History

# What the rules may read, and no other key; other columns of a history are left alone.
KEYS: tuple[str, ...] = (
    "d_loss",
    "g_loss",
    "wasserstein_distance",
    "critic_weight_std",
    "generator_weight_std",
    "dg_ratio",
    "clip_ratio",
    "generator_grad_norm",
    "d_accuracy",
    "g_accuracy",
    "fid_score",
    "inception_score_mean",
    "pixel_variance",
    "real_pixel_variance",
    "recall",
    "critic_overfit",
)
LOSSES = ("d_loss", "g_loss")
OBJECTIVES = (*limits.OBJECTIVES, "lsgan")  # least squares: others train with it
# Measured in every epoch, and a number even where the losses are none.
WITNESSES = ("epoch_time", "clip_ratio")


@dataclass(frozen=True)
class Setup:
    """What a judge is told of a run besides its numbers; all of it may be unknown.

    Attributes:
      objective: "wgan", "wgan_gp", "nsgan", "hinge", "lsgan"; None if not known.
      encoder: what FID is measured with, "inception", whose bands are not used for others, or
        another name; None if not known, which is taken for Inception.
      clip: the critic's clip threshold, which counts for "wgan" only; None if not known.
      total_epochs: how long the run is meant to be; None if not known.
      opening: how many epochs its opening takes, in which the losses of a sound game may look like
        a lost one's; 0 if not known.

    Raises:
      UserError: an objective that is none of these: it would be judged as one that is not known.
        Or Inception by another name: its bands would not be used.
    """

    objective: str | None = None
    encoder: str | None = None
    clip: float | None = None
    total_epochs: int | None = None
    opening: int = 0

    def __post_init__(self) -> None:
        if self.objective is not None and self.objective not in OBJECTIVES:
            raise UserError(
                f"objective {self.objective!r} is none of {', '.join(OBJECTIVES)}: leave it out "
                "where it is not known."
            )
        # `inception:NAME` are other weights of it, as in our own records.
        name, _, _ = str(self.encoder).partition(":")
        if name != "inception" and name.lower().startswith("inception"):
            raise UserError(
                f"encoder {self.encoder!r} would be judged as any other: call it inception."
            )


class Past:
    """What was measured so far, in bounded memory.

    Attributes:
      setup: what is known of the run besides.
      epoch: the newest epoch; -1 before the first.
      rows: how many rows of its history were taken in.
      nonfinite: loss -> epoch from which it is not a number; `lost` has the infinite ones too.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.epoch, self.rows = -1, 0
        self.nonfinite: dict[str, int] = {}
        self._tracks = {key: Track() for key in KEYS}
        self._dense = dict.fromkeys(LOSSES, True)
        self._windows: dict[str, Windows | None] = {}

    def add(self, history: History) -> None:
        """Take in the rows of `history` that were not seen yet."""
        start, end = self.rows, len(history)
        if start == end:
            return
        epochs = history.epochs[start:end]
        for key in KEYS:
            if key in history:
                self._tracks[key].add(epochs, history[key][start:end])
        self._watch_losses(history, epochs, start, end)
        self.rows, self.epoch = end, int(epochs[-1])
        self._windows.clear()

    def _watch_losses(self, history: History, epochs: Ints, start: int, end: int) -> None:
        """Note where a loss stopped being a number.

        A history has NaN both for "not measured" and for "not a number". It is the latter where a
        loss had a value in every earlier row, has none in a row with other metrics, and never has
        one again.
        """
        for key in LOSSES:
            if key not in history:
                continue
            missing = np.isnan(history[key][start:end])
            first = int(np.argmax(missing))
            if not missing.all() and key in self.nonfinite:
                del self.nonfinite[key]
                self._dense[key] = False
            if not missing.any() or not self._dense[key]:
                continue
            self._dense[key] = bool(missing[first:].all())
            if self._dense[key] and start + first > 0 and self._measured(history, start + first):
                self.nonfinite.setdefault(key, int(epochs[first]))

    @staticmethod
    def _measured(history: History, row: int) -> bool:
        """Whether a row was measured, whatever its losses are."""
        return any(key in history and not np.isnan(history[key][row]) for key in WITNESSES)

    def __contains__(self, key: str) -> bool:
        """Whether the key has at least one finite value."""
        return self._tracks[key].count > 0

    def __getitem__(self, key: str) -> Track:
        return self._tracks[key]

    def count(self, key: str) -> int:
        """How many finite values of a key there were."""
        return self._tracks[key].count if key in self else 0

    def values(self, key: str) -> Floats:
        """Kept values of a key, empty if it was never measured."""
        return self._tracks[key].values if key in self else np.zeros(0)

    def epochs(self, key: str) -> Ints:
        """Epochs of `values(key)`."""
        return self._tracks[key].epochs if key in self else np.zeros(0, np.int64)

    def windows(self, key: str) -> Windows | None:
        """The key's past in equal windows; None where there is too little of it."""
        if key not in self._windows:
            self._windows[key] = cut(self.epochs(key), self.values(key))
        return self._windows[key]

    def coarse(self, key: str) -> Windows | None:
        """The same, for what is plain in a short run too: ten windows where twenty are too many.

        Not for a long run that has only begun, nor while FID has too few values to overrule what
        the losses let one infer.
        """
        windows, measured = self.windows(key), len(self.values("fid_score"))
        if windows is not None or self.early or 0 < measured < LEAST_SCORES:
            return windows
        return cut(self.epochs(key), self.values(key), FEW, FEWEST)

    @property
    def early(self) -> bool:
        """Whether the run opens, or less than a quarter of what is planned is done, where known."""
        planned = self.setup.total_epochs
        return self.opens or (planned is not None and 4 * (self.epoch + 1) < planned)

    @property
    def opens(self) -> bool:
        """Whether the run is in its opening; False where its updates are not counted."""
        return self.epoch + 1 < self.setup.opening

    def lost(self) -> dict[str, int]:
        """Loss -> first epoch at which it was infinite or not a number."""
        found = dict(self.nonfinite)
        for key in LOSSES:
            epoch = self._tracks[key].nonfinite_epoch
            if epoch is not None:
                found[key] = min(epoch, found.get(key, epoch))
        return found
