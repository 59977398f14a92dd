"""One update of each player, against the same computed plainly."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.small_runs import same_bits
from wgan_jax.config import resolve
from wgan_jax.gan.objectives import OBJECTIVES
from wgan_jax.gan.state import Game, GanState, Stream, new_game, root_key
from wgan_jax.gan.steps import (
    Metrics,
    _flip,
    _score,
    _score_both,
    critic_step,
    fakes_for_critic,
    generator_step,
)
from wgan_jax.limits import OBJECTIVES as KINDS
from wgan_jax.limits import Kind

KEY = root_key(0)

pytestmark = pytest.mark.usefixtures("quick_compiling")


def critic_update(game: Game, state: GanState) -> tuple[GanState, Metrics]:
    """One critic update on the test's batch, compiled."""

    def update(state: GanState) -> tuple[GanState, Metrics]:
        fake = fakes_for_critic(game, state, state.critic_updates, KEY)
        return critic_step(game, state, batch(), fake, KEY)

    return jax.jit(update)(state)


def generator_update(game: Game, state: GanState) -> tuple[GanState, Metrics]:
    return jax.jit(lambda state: generator_step(game, state, KEY))(state)


def game_and_state(config: dict[str, Any]) -> tuple[Game, GanState]:
    game = new_game(resolve(config), 1)
    return game, jax.jit(game.new_state)(KEY)


def batch(n: int = 8) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (n, 8, 8, 1), np.uint8))


