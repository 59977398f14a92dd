"""Objectives by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.gan.objectives import OBJECTIVES, gradient_penalty
from wgan_jax.health.losses import CHANCE, REJECTED
from wgan_jax.limits import OBJECTIVES as KINDS

SCORES = jnp.array([-2.0, 0.0, 3.0])
LOG2 = float(np.log(2))


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("wgan", [2, 0, -3], [-2, 0, 3], [2, 0, -3]),
        ("wgan_gp", [2, 0, -3], [-2, 0, 3], [2, 0, -3]),
        ("hinge", [3, 1, 0], [0, 1, 4], [2, 0, -3]),
        (
            "nsgan",
            [np.log1p(np.exp(2)), LOG2, np.log1p(np.exp(-3))],
            [np.log1p(np.exp(-2)), LOG2, np.log1p(np.exp(3))],
            [np.log1p(np.exp(2)), LOG2, np.log1p(np.exp(-3))],
        ),
    ],
)
def test_terms(name: str, real: list[float], fake: list[float], generator: list[float]) -> None:
    objective = OBJECTIVES[name]
    for term, expected in (
        (objective.real, real),
        (objective.fake, fake),
        (objective.generator, generator),
    ):
        np.testing.assert_allclose(term(SCORES), expected, rtol=1e-6)


def test_the_config_offers_what_the_table_has() -> None:
    assert list(OBJECTIVES) == list(KINDS)


def test_only_weight_clipping_clips() -> None:
    assert [name for name, kind in KINDS.items() if kind.clips] == ["wgan"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_wasserstein_s_where_its_terms_are_the_scores(name: str) -> None:
    """By that it is judged, and told of in reports."""
    objective = OBJECTIVES[name]
    terms = (objective.real(SCORES), objective.fake(SCORES), objective.generator(SCORES))
    scores = all(map(jnp.array_equal, terms, (-SCORES, SCORES, -SCORES)))
    assert KINDS[name].wasserstein is scores


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.wasserstein])
def test_the_judge_knows_what_guessing_costs(name: str) -> None:
    """Of scores of 0; and from where fakes count as rejected."""
    zero, objective = jnp.float32(0), OBJECTIVES[name]
    assert float(objective.real(zero) + objective.fake(zero)) / 2 == pytest.approx(CHANCE[name])
    assert REJECTED[name] >= CHANCE[name]


def test_penalty_of_a_linear_critic() -> None:
    """f(x) = 3 sum(x) over 4 pixels has slope 3 * sqrt(4) = 6 everywhere: (6 - 1)^2 = 25."""
    real, fake = jnp.zeros((5, 2, 2, 1)), jnp.ones((5, 2, 2, 1))
    penalty = gradient_penalty(lambda x: 3 * x.sum(axis=(1, 2, 3)), real, fake, jax.random.key(0))
    np.testing.assert_allclose(penalty, np.full(5, 25.0), rtol=1e-5)


def test_penalty_of_a_flat_critic_has_a_finite_gradient() -> None:
    real, fake = jnp.zeros((2, 2, 2, 1)), jnp.ones((2, 2, 2, 1))

    def loss(slope: jax.Array | float) -> jax.Array:
        key = jax.random.key(0)
        return gradient_penalty(lambda x: slope * x.sum(axis=(1, 2, 3)), real, fake, key).mean()

    assert np.isfinite(jax.grad(loss)(0.0))


def test_penalty_is_taken_between_the_pairs() -> None:
    """f(x) = x^2 / 2 on one pixel has slope x: all points lie on the segment from 2 to 4."""
    real, fake = jnp.full((100, 1, 1, 1), 4.0), jnp.full((100, 1, 1, 1), 2.0)
    penalty = gradient_penalty(
        lambda x: 0.5 * (x**2).sum(axis=(1, 2, 3)), real, fake, jax.random.key(1)
    )
    assert penalty.min() >= 1.0  # (2 - 1)^2
    assert penalty.max() <= 9.0  # (4 - 1)^2
    assert penalty.std() > 1.0
