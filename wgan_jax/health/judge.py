"""The judge: a history in, a verdict out. Plain numpy on the host, at no device cost.

`Judge` goes along with a run: each `update` reads the new rows only and judges on a bounded sample
of the past, so that a call costs the same at epoch 10^6 as at epoch 10^4. `judge` is one update of
a fresh judge, and gives the same verdict as any number of updates on the way there.
"""

from __future__ import annotations

from wgan_jax.health.past import Past, Setup
from wgan_jax.health.rules import RULES
from wgan_jax.health.verdict import NOT_JUDGED, Finding, Level, Verdict
from wgan_jax.health.windows import LEAST, LEAST_SCORES
from wgan_jax.history import History

__all__ = ["NOT_JUDGED", "Finding", "Judge", "Level", "Setup", "Verdict", "judge"]

UNKNOWN = Setup()


class Judge:
    """Judges a growing history.

    Args:
      setup: what is known of the run.
    """

    def __init__(self, setup: Setup = UNKNOWN) -> None:
        self._past = Past(setup)

    def update(self, history: History) -> Verdict:
        """The verdict on all of `history`, of which only the rows since the last call are read.

        A history that went back (a run rolled back to a checkpoint) is read anew.
        """
        seen = self._past.rows
        if seen and (len(history) < seen or history.epochs[seen - 1] != self._past.epoch):
            self._past = Past(self._past.setup)
        self._past.add(history)
        findings = (rule.apply(self._past) for rule in RULES)
        return Verdict.of([finding for finding in findings if finding is not None], self._enough)

    @property
    def _enough(self) -> bool:
        """Whether there is enough to judge by."""
        losses, scores = self._past.count("d_loss"), self._past.count("fid_score")
        return (losses >= LEAST and not self._past.opens) or scores >= LEAST_SCORES


def judge(history: History, setup: Setup = UNKNOWN) -> Verdict:
    """The verdict on a whole history, of a run set up like this."""
    return Judge(setup).update(history)
