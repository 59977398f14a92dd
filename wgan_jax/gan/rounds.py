"""Rounds and chunks of rounds: the whole of training as one device program.

A round is `n_critic` critic updates and one generator update. A chunk is any number of rounds, up
to `CHUNK`; the number is an argument of the program, so that one compilation serves every length,
and the bits of a run do not depend on how it was cut into chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
from jax import Array, lax

from wgan_jax.backend import compiler_options
from wgan_jax.devices import everywhere
from wgan_jax.gan.metrics import (
    WINDOW,
    loss_ratio,
    mean_and_std,
    share_at_boundary,
    windowed_variance,
)
from wgan_jax.gan.state import Game, GanState, Stream
from wgan_jax.gan.steps import Metrics, critic_step, fakes_for_critic, generator_step
from wgan_jax.order import drawn
from wgan_jax.settings import Settings

CHUNK = 1024  # rounds per chunk at most: the length of the buffer of metrics

Draw = Callable[[GanState], tuple[GanState, Array]]
# The state, metrics by rounds, rounds played, and whether all of the last round's are finite.
Carry = tuple[GanState, Array, Array, Array]


class Batches(flax.struct.PyTreeNode):
    """Batches in the order of the critic's updates, for a dataset that is streamed.

    Attributes:
      batches: uint8 [updates, batch, h, w, c], by rows over the devices.
      first: number of the critic update that the first of them is for, int32.
      size: images in the dataset that they are of.
    """

    batches: Array
    first: Array
    size: int = flax.struct.field(pytree_node=False)


class Chunk(NamedTuple):
    """What a chunk measured, on the device.

    Attributes:
      metrics: float32 [CHUNK, len(game.metric_keys)]; rows from `rounds` on are unused.
      rounds: rounds played, int32; fewer than asked for if one measured a non-finite value, which
        then stands in the last row.
      critic_updates: critic updates in these rounds, int32.
    """

    metrics: Array
    rounds: Array
    critic_updates: Array


def play_round(game: Game, state: GanState, draw: Draw, key: Array) -> tuple[GanState, Metrics]:
    """One epoch.

    Args:
      game: the static part.
      state: before the round.
      draw: gives the real images of the next critic update, uint8 [batch, h, w, c], and the state
        moved on in the data; from a resident dataset or from wherever else they come.
      key: the run's root key.

    Returns:
      The state after the round, and its metrics, scalars float32, keyed by `game.metric_keys`.
    """
    state, critic_metrics = _critic_phase(game, state, draw, key)
    state, generator_metrics = generator_step(game, state, key)
    metrics = critic_metrics | generator_metrics
    critic_mean, critic_std = mean_and_std(state.critic.params)
    generator_mean, generator_std = mean_and_std(state.generator.params)
    recent = state.recent_d_loss.at[state.epoch % WINDOW].set(metrics["d_loss"])
    state = state.replace(epoch=state.epoch + 1, recent_d_loss=recent)
    clipped = jnp.float32(0)
    if game.kind.clips:
        clipped = share_at_boundary(state.critic.params, game.settings.clip)
    metrics |= {
        "critic_weight_mean": critic_mean,
        "critic_weight_std": critic_std,
        "generator_weight_mean": generator_mean,
        "generator_weight_std": generator_std,
        "dg_ratio": loss_ratio(metrics["d_loss"], metrics["g_loss"]),
        "clip_ratio": clipped,
        "loss_variance": windowed_variance(recent, state.epoch),
    }
    return state, metrics


def chunk_program(game: Game) -> jax.stages.Wrapped:
    """The jitted program `(state, images, root key, rounds int32) -> (state, Chunk)`.

    images: the whole dataset, uint8 [n, h, w, c], on every device, n at least the batch size; or a
    `Batches` that hold all those of the chunk. The state is donated.
    """

    def play_chunk(
        state: GanState, images: Array | Batches, key: Array, rounds: Array
    ) -> tuple[GanState, Chunk]:
        def draw(state: GanState) -> tuple[GanState, Array]:
            if isinstance(images, Batches):
                size, batch = images.size, images.batches[state.critic_updates - images.first]
            else:
                size = len(images)
                batch = _drawn_resident(state, images, key, game.settings.batch_size)
            return _moved_on(state, size, game.settings.batch_size), game.sharded(batch)

        def unfinished(carry: Carry) -> Array:
            _, _, played, sound = carry
            return (played < rounds) & sound

        def play(carry: Carry) -> Carry:
            state, rows, played, _ = carry
            state, metrics = play_round(game, state, draw, key)
            if odd := set(metrics) ^ set(game.metric_keys):  # what is not named would be lost
                raise ValueError(f"in a round or in Game.metric_keys, not in both: {sorted(odd)}")
            row = jnp.stack([metrics[name].astype(jnp.float32) for name in game.metric_keys])
            return state, rows.at[played].set(row), played + 1, jnp.isfinite(row).all()

        updates_before = state.critic_updates
        rows = jnp.zeros((CHUNK, len(game.metric_keys)), jnp.float32)
        state, rows, played, _ = lax.while_loop(
            unfinished, play, (state, rows, jnp.int32(0), jnp.bool_(True))
        )
        return state, Chunk(rows, played, state.critic_updates - updates_before)

    return jax.jit(
        play_chunk,
        donate_argnums=0,
        out_shardings=everywhere(game.mesh),
        compiler_options=compiler_options(),
    )


def _critic_phase(game: Game, state: GanState, draw: Draw, key: Array) -> tuple[GanState, Metrics]:
    """The critic updates of a round, in a loop; the metrics are those of the last."""
    updates, fakes = _critic_updates(game.settings, state.epoch), None
    if isinstance(updates, int) and _makes_fakes_at_once(game):
        numbers = state.critic_updates + jnp.arange(updates)
        fakes = jax.vmap(lambda number: fakes_for_critic(game, state, number, key))(numbers)

    # Traced once for both uses below: they give it the same types, int32 (no Python int) for `i`.
    @partial(jax.jit, inline=True)
    def update(i: Array, state: GanState) -> tuple[GanState, Metrics]:
        state, batch = draw(state)
        number = state.critic_updates
        fake = fakes_for_critic(game, state, number, key) if fakes is None else fakes[i]
        return critic_step(game, state, batch, fake, key)

    _, measured = jax.eval_shape(update, jnp.int32(0), state)
    blank = jax.tree.map(jnp.zeros_like, measured)
    played: tuple[GanState, Metrics] = lax.fori_loop(
        jnp.int32(0), updates, lambda i, carry: update(i, carry[0]), (state, blank)
    )
    return played


def _makes_fakes_at_once(game: Game) -> bool:
    """Whether one pass of the generator makes the fakes of all critic updates of a round.

    On a GPU it saves the start of many kernels, each with little work to do. On a CPU one batch is
    work enough. Several devices, each with its share of every batch, would exchange features.
    """
    return jax.default_backend() != "cpu" and game.mesh.size == 1


def _critic_updates(settings: Settings, epoch: Array) -> int | Array:
    """How many the round of this epoch has; traced where rounds differ."""
    schedule = settings.n_critic_schedule
    if not schedule.varies:
        return settings.n_critic
    return jnp.where(schedule.is_long(epoch), schedule.long, settings.n_critic)


def _drawn_resident(state: GanState, images: Array, key: Array, batch_size: int) -> Array:
    """The images of the next critic update, by the run's permutation of the dataset."""
    size = jnp.uint32(images.shape[0])
    order_key = jax.random.key_data(jax.random.fold_in(key, Stream.ORDER))
    positions = state.position + jnp.arange(batch_size, dtype=jnp.uint32)
    beyond = (positions >= size).astype(jnp.uint32)
    indices = drawn(order_key, state.passes + beyond, positions - beyond * size, images.shape[0])
    # Or XLA computes an image's index anew for each of its pixels: on an H100, 7 % of a round.
    return images[lax.optimization_barrier(indices)]


def _moved_on(state: GanState, size: int, batch_size: int) -> GanState:
    """The state one batch further in a dataset of this size."""
    end = state.position + jnp.uint32(batch_size)
    over = (end >= jnp.uint32(size)).astype(jnp.uint32)
    return state.replace(passes=state.passes + over, position=end - over * jnp.uint32(size))
