"""What a run would be: settings, networks, work per round, memory, data; without training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wgan_jax import devices
from wgan_jax.backend import compiling, use_compilation_cache
from wgan_jax.config import flat
from wgan_jax.data.dataset import Dataset
from wgan_jax.feeding import read_images, updates_at_once
from wgan_jax.gan.rounds import Batches, chunk_program
from wgan_jax.gan.state import Game, GanState, new_game, root_key
from wgan_jax.gan.steps import Metrics, critic_step, fakes_for_critic, generator_step
from wgan_jax.settings import Settings, critic_updates
from wgan_jax.starting import new_state


def preview(settings: Settings) -> None:
    """Print the resolved settings, both networks, operations per round, memory, and the dataset.

    Compiles the round for this device, so that the memory is the compiler's own figure.
    """
    use_compilation_cache()
    dataset = read_images(settings)
    game = new_game(settings, dataset.channels, devices.mesh(settings.devices))
    whole = devices.everywhere(game.mesh)  # as in training, which finds the program in the cache
    key = jax.jit(root_key, static_argnums=0, out_shardings=whole)(settings.seed)
    state = new_state(game, key)
    print("Settings\n" + "\n".join(f"  {k} = {v!r}" for k, v in flat(settings).items()))
    for name, player in (("Critic", state.critic), ("Generator", state.generator)):
        print(f"\n{name}\n{_parameters(player.params)}")
    operations = round_operations(game, state, key)
    images = _given(game, dataset)
    program = chunk_program(game)
    with compiling(print):
        compiled = program.lower(state, images, key, np.int32(1)).compile()
    memory = compiled.memory_analysis()
    print(
        f"\nOperations per epoch   {operations / 1e9:.2f} GFLOP "
        f"({settings.n_critic} critic updates, 1 generator update, batch {settings.batch_size})"
        f"\nDevice memory          {_memory(memory, _next_batches(game, images))} on "
        f"{jax.devices()[0].device_kind}"
        f"\nDataset                {dataset.words}"
        f"\nOn the device          {_place(dataset, images)}"
        f"\nPasses over the data   {_passes(settings, len(dataset)):,.1f} in "
        f"{settings.epochs:,} epochs"
    )


def _given(game: Game, dataset: Dataset) -> Any:
    """Shapes of what the program is given to train on."""
    if not dataset.streamed:
        whole = devices.everywhere(game.mesh)
        return jax.ShapeDtypeStruct(dataset.shape, jnp.uint8, sharding=whole)
    shape = (updates_at_once(game), game.settings.batch_size, *game.image_shape)
    size = len(dataset)
    return jax.eval_shape(lambda: Batches(jnp.zeros(shape, jnp.uint8), jnp.int32(0), size))


def _place(dataset: Dataset, given: Any) -> str:
    """Where the images are while the device works, and what memory they take there."""
    if not dataset.streamed:
        return f"all images (resident), {dataset.nbytes / 1e6:.1f} MB"
    size = given.batches.size / 1e6
    return f"two blocks of {len(given.batches)} batches (streamed), {size:.1f} MB each"


def round_operations(game: Game, state: GanState, key: jax.Array) -> float:
    """Floating-point operations of one usual round, as the compiler counts those of its updates.

    Counted of the form that this platform runs: on the CPU convolutions take fewer.
    """
    return sum(times * _flops(update) for times, update in updates(game, state, key))


def updates(
    game: Game, state: GanState, key: jax.Array
) -> tuple[tuple[int, jax.stages.Lowered], tuple[int, jax.stages.Lowered]]:
    """How often in a usual round, and what: the update of the critic, and that of the generator."""
    shape = (game.settings.batch_size, *game.image_shape)
    batch = jax.ShapeDtypeStruct(shape, jnp.uint8)

    def update(state: GanState, batch: jax.Array) -> tuple[GanState, Metrics]:
        fake = fakes_for_critic(game, state, state.critic_updates, key)
        return critic_step(game, state, batch, fake, key)

    critic = jax.jit(update).lower(state, batch)
    generator = jax.jit(lambda s: generator_step(game, s, key)).lower(state)
    return (game.settings.n_critic, critic), (1, generator)


def _flops(lowered: jax.stages.Lowered) -> float:
    analysis: Any = lowered.cost_analysis()
    return float(analysis["flops"]) if analysis else float("nan")


def _parameters(params: Any) -> str:
    from clu import parameter_overview

    table: str = parameter_overview.get_parameter_overview(params)
    return table


def _next_batches(game: Game, given: Any) -> int:
    """Bytes on each device of the batches that come in while the program works on these."""
    return given.batches.size // game.mesh.size if isinstance(given, Batches) else 0


def _memory(memory: Any, beside: int) -> str:
    if memory is None:
        return "not known"
    total = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
        + beside
    )
    return f"{total / 1e6:.0f} MB (with the images there)"


def _passes(settings: Settings, images: int) -> float:
    return critic_updates(settings, 0, settings.epochs) * settings.batch_size / images
