"""Rounds and chunks: one program for every length, the same bits however a run is cut."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.small_runs import same_bits
from wgan_jax.config import resolve
from wgan_jax.gan import rounds
from wgan_jax.gan.state import Game, GanState, new_game, root_key
from wgan_jax.gan.steps import Metrics
from wgan_jax.order import drawn
from wgan_jax.starting import new_state

KEY = root_key(0)


def images(n: int = 20) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (n, 8, 8, 1), np.uint8))


def play(
    config: dict[str, Any], *lengths: int
) -> tuple[Game, GanState, NDArray[np.float32], jax.stages.Wrapped]:
    """Chunks of these lengths from the start; (game, state, metrics of all rounds, program)."""
    game = new_game(resolve(config), 1)
    program = rounds.chunk_program(game)
    state, rows = new_state(game, KEY), []
    for length in lengths:
        state, chunk = program(state, images(), KEY, jnp.int32(length))
        rows.append(np.asarray(chunk.metrics[: int(chunk.rounds)]))
    return game, state, np.concatenate(rows), program


@pytest.mark.slow
def test_chunks_of_any_length_give_the_same_bits_by_one_program(tiny: dict[str, Any]) -> None:
    _, whole, rows, _ = play(tiny, 6)
    _, parts, cut, program = play(tiny, 1, 3, 2)
    assert same_bits(whole, parts)
    np.testing.assert_array_equal(rows, cut)
    assert program._cache_size() == 1


@pytest.mark.slow
def test_weights_stay_in_the_box_exactly(tiny: dict[str, Any]) -> None:
    """However far the updates would go."""
    _, state, _, _ = play(tiny | {"clip": 0.01, "critic_optimizer": {"learning_rate": 1.0}}, 3)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(state.critic.params))
    assert largest == float(np.float32(0.01))


def test_what_a_round_measures(tiny: dict[str, Any]) -> None:
    game, state, rows, _ = play(tiny, 5)
    row = dict(zip(game.metric_keys, rows.T, strict=True))
    np.testing.assert_allclose(row["d_loss"], 0.5 * (row["d_loss_real"] + row["d_loss_fake"]))
    np.testing.assert_allclose(
        row["wasserstein_distance"], -(row["d_loss_real"] + row["d_loss_fake"]), rtol=1e-5
    )
    np.testing.assert_allclose(
        row["dg_ratio"], np.abs(row["d_loss"]) / np.abs(row["g_loss"]), rtol=1e-5
    )
    variances = [np.var(row["d_loss"][: i + 1].astype(np.float64)) for i in range(5)]
    np.testing.assert_allclose(row["loss_variance"], variances, rtol=1e-3, atol=1e-12)
    for player in ("generator", "critic"):
        leaves = jax.tree.leaves(getattr(state, player).params)
        weights = np.concatenate([np.ravel(leaf) for leaf in leaves])
        assert row[f"{player}_weight_mean"][-1] == pytest.approx(weights.mean(), abs=1e-7)
        assert row[f"{player}_weight_std"][-1] == pytest.approx(weights.std(), rel=1e-5)
    clipped = np.mean(np.abs(weights) >= 0.05 * (1 - 1e-5))
    assert row["clip_ratio"][-1] == pytest.approx(clipped)
    assert 0 < clipped < 1


def test_a_metric_that_only_the_round_or_only_the_table_has_is_named(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be measured, and recorded nowhere."""
    step = rounds.critic_step

    def with_more(*args: Any) -> tuple[GanState, Metrics]:
        state, metrics = step(*args)
        return state, metrics | {"r1_penalty": jnp.float32(1)}

    monkeypatch.setattr(rounds, "critic_step", with_more)
    with pytest.raises(ValueError, match=r"Game\.metric_keys, not in both: .'r1_penalty'"):
        play(tiny, 1)


@pytest.mark.slow
def test_the_last_hundred_losses_are_a_ring(tiny: dict[str, Any]) -> None:
    """Epochs 99 and 100 take the last place and the first."""
    game = new_game(resolve(tiny), 1)
    program, state = rounds.chunk_program(game), new_state(game, KEY)
    state = state.replace(epoch=jnp.int32(99), recent_d_loss=jnp.full(100, 9.0))
    state, chunk = program(state, images(), KEY, jnp.int32(2))
    losses = chunk.metrics[:2, game.metric_keys.index("d_loss")]
    np.testing.assert_array_equal(state.recent_d_loss[99:], losses[:1])
    np.testing.assert_array_equal(state.recent_d_loss[:1], losses[1:])
    np.testing.assert_array_equal(state.recent_d_loss[1:99], 9.0)
    variance = chunk.metrics[1, game.metric_keys.index("loss_variance")]
    np.testing.assert_allclose(variance, np.var(state.recent_d_loss), rtol=1e-4)


def test_counters(tiny: dict[str, Any]) -> None:
    _, state, _, _ = play(tiny, 4)
    drawn_images = 4 * 2 * 8
    assert (int(state.epoch), int(state.critic_updates)) == (4, 8)
    assert (int(state.passes), int(state.position)) == divmod(drawn_images, 20)