def alike(mine: Any, theirs: Any, *, rtol: float, atol: float) -> None:
    """Two trees of the same numbers but for rounding."""
    for a, b in zip(*map(jax.tree.leaves, (mine, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("flip", "dequantize"), [(False, False), (True, False), (True, True)])
def test_critic_step_by_hand(tiny: dict[str, Any], flip: bool, dequantize: bool) -> None:
    """R and F from the networks themselves; then RMSProp; then the box. Reals alone are flipped."""
    game, state = game_and_state(tiny | {"data": {"flip": flip, "dequantize": dequantize}})
    new, metrics = critic_update(game, state)
    key = jax.random.fold_in(jax.random.fold_in(KEY, Stream.CRITIC), 0)
    latent_key, flip_key, *_ = jax.random.split(key, 5)
    latents = game.latents(latent_key, 8)
    fake, _ = game.generator.apply(
        {"params": state.generator.params, **state.generator.stats},
        latents,
        train=True,
        mutable=["batch_stats"],
    )
    real = batch().astype(jnp.float32) / 127.5 - 1
    if dequantize:
        noise_key = jax.random.fold_in(jax.random.fold_in(KEY, Stream.DEQUANTIZATION), 0)
        noise = jax.random.uniform(noise_key, real.shape)
        real = (batch() + noise) / 128 - 1
        assert real.min() >= -1
        assert real.max() < 1
    if flip:
        real = _flip(real, flip_key)

    def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        def score(x: jax.Array) -> Any:
            return game.critic.apply({"params": params}, x, train=False)

        terms = -score(real).mean(), score(fake).mean()
        return sum(terms), terms

    grads, (r, f) = jax.jit(jax.grad(loss, has_aux=True))(state.critic.params)
    np.testing.assert_allclose(metrics["d_loss_real"], r, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(metrics["d_loss_fake"], f, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(metrics["d_loss"], 0.5 * (r + f), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(metrics["wasserstein_distance"], -(r + f), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(metrics["critic_grad_norm"], optax.tree.norm(grads), rtol=1e-4)
    # The first RMSProp step: lr g / (sqrt(0.01) |g|) = 10 lr, wherever g is not tiny.
    kernel, moved = (s.critic.params["Conv_0"]["kernel"] for s in (state, new))
    expected = jnp.clip(kernel - 1e-2 * jnp.sign(grads["Conv_0"]["kernel"]), -0.05, 0.05)
    np.testing.assert_allclose(moved, expected, atol=2e-4)
    assert same_bits(new.generator, state.generator)
    assert int(new.critic_updates) == 1


def test_generator_step_by_hand(tiny: dict[str, Any]) -> None:
    """G from the networks themselves; then plain descent, here at half its rate."""
    game, state = game_and_state(
        tiny | {"generator_optimizer": {"name": "sgd", "learning_rate": 1e3}}
    )
    new, metrics = generator_update(game, state.replace(rate_factor=jnp.float32(0.5)))
    key = jax.random.fold_in(jax.random.fold_in(KEY, Stream.GENERATOR), 0)
    latents = game.latents(jax.random.split(key)[0], 8)

    def loss(params: Any) -> tuple[jax.Array, Any]:
        variables = {"params": params, **state.generator.stats}
        fake, stats = game.generator.apply(variables, latents, train=True, mutable=["batch_stats"])
        return -game.critic.apply({"params": state.critic.params}, fake, train=False).mean(), stats

    by_hand = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, stats), grads = by_hand(state.generator.params)
    np.testing.assert_allclose(metrics["g_loss"], value, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(metrics["generator_grad_norm"], optax.tree.norm(grads), rtol=1e-3)
    moved = jax.tree.map(lambda weight, slope: weight - 500 * slope, state.generator.params, grads)
    alike(new.generator.params, moved, rtol=1e-3, atol=1e-5)
    alike(new.generator.stats, stats, rtol=1e-4, atol=1e-6)
    assert not same_bits(new.generator.stats, state.generator.stats)
    assert same_bits(new.critic, state.critic)


def test_a_generator_s_update_may_be_of_more_fakes_than_the_critic_s(tiny: dict[str, Any]) -> None:
    """As in Gulrajani et al.'s code: twice the batch. The critic's updates know nothing of it."""
    game, state = game_and_state(tiny | {"generator_batches": 2})
    _, metrics = generator_update(game, state)
    key = jax.random.fold_in(jax.random.fold_in(KEY, Stream.GENERATOR), 0)
    variables = {"params": state.generator.params, **state.generator.stats}
    latents = game.latents(jax.random.split(key)[0], 16)
    fakes, _ = game.generator.apply(variables, latents, train=True, mutable=["batch_stats"])
    scores = game.critic.apply({"params": state.critic.params}, fakes, train=False)
    np.testing.assert_allclose(metrics["g_loss"], -scores.mean(), rtol=1e-4, atol=1e-7)
    usual, _ = game_and_state(tiny)
    assert same_bits(critic_update(game, state)[0].critic, critic_update(usual, state)[0].critic)


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "wgan"])
def test_other_objectives_clip_nothing(tiny: dict[str, Any], objective: str) -> None:
    config = tiny | {"objective": objective, "clip": 1e-6}
    game, state = game_and_state(config)
    new, metrics = critic_update(game, state)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(new.critic.params)) > 1e-3
    assert set(game.metric_keys) >= set(metrics)
    extra = {"nsgan": "d_accuracy", "wgan_gp": "gradient_penalty"}.get(objective)
    assert extra is None or extra in metrics


def test_an_objective_may_have_accuracies_and_a_penalty(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "nsgan", Kind(log_loss=True, penalizes=True))
    game, state = game_and_state(tiny | {"objective": "nsgan"})
    _, metrics = critic_update(game, state)
    assert {"d_accuracy", "gradient_penalty"} <= set(metrics) <= set(game.metric_keys)


def test_rate_factor_zero_freezes_the_weights(tiny: dict[str, Any]) -> None:
    game, state = game_and_state(tiny | {"clip": 1.0})
    frozen = state.replace(rate_factor=jnp.float32(0))
    new, _ = critic_update(game, frozen)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, new.critic.params, state.critic.params))


def test_the_penalty_counts_by_its_weight(tiny: dict[str, Any]) -> None:
    descent = {"name": "sgd", "learning_rate": 1.0}
    game, state = game_and_state(tiny | {"objective": "wgan_gp", "critic_optimizer": descent})

    @jax.jit
    def moved(weight: jax.Array | float) -> jax.Array:
        weighted = dataclasses.replace(
            game, settings=dataclasses.replace(game.settings, gradient_penalty=weight)
        )
        new, _ = critic_step(weighted, state, batch(), jnp.zeros((8, 8, 8, 1)), KEY)
        return new.critic.params["Conv_0"]["kernel"]

    none, once, tenfold = map(moved, (0.0, 1.0, 10.0))
    assert float(jnp.abs(once - none).max()) > 1e-5
    np.testing.assert_allclose(tenfold - none, 10 * (once - none), rtol=1e-2, atol=1e-5)


def test_a_critics_running_averages_are_of_reals_and_then_of_fakes(tiny: dict[str, Any]) -> None:
    game, state = game_and_state(tiny | {"critic": tiny["critic"] | {"normalization": "batch"}})
    real = batch().astype(jnp.float32) / 127.5 - 1
    fake = jnp.zeros_like(real)
    new, _ = jax.jit(lambda state: critic_step(game, state, batch(), fake, KEY))(state)

    @jax.jit
    def after(stats: Any, images: jax.Array) -> Any:
        variables = {"params": state.critic.params, **stats}
        return game.critic.apply(variables, images, train=True, mutable=["batch_stats"])[1]

    alike(new.critic.stats, after(after(state.critic.stats, real), fake), rtol=1e-4, atol=1e-6)


def test_the_critics_rate_falls_to_zero_with_its_last_update(tiny: dict[str, Any]) -> None:
    """In 6 epochs, of which 3 are long: 27 updates."""
    config = tiny | {"n_critic_schedule": {"warm_epochs": 2, "period": 4, "long": 7}}
    config |= {"clip": 10.0, "critic_optimizer": {"name": "sgd", "learning_rate": 1.0}}
    config["critic_optimizer"]["schedule"] = "linear"
    tx, weight = game_and_state(config)[0].critic_optimizer, jnp.float32(0)
    state, moved = tx.init(weight), []
    for _ in range(28):
        update, state = tx.update(jnp.float32(1), state, weight)
        moved.append(float(update))
    np.testing.assert_allclose(moved, -np.arange(27, -1, -1) / 27, atol=1e-6)


@pytest.mark.parametrize(("player", "updates"), [("critic", 2), ("generator", 1)])
@pytest.mark.parametrize("decay_epochs", [0, 12])
def test_a_schedule_ends_with_the_run_or_its_own_epochs(
    tiny: dict[str, Any], player: str, updates: int, decay_epochs: int
) -> None:
    config = tiny | {"clip": 10.0}  # of 6 epochs
    config[f"{player}_optimizer"] = {
        "name": "sgd",
        "learning_rate": 1.0,
        "schedule": "linear",
        "decay_epochs": decay_epochs,
    }
    game, weight = new_game(resolve(config), 1), jnp.float32(0)
    tx, moved = getattr(game, f"{player}_optimizer"), []
    state = tx.init(weight)
    length = (decay_epochs or 6) * updates
    for _ in range(length + 1):
        update, state = tx.update(jnp.float32(1), state, weight)
        moved.append(float(update))
    np.testing.assert_allclose(moved, -np.arange(length, -1, -1) / length, atol=1e-6)


def test_ema_by_hand(tiny: dict[str, Any]) -> None:
    game, state = game_and_state(tiny | {"ema": 0.75})
    new, _ = generator_update(game, state)
    start, end, mean = (
        tree["Dense_0"]["kernel"] for tree in (state.ema, new.generator.params, new.ema)
    )
    np.testing.assert_allclose(mean, 0.75 * start + 0.25 * end, rtol=1e-5, atol=1e-8)


def test_fakes_by_running_statistics_are_other_fakes(tiny: dict[str, Any]) -> None:
    game, state = game_and_state(tiny)
    generator = dataclasses.replace(game.settings.generator, fakes_statistics="running")
    other = dataclasses.replace(
        game, settings=dataclasses.replace(game.settings, generator=generator)
    )
    by_batch = critic_update(game, state)[1]["d_loss_fake"]
    by_running = critic_update(other, state)[1]["d_loss_fake"]
    assert float(by_batch) != float(by_running)


def test_accuracies_of_a_critic_that_calls_all_images_real(tiny: dict[str, Any]) -> None:
    game, state = game_and_state(tiny | {"objective": "nsgan"})
    params = jax.tree.map(jnp.zeros_like, state.critic.params)
    params["Dense_0"]["bias"] += 1.0
    sure = state.replace(critic=state.critic.replace(params=params))
    assert float(critic_update(game, sure)[1]["d_accuracy"]) == 0.5
    assert float(generator_update(game, sure)[1]["g_accuracy"]) == 1.0
    params = jax.tree.map(jnp.zeros_like, params)
    undecided = state.replace(critic=state.critic.replace(params=params))
    assert float(critic_update(game, undecided)[1]["d_accuracy"]) == 0.0  # 0 is on no side


def test_streams_keep_their_numbers() -> None:
    """All bits of a run, and of one that is resumed by another version, hang on them."""
    assert {stream.name: int(stream) for stream in Stream} == {
        "CRITIC_INIT": 0,
        "GENERATOR_INIT": 1,
        "ORDER": 2,
        "CRITIC": 3,
        "GENERATOR": 4,
        "SAMPLES": 5,
        "EVALUATION": 6,
        "GRID": 7,
        "STANDING": 8,
        "SPECTRAL": 9,
        "DEQUANTIZATION": 10,
        "REAL_VIEWS": 11,
        "FAKE_VIEWS": 12,
        "GENERATOR_VIEWS": 13,
        "HELD_OUT": 14,
        "HELD_OUT_VIEWS": 15,
    }


def test_flip_mirrors_about_half() -> None:
    images = jnp.broadcast_to(jnp.arange(8.0).reshape(1, 1, 8, 1), (1000, 1, 8, 1))
    flipped = _flip(images, jax.random.key(0))[:, 0, 0, 0] == 7
    assert 0.45 < float(flipped.mean()) < 0.55


def test_dropout_draws_anew_each_update(tiny: dict[str, Any]) -> None:
    critic = tiny["critic"] | {"dropout": 0.5}
    game, state = game_and_state(tiny | {"critic": critic})
    first = critic_update(game, state)[1]["d_loss_real"]
    again = critic_update(game, state)[1]["d_loss_real"]
    later = critic_update(game, state.replace(critic_updates=jnp.int32(1)))[1]
    assert float(first) == float(again)
    assert float(first) != float(later["d_loss_real"])


def test_dropout_is_another_on_reals_than_on_fakes(tiny: dict[str, Any]) -> None:
    """Else a critic that is shown the same images twice would score them alike."""
    game, state = game_and_state(tiny | {"critic": tiny["critic"] | {"dropout": 0.5}})
    same = batch().astype(jnp.float32) / 127.5 - 1
    _, metrics = jax.jit(lambda state: critic_step(game, state, batch(), same, KEY))(state)
    assert float(metrics["wasserstein_distance"]) != 0


@pytest.mark.parametrize("critic", [{"normalization": "layer"}, {"dropout": 0.5}])
def test_scores_of_both_batches_are_those_of_each(
    tiny: dict[str, Any], critic: dict[str, Any]
) -> None:
    game, state = game_and_state(tiny | {"critic": tiny["critic"] | critic})
    params, stats = state.critic.params, state.critic.stats
    rng = np.random.default_rng(0)
    real, fake = (jnp.asarray(rng.uniform(-1, 1, (8, 8, 8, 1)), jnp.float32) for _ in "rf")
    keys = jax.random.key(1), jax.random.key(2)
    of_real, of_fake, _ = _score_both(game, params, stats, (real, fake), keys)
    np.testing.assert_allclose(of_real, _score(game, params, stats, real, keys[0])[0], rtol=1e-4)
    np.testing.assert_allclose(of_fake, _score(game, params, stats, fake, keys[1])[0], rtol=1e-4)
