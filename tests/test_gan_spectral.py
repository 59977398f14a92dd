"""Spectral normalisation of the critic's weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.config import resolve
from wgan_jax.errors import UserError
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.spectral import first_directions, normalized
from wgan_jax.gan.state import SPECTRAL, Game, GanState, new_game, root_key
from wgan_jax.gan.steps import critic_step, fakes_for_critic, generator_step

TINY: dict[str, Any] = {
    "objective": "hinge",
    "image_size": 8,
    "batch_size": 8,
    "n_critic": 2,
    "latent_dim": 4,
    "critic": {"filters": (4, 8), "strides": (2, 1), "kernel": 3, "normalization": "spectral"},
    "generator": {"base_filters": 8, "filters": (4,), "kernel": 3},
}


def kernels(*shapes: tuple[int, ...]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        f"Conv_{i}": {"kernel": jnp.asarray(rng.normal(size=shape), jnp.float32)}
        for i, shape in enumerate(shapes)
    }


def test_by_hand() -> None:
    """Of diag(3, 1): from the second axis and a bit of the first, one step leads to the first."""
    params = {"Dense_0": {"kernel": jnp.diag(jnp.array([3.0, 1.0])), "bias": jnp.ones(2)}}
    start = jnp.array([0.6, 0.8])
    left = np.array([1.8, 0.8]) / np.hypot(1.8, 0.8)  # of the matrix times the start
    right = np.array([5.4, 0.8]) / np.hypot(5.4, 0.8)
    largest = 3 * left[0] * right[0] + left[1] * right[1]
    weights, directions = normalized(params, {"Dense_0": {"kernel": start}})
    np.testing.assert_allclose(directions["Dense_0"]["kernel"], right, rtol=1e-6)
    np.testing.assert_allclose(
        weights["Dense_0"]["kernel"], np.diag([3, 1]) / largest, rtol=1e-6, atol=1e-7
    )
    np.testing.assert_array_equal(weights["Dense_0"]["bias"], 1)


def test_the_largest_singular_value_becomes_one() -> None:
    params = kernels((3, 3, 5, 7), (5, 5, 2, 16), (1, 1, 4, 4), (30, 1))
    directions = first_directions(params, jax.random.key(0))
    for leaf in jax.tree.leaves(directions):
        assert np.linalg.norm(leaf) == pytest.approx(1)
    for _ in range(300):
        weights, directions = normalized(params, directions)
    for kernel in jax.tree.leaves(weights):
        values = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)
        assert values[0] == pytest.approx(1, abs=1e-4)


def test_the_gradient_is_the_papers() -> None:
    """Equation 12 of the paper: what would lengthen the first direction alone has no gradient."""
    params = kernels((2, 2, 3, 5))
    directions = first_directions(params, jax.random.key(1))
    slopes = np.asarray(kernels((9, 9), (2, 2, 3, 5))["Conv_1"]["kernel"])

    def product(params: Any) -> Any:
        return jnp.sum(normalized(params, directions)[0]["Conv_0"]["kernel"] * slopes)

    matrix = np.asarray(params["Conv_0"]["kernel"], np.float64).reshape(12, 5)
    left = matrix @ np.asarray(directions["Conv_0"]["kernel"], np.float64)
    left /= np.linalg.norm(left)
    right = left @ matrix / np.linalg.norm(left @ matrix)
    largest = left @ matrix @ right
    share = np.sum(slopes.reshape(12, 5) * matrix) / largest
    expected = (slopes.reshape(12, 5) - share * np.outer(left, right)) / largest
    found = jax.grad(product)(params)["Conv_0"]["kernel"]
    np.testing.assert_allclose(found.reshape(12, 5), expected, rtol=1e-4, atol=1e-5)


def test_a_dead_kernel_is_left_dead() -> None:
    params = {"Conv_0": {"kernel": jnp.zeros((3, 3, 2, 4))}}
    directions = first_directions(params, jax.random.key(0))
    weights, directions = normalized(params, directions)
    for leaf in jax.tree.leaves((weights, directions)):
        np.testing.assert_array_equal(leaf, 0)


@pytest.fixture(scope="module")
def game() -> Game:
    return new_game(resolve(TINY), 1)


@pytest.fixture(scope="module")
def images() -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1))
    return jnp.asarray(pixels, jnp.uint8)


def first_state(game: Game) -> GanState:
    state: GanState = jax.jit(game.new_state)(root_key(0))
    return state


@pytest.mark.slow
def test_the_critic_does_not_see_how_large_its_kernels_are(game: Game, images: Any) -> None:
    state = first_state(game)
    larger = jax.tree.map(lambda leaf: 10 * leaf if leaf.ndim > 1 else leaf, state.critic.params)
    scaled = state.replace(critic=state.critic.replace(params=larger))
    scores = game.scores(state, images)
    assert np.std(scores) > 0
    # A score near 0 is a difference of larger numbers, and has their round-off.
    np.testing.assert_allclose(game.scores(scaled, images), scores, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_directions_move_with_the_critics_updates_alone(game: Game, images: Any) -> None:
    state, key = first_state(game), root_key(0)
    fakes = fakes_for_critic(game, state, state.critic_updates, key)
    after_critic, _ = jax.jit(critic_step, static_argnums=0)(game, state, images[:8], fakes, key)
    moved = after_critic.critic.stats[SPECTRAL]
    expected = normalized(state.critic.params, state.critic.stats[SPECTRAL])[1]
    for found, one_step in zip(jax.tree.leaves(moved), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, one_step, rtol=1e-5, atol=1e-6)
    after, _ = jax.jit(generator_step, static_argnums=0)(game, after_critic, key)
    for found, before in zip(
        jax.tree.leaves(after.critic), jax.tree.leaves(after_critic.critic), strict=True
    ):
        np.testing.assert_array_equal(found, before)


@pytest.mark.slow
def test_a_run_is_the_same_however_it_is_cut(game: Game, images: Any) -> None:
    """The directions are part of the state."""
    play, key = chunk_program(game), root_key(0)
    whole, _ = play(first_state(game), images, key, jnp.int32(5))
    part, _ = play(first_state(game), images, key, jnp.int32(2))
    rest, _ = play(part, images, key, jnp.int32(3))
    for found, expected in zip(jax.tree.leaves(rest), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_it_does_not_go_with_clipping() -> None:
    with pytest.raises(UserError, match=r"'spectral' does not go with wgan: .* 'hinge'"):
        resolve(TINY | {"objective": "wgan"})
    resolve(TINY | {"objective": "wgan_gp"})
