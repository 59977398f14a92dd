"""Our own round as a contestant: the program of a run, on random images.

python benchmarks/peers/jax_round.py --settings settings.json --batch_size 64
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
from serve import serve

from wgan_jax import devices
from wgan_jax.config import resolve
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.state import new_game, root_key
from wgan_jax.starting import new_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings, JSON")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--precision", default="tf32")
    parser.add_argument("--device", default="cpu", help="the platform: cpu, cuda or tpu")
    parser.add_argument("--hlo", type=Path, help="where to write the compiled program's text")
    options = parser.parse_args()
    jax.config.update("jax_platforms", options.device)
    # All contestants live at once: none may take the whole memory beforehand.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    settings = resolve(json.loads(options.settings.read_text()))
    settings = dataclasses.replace(
        settings, batch_size=options.batch_size, precision=options.precision
    )
    game, key = new_game(settings, options.channels), root_key(settings.seed)
    shape = (2 * settings.batch_size, *game.image_shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images, state = devices.put(pixels, devices.everywhere(game.mesh)), new_state(game, key)
    players = {"critic": state.critic, "generator": state.generator}
    parameters = {
        name: sum(leaf.size for leaf in jax.tree.leaves(player.params))
        for name, player in players.items()
    }
    program = chunk_program(game).lower(state, images, key, jnp.int32(1)).compile()

    def play(n: int) -> None:
        nonlocal state
        state, chunk = program(state, images, key, jnp.int32(n))
        jax.device_get(chunk)

    if options.hlo:
        options.hlo.write_text(program.as_text() or "")
    serve(play, {"versions": {"jax": jax.__version__}, "parameters": parameters})


if __name__ == "__main__":
    main()
