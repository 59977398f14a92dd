"""A run in Python's hands: what `train` returns, and `load` opens again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wgan_jax.backend import use_compilation_cache
from wgan_jax.data.dataset import from_array
from wgan_jax.diagnosis import setup_of
from wgan_jax.errors import UserError, first_line, to_stderr
from wgan_jax.feeding import read_images
from wgan_jax.files import absolute, expanded
from wgan_jax.gan.state import Game, GanState
from wgan_jax.health.judge import Verdict, judge
from wgan_jax.history import History
from wgan_jax.record import identity
from wgan_jax.record.workdir import read
from wgan_jax.settings import Settings
from wgan_jax.starting import open_run

if TYPE_CHECKING:  # what only some of its methods need
    from wgan_jax.measurement import Quality


@dataclass(frozen=True, repr=False)
class Run:
    """A run: its settings, its weights at some epoch, and everything that was measured.

    Attributes:
      settings: what it was trained with.
      workdir: where its files lie, the whole path: a notebook may change its folder.
      game: networks and optimisers.
      state: weights after the last epoch, or those of the checkpoint that was opened.
      history: everything measured, e.g. `run.history["wasserstein_distance"]` [epochs]; also what
        came after that checkpoint.
      verdict: what the judge says of it.
    """

    settings: Settings
    workdir: Path
    game: Game
    state: GanState
    history: History
    verdict: Verdict

    def __repr__(self) -> str:
        """One line, for a notebook's cell: not every weight."""
        done = f"{len(self.history)} of {self.settings.epochs} epochs"
        return f"Run({self.workdir}: {done}, {self.verdict.line()})"

    def sample(self, n: int, seed: int = 0) -> NDArray[np.uint8]:
        """n samples, uint8 [n, h, w, c]; the same for the same seed.

        Args:
          n: how many, 1 to 1,000,000.
          seed: other latents for another seed, 0 to 2**32 - 1.

        Raises:
          UserError: n or the seed is out of its range.
        """
        from wgan_jax.sampling import MOST, draw, sample_latents

        whole = all(isinstance(number, int | np.integer) for number in (n, seed))
        if not whole or not 1 <= n <= MOST or not 0 <= seed < 2**32:
            raise UserError(
                f"sample({n!r}, seed={seed!r}): n must be from 1 to {MOST}, the seed from 0 to "
                "2**32 - 1, both whole numbers."
            )
        return draw(self.game, self.state, sample_latents(self.game, seed, n))

    def generate(self, latents: ArrayLike) -> NDArray[np.uint8]:
        """The pictures of one's own latents [n, latent_dim]: uint8 [n, h, w, c].

        The generator was trained on latents from N(0, 1).

        Raises:
          UserError: latents of another shape, or that are no finite numbers.
        """
        from wgan_jax.sampling import draw

        size = self.settings.latent_dim
        try:
            rows = np.asarray(latents, np.float32)
        except (TypeError, ValueError, RuntimeError) as error:  # the last two are torch's as well
            raise UserError(
                f"latents must be finite numbers [n, {size}] ({first_line(error)})."
            ) from error
        if rows.ndim != 2 or rows.shape[1] != size or not len(rows) or not np.isfinite(rows).all():
            raise UserError(
                f"latents must be finite numbers [n, {size}], got shape {list(rows.shape)}."
            )
        return draw(self.game, self.state, rows)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The critic's scores [n] of images uint8 [n, h, w, c]: higher where it holds for real.

        Without dropout. A Wasserstein critic's have no zero point and no scale: only differences
        tell. Log-loss and hinge critics tell real from fake about 0.

        Raises:
          UserError: images of another shape or type than the run's.
        """
        from wgan_jax.sampling import score

        height, _, channels = self.game.image_shape
        rows = np.concatenate(list(from_array(images, height).batches(1024)))
        if rows.shape[3] != channels:
            raise UserError(
                f"images must have {channels} channels as the run's own, got {rows.shape[3]}."
            )
        return score(self.game, self.state, rows)

    def measure(self, n: int = 0, images: NDArray[np.uint8] | None = None) -> Quality:
        """FID, KID, IS, precision and recall of n samples against the run's own images.

        Nothing is written; `python run.py evaluate --workdir` keeps what it measures.

        Args:
          n: how many samples, at most 1,000,000; 0: the run's `quality.n`.
          images: of a run that was trained on an array, that array.

        Raises:
          UserError: the images are not those of the run, or n is out of its range.
        """
        from wgan_jax.evaluation import check_count
        from wgan_jax.evaluator import Evaluator

        check_count(n)
        if images is None and self.settings.data.name == "arrays":
            raise UserError(
                f"{self.workdir} was trained on an array: give measure(images=...) the same."
            )
        dataset = read_images(self.settings, images)
        identity.refuse_other_images(self.workdir, dataset.identity)
        evaluator = Evaluator(self.game, dataset, to_stderr)
        return evaluator.measure(self.state, int(self.state.epoch), n=int(n), all_distances=True)

    def report(self) -> tuple[Path, ...]:
        """Write `report.html`, `report.md` and `dashboard.png` into the run's folder, by its files.

        As `python run.py report` does, and as training did at its end.

        Returns:
          The files' paths.

        Raises:
          UserError: nothing was measured yet, or the folder cannot be written.
        """
        from wgan_jax.report import report

        return report(self.workdir)


def load(workdir: str | Path, checkpoint: str | int = "latest") -> Run:
    """Open a run that was trained before, here or elsewhere; nothing in its folder changes.

    Args:
      workdir: the run's folder.
      checkpoint: whose weights: `latest`, `best`, `healthy`, or a number of epochs.

    Raises:
      UserError: no run or checkpoint there.
    """
    folder = absolute(expanded(workdir))
    use_compilation_cache()
    game, _, state = open_run(folder, str(checkpoint), to_stderr)
    kept = read(folder)
    return Run(
        game.settings, folder, game, state, kept.history, judge(kept.history, setup_of(kept))
    )
