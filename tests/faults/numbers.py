"""Numbers that are not finite: put into weights, or into gradients, between two rounds.

Not into images: they are integers from 0 to 255 from the moment they are read, and what is not is
refused (`test_faults.py`).
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tests.conftest import TINY
from tests.faults.harness import LOST, Bench, Fault, Result, same
from wgan_jax import loop, train
from wgan_jax.errors import RunFailed
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.record.checkpoints import Checkpoints

CONFIG = TINY | {"epochs": 12, "sample_every": 0}
Poison = Callable[[Any, random.Random], None]


def in_weights(session: Any, rng: random.Random) -> None:
    """NaN in one weight of one tensor of one player."""
    name = rng.choice(["critic", "generator"])
    player = getattr(session.state, name)
    leaves, tree = jax.tree.flatten(player.params)
    i = rng.randrange(len(leaves))
    leaves[i] = leaves[i].at[(0,) * leaves[i].ndim].set(jnp.nan)
    poisoned = player.replace(params=jax.tree.unflatten(tree, leaves))
    session.state = session.state.replace(**{name: poisoned})


def in_gradients(session: Any, rng: random.Random) -> None:
    """A loss as ever, whose gradient is NaN: from now on, in the generator or the critic."""
    term = rng.choice(["generator", "real", "fake"])
    game = session.game
    sound = getattr(game.objective, term)

    def broken(scores: Array) -> Array:
        loss: Array = sound(scores) + jnp.sqrt(scores - scores)
        return loss

    objective = dataclasses.replace(game.objective, **{term: broken})
    program = chunk_program(dataclasses.replace(game, objective=objective))
    images, _ = session.feed.images(session.epoch)
    lowered = program.lower(session.state, images, session.key, np.int32(1))
    session.program = lowered.compile()


def not_finite(poison: Poison) -> Fault:
    """NaN before the chunk that begins at a random epoch: stopped there; then the run goes on."""

    def fault(bench: Bench, seed: int) -> Result:
        rng = random.Random(seed)
        workdir = bench.place / f"{poison.__name__}{seed}"
        # Chunks of one round begin anywhere; longer ones where a checkpoint is due.
        seconds, begin = rng.choice([(0.0, rng.randrange(12)), (10.0, rng.choice([1, 3, 6, 9]))])
        to_play = loop.Session._rounds_to_play

        def rounds_to_play(session: Any, *most: Any) -> Any:
            if session.epoch == begin:
                poison(session, rng)
            return to_play(session, *most)

        with (
            patch.object(loop, "CHUNK_SECONDS", seconds),
            patch.object(loop.Session, "_rounds_to_play", rounds_to_play),
        ):
            said = _failure(workdir)
        if not re.search(rf"is nan at epoch {begin}; ", said) or not _whole_before(workdir, begin):
            return LOST
        whole = bench.place / "whole_numbers"
        return True, same(*(train(CONFIG, path, quiet=True) for path in (workdir, whole)))

    return fault


def _failure(workdir: Any) -> str:
    try:
        train(CONFIG, workdir, quiet=True)
    except RunFailed as error:
        return str(error)
    return "nothing"


def _whole_before(workdir: Any, begin: int) -> bool:
    """Whether the newest checkpoint is the last one due before, and nothing in it is damaged."""
    checkpoints = Checkpoints(workdir / "checkpoints")
    return checkpoints.epochs()[-1:] == ([begin // 3 * 3] if begin >= 3 else [])
