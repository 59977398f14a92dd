"""Optimisers and clipping: steps computed by hand, and the box that holds exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wgan_jax.gan.transforms import clip_weights, learning_rate, optimizer, project
from wgan_jax.settings import OptimizerSettings


def test_clip_weights_moves_to_the_boundary() -> None:
    tx = clip_weights(0.1)
    params = {"w": jnp.array([0.05, -0.05, 0.0])}
    updates, _ = tx.update({"w": jnp.array([1.0, -1.0, 0.02])}, tx.init(params), params)
    new = optax.apply_updates(params, updates)
    np.testing.assert_allclose(new["w"], [0.1, -0.1, 0.02], rtol=1e-6)


def test_clip_weights_needs_params_and_a_positive_threshold() -> None:
    with pytest.raises(ValueError, match="needs params"):
        clip_weights(0.1).update({"w": jnp.zeros(1)}, optax.EmptyState())
    for c in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="c > 0"):
            clip_weights(c)


def test_projection_holds_where_the_transform_alone_may_not() -> None:
    """100,000 random steps in float32: none outside the box after `project`."""
    c = 0.01
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.uniform(-c, c, 100_000), jnp.float32)
    updates = jnp.asarray(rng.normal(0, 2 * c, 100_000), jnp.float32)
    tx = clip_weights(c)
    kept, _ = tx.update(updates, tx.init(params), params)
    projected = project(optax.apply_updates(params, kept), c)
    assert float(jnp.abs(projected).max()) == float(np.float32(c))


def test_rmsprop_is_the_authors() -> None:
    """torch's: v = .99 v + .01 g^2; p -= lr g / (sqrt v + 1e-8)"""
    lr, gradients = 5e-5, (1e-4, -3e-5, 1e-7)
    tx = optimizer(OptimizerSettings(), 50)
    params, v, expected = jnp.float32(0.5), 0.0, 0.5
    state = tx.init(params)
    for g in gradients:
        updates, state = tx.update(jnp.float32(g), state, params)
        params = optax.apply_updates(params, updates)
        v = 0.99 * v + 0.01 * g**2
        expected -= lr * g / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(params, expected, rtol=1e-6)
    first, _ = tx.update(jnp.float32(1e-5), tx.init(params), params)
    np.testing.assert_allclose(first, -lr * 1e-5 / (1e-6 + 1e-8), rtol=1e-5)


def test_rmsprop_with_eps_inside_the_root() -> None:
    settings = OptimizerSettings(learning_rate=1.0, decay=0.75, eps=0.01, eps_in_sqrt=True)
    tx = optimizer(settings, 10)
    update, _ = tx.update(jnp.float32(2.0), tx.init(jnp.float32(0.0)))
    np.testing.assert_allclose(update, -2 / np.sqrt(0.25 * 4 + 0.01), rtol=1e-6)


def test_adam_by_hand() -> None:
    settings = OptimizerSettings(name="adam", learning_rate=1e-3, b1=0.5, b2=0.75, eps=0.1)
    tx = optimizer(settings, 10)
    state, m, v = tx.init(jnp.float32(0.0)), 0.0, 0.0
    for step, g in enumerate((2.0, -1.0), start=1):
        update, state = tx.update(jnp.float32(g), state, jnp.float32(0.0))
        m, v = 0.5 * m + 0.5 * g, 0.75 * v + 0.25 * g**2
        corrected = m / (1 - 0.5**step), v / (1 - 0.75**step)
        np.testing.assert_allclose(
            update, -1e-3 * corrected[0] / (np.sqrt(corrected[1]) + 0.1), rtol=1e-5
        )


def test_sgd_with_momentum() -> None:
    settings = OptimizerSettings(name="sgd", learning_rate=0.1, b1=0.5)
    tx = optimizer(settings, 10)
    state = tx.init(jnp.float32(0.0))
    first, state = tx.update(jnp.float32(1.0), state)
    second, _ = tx.update(jnp.float32(1.0), state)
    np.testing.assert_allclose([first, second], [-0.1, -0.15], rtol=1e-6)


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("cosine", 0.5)])
def test_schedules_count_the_players_own_updates(schedule: str, half: float) -> None:
    rate = learning_rate(OptimizerSettings(schedule=schedule, learning_rate=1.0), 50)
    np.testing.assert_allclose([rate(0), rate(25), rate(50)], [1.0, half, 0.0], atol=1e-6)


@pytest.mark.parametrize(("name", "rate"), [("rmsprop", 1e-3), ("adam", 0.01), ("sgd", 0.01)])
def test_a_rate_factor_is_a_lower_rate_up_to_the_box(name: str, rate: float) -> None:
    """Half of the way of an update that ends at the box may end there, too."""
    clip, rng = 0.01, np.random.default_rng(0)
    params = jnp.asarray(rng.uniform(-clip, clip, 1000), jnp.float32)
    grads = jnp.asarray(rng.normal(size=1000), jnp.float32)

    def moved(rate: float, **factor: float) -> jax.Array:
        settings = OptimizerSettings(name=name, learning_rate=rate)
        tx = optax.chain(optimizer(settings, 10), clip_weights(clip))
        return tx.update(grads, tx.init(params), params, **factor)[0]

    by_factor = moved(rate, rate_factor=0.5)
    np.testing.assert_allclose(by_factor, moved(rate / 2), rtol=1e-5)
    assert 0.1 < float(jnp.mean(jnp.abs(params + by_factor) > 0.999 * clip)) < 0.9


@pytest.mark.parametrize("choice", [{"name": "lion"}, {"schedule": "exponential"}])
def test_a_choice_that_nothing_was_written_for_is_not_taken_for_another(
    choice: dict[str, str],
) -> None:
    with pytest.raises(ValueError, match="only"):
        optimizer(OptimizerSettings(**choice), 10)


def test_project_keeps_structure() -> None:
    params = {"a": {"w": jnp.array([5.0])}, "b": jnp.array([-5.0])}
    assert jax.tree.map(float, jax.tree.map(jnp.sum, project(params, 1.0))) == {
        "a": {"w": 1.0},
        "b": -1.0,
    }
