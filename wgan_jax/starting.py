"""Where a run's first weights come from: its newest checkpoint, another run, or its seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import Array

from wgan_jax import devices
from wgan_jax.backend import check_flags, quick_options
from wgan_jax.errors import UserError
from wgan_jax.files import expanded
from wgan_jax.gan.state import Game, GanState, new_game, root_key
from wgan_jax.record import identity
from wgan_jax.record.checkpoints import Checkpoints
from wgan_jax.record.digests import structure
from wgan_jax.settings import Settings


def first_state(
    game: Game, checkpoints: Checkpoints, key: Array, which: str = "latest"
) -> tuple[int, GanState]:
    """(epochs played, state): of the checkpoint if there is one, else from `init_from`, else new.

    Args:
      which: `latest`, or `healthy` for the last that was judged so.

    Raises:
      UserError: the checkpoint or `init_from` does not fit the settings.
    """
    fresh = new_state(game, key)
    found: tuple[int, GanState] | None = checkpoints.restore(fresh, which)
    if found is not None:
        return found[0], devices.put(found[1], devices.everywhere(game.mesh))
    if game.settings.init_from:
        fresh = weights_from(expanded(game.settings.init_from), fresh)
    return 0, fresh


def new_state(game: Game, key: Array) -> GanState:
    """A new state by the seed, on every device."""
    program = jax.jit(
        game.new_state,
        out_shardings=devices.everywhere(game.mesh),
        compiler_options=quick_options(),
    )
    state: GanState = program(key)
    return state


def weights_from(source: Path, state: GanState) -> GanState:
    """The state with both networks' weights taken from another run; optimisers and counters new.

    Args:
      source: a workdir (its newest checkpoint), or one of its checkpoints (`.../checkpoints/500`,
        `.../checkpoints/best`).
      state: a new state of this run.

    Raises:
      UserError: no run or checkpoint there, or its networks have other shapes.
    """
    workdir, which = source, "latest"
    if source.parent.name == "checkpoints":
        workdir, which = source.parent.parent, source.name
    _, _, found = open_run(workdir, which)
    for player in ("critic", "generator"):
        mine, other = getattr(state, player), getattr(found, player)
        if structure((mine.params, mine.stats)) != structure((other.params, other.stats)):
            raise UserError(f"config.init_from = {source}: its {player} is another network.")
        state = state.replace(**{player: mine.replace(params=other.params, stats=other.stats)})
    if state.ema is not None:
        ema = found.ema if found.ema is not None else state.generator.params
        state = state.replace(ema=jax.tree.map(jnp.copy, ema))
    return state


def open_run(
    workdir: Path, checkpoint: str, say: Callable[[str], None] = print
) -> tuple[Game, int, GanState]:
    """The game of a run, the epochs of one of its checkpoints, and the state after them.

    Args:
      workdir: the run's folder.
      checkpoint: `latest`, `best`, `healthy`, or a number of epochs.
      say: is told of damaged checkpoints.

    Raises:
      UserError: no run or checkpoint there, or jax's flags would make other numbers.
    """
    check_flags()  # at every call: a game that is kept was made under those of its time
    settings = identity.load_settings(workdir)
    game = _game_of(settings, int(identity.load_dataset(workdir)["shape"][3]))
    like = jax.eval_shape(game.new_state, root_key(settings.seed))
    folder = workdir / "checkpoints"
    with contextlib.closing(Checkpoints(folder, say=say, read_only=True)) as checkpoints:
        found = checkpoints.restore(like, checkpoint)
    if found is None:
        raise UserError(f"{workdir} has no checkpoint yet: train it first.")
    return game, *found


@cache
def _game_of(settings: Settings, channels: int) -> Game:
    """One game for all checkpoints of a run: what jax compiled for it serves the next as well."""
    return new_game(settings, channels)
