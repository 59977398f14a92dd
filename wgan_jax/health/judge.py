"""The judge: a history in, a verdict out. Plain numpy on the host, at no device cost.

`Judge` goes along with a run: each `update` reads the new rows only and judges on a bounded sample
of the past, so that a call costs the same at epoch 10^6 as at epoch 10^4. `judge` is one update of
a fresh judge, and gives the same verdict as any number of updates on the way there.
"""

from __future__ import annotations

from functools import partial

from wgan_jax.health.past import Past
from wgan_jax.health.rules import RULES
from wgan_jax.health.verdict import NOT_JUDGED, Finding, Level, Verdict
from wgan_jax.health.windows import LEAST, LEAST_SCORES
from wgan_jax.history import History

__all__ = ["NOT_JUDGED", "Finding", "Judge", "Level", "Verdict", "judge"]


class Judge:
    """Judges a growing history.

    Args:
      objective: "wgan", "wgan_gp", "nsgan", "hinge", "lsgan"; None if not known.
      encoder: what FID is measured with; Inception's bands are used for "inception" only.
      clip: the critic's clip threshold, which counts for "wgan" only; None if not known.
      total_epochs: how long the run is meant to be; None if not known.
      opening: how many epochs its opening takes, in which losses say little; 0 if not known.
    """

    def __init__(
        self,
        objective: str | None,
        *,
        encoder: str | None = None,
        clip: float | None = None,
        total_epochs: int | None = None,
        opening: int = 0,
    ) -> None:
        self._fresh = partial(
            Past,
            objective,
            encoder=encoder,
            clip=clip,
            total_epochs=total_epochs,
            opening=opening,
        )
        self._past = self._fresh()

    def update(self, history: History) -> Verdict:
        """The verdict on all of `history`, of which only the rows since the last call are read.

        A history that went back (a run rolled back to a checkpoint) is read anew.
        """
        seen = self._past.rows
        if seen and (len(history) < seen or history.epochs[seen - 1] != self._past.epoch):
            self._past = self._fresh()
        self._past.add(history)
        findings = (rule.apply(self._past) for rule in RULES)
        return Verdict.of([finding for finding in findings if finding is not None], self._enough)

    @property
    def _enough(self) -> bool:
        """Whether there is enough to judge by."""
        losses, scores = self._past.count("d_loss"), self._past.count("fid_score")
        return (losses >= LEAST and not self._past.opens) or scores >= LEAST_SCORES


def judge(
    history: History,
    objective: str | None,
    *,
    encoder: str | None = None,
    clip: float | None = None,
    total_epochs: int | None = None,
    opening: int = 0,
) -> Verdict:
    """The verdict on a whole history; arguments as for `Judge`."""
    along = Judge(objective, encoder=encoder, clip=clip, total_epochs=total_epochs, opening=opening)
    return along.update(history)
