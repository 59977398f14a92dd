"""Whatever a run's numbers are, the judge says something, without an error or a warning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.made_up_losses import Floats, history, noise
from wgan_jax.health.judge import Judge, Setup, judge
from wgan_jax.health.past import KEYS
from wgan_jax.health.verdict import LEVELS

SHAPES: dict[str, Callable[[int], Floats]] = {
    "zero": lambda n: np.zeros(n),
    "constant": lambda n: np.full(n, 0.7),
    "noise": lambda n: noise(n),
    "tiny": lambda n: 1e-300 * noise(n),
    "huge": lambda n: 1e300 * noise(n),
    "growing": lambda n: np.exp(np.linspace(0, 700, n)),
    "gaps": lambda n: np.where(np.arange(n) % 7 == 0, noise(n), np.nan),
    "nothing": lambda n: np.full(n, np.nan),
    "breaks": lambda n: np.where(np.arange(n) < n // 2, noise(n), np.inf),
    "lost": lambda n: np.where(np.arange(n) < n // 2, noise(n), np.nan),
    "steps": lambda n: np.round(3 * np.arange(n) / max(n, 1)),
}

columns = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(sorted(SHAPES)), min_size=1)
objectives = st.sampled_from([None, "wgan", "wgan_gp", "nsgan", "hinge", "lsgan"])
encoders = st.sampled_from([None, "inception", "digits"])
rows = st.sampled_from([1, 2, 5, 30, 100, 501, 1200])


@settings(max_examples=150, deadline=None)
@given(columns, objectives, encoders, rows, st.sampled_from([None, 0.01]))
def test_no_numbers_confuse_the_judge(
    shapes: dict[str, str],
    objective: str | None,
    encoder: str | None,
    n: int,
    clip: float | None,
) -> None:
    whole = history(**{key: SHAPES[shape](n) for key, shape in shapes.items()})
    verdict = judge(whole, Setup(objective, encoder=encoder, clip=clip))
    assert verdict.verdict in LEVELS
    assert (verdict.onset_epoch is None) == (verdict.findings == ())
    for finding in verdict.findings:
        assert 0 <= finding.onset_epoch < n
        assert "\n" not in finding.evidence
    along = Judge(Setup(objective, encoder=encoder, clip=clip, total_epochs=n))
    for epoch in range(0, n, max(n // 3, 1)):
        along.update(whole.until(epoch))