def test_the_critic_sees_each_image_once_a_pass(tiny: dict[str, Any]) -> None:
    """The batches that a chunk draws are the run's permutation, in order, over pass boundaries."""
    game = new_game(resolve(tiny), 1)
    state = new_state(game, KEY)
    seen = []
    marked = jnp.broadcast_to(jnp.arange(20, dtype=jnp.uint8).reshape(20, 1, 1, 1), (20, 8, 8, 1))
    for _ in range(5):
        batch = rounds._drawn_resident(state, marked, KEY, 8)
        state = rounds._moved_on(state, 20, 8)
        seen += np.asarray(batch[:, 0, 0, 0]).tolist()
    order_key = np.asarray(jax.random.key_data(jax.random.fold_in(KEY, rounds.Stream.ORDER)))
    place = np.arange(40, dtype=np.uint32)
    assert seen == drawn(order_key, place // 20, place % 20, 20).tolist()
    assert sorted(seen[:20]) == sorted(seen[20:]) == list(range(20))


@pytest.mark.slow
def test_a_batch_of_the_whole_dataset(tiny: dict[str, Any]) -> None:
    _, state, rows, _ = play(tiny | {"batch_size": 20}, 2)
    assert np.isfinite(rows).all()
    assert (int(state.passes), int(state.position)) == (4, 0)


@pytest.mark.slow
def test_the_authors_schedule_of_critic_updates(tiny: dict[str, Any]) -> None:
    """Long phases in the first 2 epochs and in every 4th: 7+7+2+2+7+2 updates."""
    schedule = {"warm_epochs": 2, "period": 4, "long": 7}
    _, state, _, program = play(tiny | {"n_critic_schedule": schedule}, 6)
    assert int(state.critic_updates) == 27
    assert program._cache_size() == 1


@pytest.mark.slow
def test_batches_play_as_the_whole_dataset_does(tiny: dict[str, Any]) -> None:
    """Streamed: the same bits, though there are more batches than a chunk needs."""
    game, whole, rows, _ = play(tiny, 4)
    program, state, taken = rounds.chunk_program(game), new_state(game, KEY), []
    order_key = np.asarray(jax.random.key_data(jax.random.fold_in(KEY, rounds.Stream.ORDER)))
    for update in range(10):
        place = np.arange(8 * update, 8 * update + 8, dtype=np.uint32)
        taken.append(np.asarray(images())[drawn(order_key, place // 20, place % 20, 20)])
    for first, played in ((0, 1), (0, 2), (6, 1)):
        images_of = jnp.asarray(np.stack(taken[first : first + 6] + taken[:2]))[:6]
        batches = rounds.Batches(images_of, jnp.int32(first), 20)
        state, chunk = program(state, batches, KEY, jnp.int32(played))
    assert same_bits(whole, state)
    np.testing.assert_array_equal(rows[3], np.asarray(chunk.metrics[0]))


@pytest.mark.slow
def test_a_schedule_that_changes_nothing_gives_the_same_bits(tiny: dict[str, Any]) -> None:
    schedule = {"warm_epochs": 100, "period": 0, "long": 2}
    _, scanned, rows, _ = play(tiny, 3)
    _, counted, same, _ = play(tiny | {"n_critic_schedule": schedule}, 3)
    np.testing.assert_allclose(rows, same, rtol=1e-4, atol=1e-6)
    assert int(scanned.critic_updates) == int(counted.critic_updates)


@pytest.mark.slow
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_fakes_made_in_one_pass_are_those_of_each_update(
    tiny: dict[str, Any], statistics: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where the convolutions have another form, too."""
    descent = {"name": "sgd", "learning_rate": 0.05}
    config = tiny | {"critic_optimizer": descent, "generator_optimizer": descent, "n_critic": 3}
    config["generator"] = tiny["generator"] | {"fakes_statistics": statistics}
    _, by_update, rows, _ = play(config, 4)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    _, in_one_pass, same, _ = play(config, 4)
    np.testing.assert_allclose(rows, same, rtol=1e-3, atol=1e-5)
    assert int(by_update.critic_updates) == int(in_one_pass.critic_updates) == 12
    for mine, theirs in zip(*map(jax.tree.leaves, (by_update, in_one_pass)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_chunk_ends_at_the_round_that_is_not_finite(tiny: dict[str, Any]) -> None:
    game = new_game(resolve(tiny), 1)
    state = jax.jit(game.new_state)(KEY)
    params = jax.tree.map(lambda leaf: leaf, state.generator.params)
    params["Dense_0"]["kernel"] = params["Dense_0"]["kernel"].at[0, 0].set(jnp.nan)
    state = state.replace(generator=state.generator.replace(params=params))
    state, chunk = rounds.chunk_program(game)(state, images(), KEY, jnp.int32(5))
    assert int(chunk.rounds) == 1
    assert not np.isfinite(chunk.metrics[0]).all()


def test_weights_that_compile_quickly_have_the_same_bits(tiny: dict[str, Any]) -> None:
    game = new_game(resolve(tiny), 1)
    assert same_bits(new_state(game, KEY), jax.jit(game.new_state)(KEY))


def test_another_seed_is_another_run(tiny: dict[str, Any]) -> None:
    game = new_game(resolve(tiny), 1)
    program = rounds.chunk_program(game)
    losses = []
    for seed in (0, 0, 1):
        key = root_key(seed)
        _, chunk = program(jax.jit(game.new_state)(key), images(), key, jnp.int32(2))
        losses.append(np.asarray(chunk.metrics[:2]))
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


@pytest.mark.slow
def test_strict_types_and_ranks(tiny: dict[str, Any]) -> None:
    """No silent promotion anywhere in a round; optax's own adam promotes, so RMSProp is used."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        game = new_game(resolve(tiny), 1)
        _, chunk = jax.eval_shape(
            rounds.chunk_program(game),
            jax.eval_shape(game.new_state, KEY),
            images(),
            KEY,
            jnp.int32(1),
        )
    assert chunk.metrics.shape == (rounds.CHUNK, len(game.metric_keys))
