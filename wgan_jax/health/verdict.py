"""What the judge says of a run: a verdict, and the findings it rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["healthy", "warning", "failing"]
LEVELS: tuple[Level, ...] = ("healthy", "warning", "failing")
NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
      rule: name of the rule in `rules.RULES` that saw it.
      cause: what is wrong, in a few words, e.g. "dead critic"; several rules may share a cause.
      verdict: "warning" or "failing".
      evidence: one line with the numbers it rests on.
      onset_epoch: epoch at which it began, as far as the measurements tell.
      advice: what to do about it, one line.
      source: where the rule comes from.
      inferred: whether it is read from the losses, and not from samples that were measured.
    """

    rule: str
    cause: str
    verdict: Level
    evidence: str
    onset_epoch: int
    advice: str
    source: str
    inferred: bool = False


@dataclass(frozen=True)
class Verdict:
    """The judgement of a run as far as it has come.

    Attributes:
      verdict: the worst of the findings; "healthy" where there are none.
      onset_epoch: when the worst began: the earliest onset of the first finding's cause.
      findings: worst first; among equals what was measured of the samples before what was
        inferred, then the earliest.
      judged: whether there was enough to judge, or something was found all the same.
    """

    verdict: Level
    onset_epoch: int | None
    findings: tuple[Finding, ...]
    judged: bool = True

    @classmethod
    def of(cls, findings: list[Finding], enough: bool = True) -> Verdict:
        """The verdict that these findings come to, and whether there was enough to find more."""
        ranked = sorted(
            findings, key=lambda f: (-LEVELS.index(f.verdict), f.inferred, f.onset_epoch)
        )
        if not ranked:
            return cls("healthy", None, (), enough)
        level, cause = ranked[0].verdict, ranked[0].cause
        onset = min(f.onset_epoch for f in ranked if (f.verdict, f.cause) == (level, cause))
        return cls(level, onset, tuple(ranked))

    @property
    def word(self) -> str:
        """The verdict in a word; "not judged" where there was too little for one."""
        return self.verdict if self.judged else NOT_JUDGED

    @property
    def causes(self) -> tuple[str, ...]:
        """The causes at the level of the verdict, each once, earliest first."""
        worst = (f.cause for f in self.findings if f.verdict == self.verdict)
        return tuple(dict.fromkeys(worst))

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about the causes, each line once, in their order."""
        worst = (f.advice for f in self.findings if f.verdict == self.verdict)
        return tuple(dict.fromkeys(worst))

    def line(self) -> str:
        """One line for the console, e.g. `failing since epoch 12: dead critic (|D| 1e-9 ...)`."""
        if not self.findings:
            return self.word
        first = self.findings[0]
        return f"{self.verdict} since epoch {self.onset_epoch}: {first.cause} ({first.evidence})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "verdict": self.word,
            "onset_epoch": self.onset_epoch,
            "causes": list(self.causes),
            "advice": list(self.advice),
            "findings": [asdict(finding) for finding in self.findings],
        }
