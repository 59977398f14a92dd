"""Whether a round computes what it says: runs of ours, played again by PyTorch.

    python -m benchmarks --only parity --torch PYTHON    every experiment
    python -m benchmarks.parity PYTHON                   small runs, for tests/golden/replays.json

A run, some rounds long, is recorded: first weights, images, latents, places of the penalty.
`peers/torch_replay.py` plays it again from that record. Both compute in float64, where round-off
does not grow to anything in so few rounds: what differs then is the arithmetic.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from benchmarks.rounds import PEERS, settings_of
from wgan_jax import devices
from wgan_jax.config import resolve, to_dict
from wgan_jax.gan import networks, state
from wgan_jax.gan.rounds import _drawn_resident, _moved_on, chunk_program
from wgan_jax.gan.state import SPECTRAL, Game, GanState, Stream, new_game, root_key
from wgan_jax.gan.steps import _critic_keys, _flip, _noise
from wgan_jax.settings import Settings, critic_updates

Arrays = dict[str, NDArray[Any]]
EXPERIMENTS = (
    "digits_wgan",
    "cifar_wgan",
    "cifar_wgan_adam",
    "cifar_wgan_gp",
    "cifar_wgan_gp_resnet",
    "cifar_sngan",
    "cifar_nsgan",
    "lsun_dcgan64",
)
# Layers have other forms on GPUs; a CPU computes them too, slowly.
FORMS_OF_GPUS = ("cifar_wgan", "cifar_wgan_gp")
ROUNDS, BATCH = 10, 16
PLAYERS = ("critic", "generator")

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden" / "replays.json"
_SMALL: dict[str, Any] = {
    "image_size": 8,
    "epochs": 8,
    "batch_size": 8,
    "n_critic": 3,
    "latent_dim": 4,
    "clip": 0.03,
    "critic": {"filters": (4, 8), "strides": (2, 1), "kernel": 5},
    "generator": {"base_filters": 8, "filters": (8, 4), "kernel": 5},
}
_ADAM = {"name": "adam", "learning_rate": 1e-3, "b1": 0.5}
_BOTH_ADAM = {"critic_optimizer": _ADAM, "generator_optimizer": _ADAM}
# Between them all objectives and layers, RMSProp and Adam; 4 rounds of each.
SMALL: dict[str, dict[str, Any]] = {
    "wgan": {},
    "wgan_adam_flipped": _BOTH_ADAM | {"data": {"flip": True}},
    "wgan_gp": _BOTH_ADAM
    | {"objective": "wgan_gp", "critic": _SMALL["critic"] | {"normalization": "layer"}},
    "nsgan": _BOTH_ADAM | {"objective": "nsgan"},
    "hinge": {"objective": "hinge"},
    "dcgan": {
        "critic": {"filters": (4, 8), "strides": (2, 2), "kernel": 4, "bias": False},
        "generator": {
            "base_filters": 8,
            "filters": (4,),
            "kernel": 4,
            "upsampling": "transposed",
            "double_output": True,
            "activation": "relu",
            "bias": False,
        },
    },
    "resnet": _BOTH_ADAM
    | {
        "objective": "wgan_gp",
        "generator_batches": 2,
        "critic": {
            "blocks": "residual",
            "filters": (4, 8, 8),
            "strides": (2, 2, 1),
            "kernel": 3,
            "activation": "relu",
            "normalization": "layer",
            "pooling": "sum",
            "init": "glorot",
        },
        "generator": {
            "blocks": "residual",
            "base_filters": 8,
            "filters": (8, 4),
            "kernel": 3,
            "activation": "relu",
            "init": "glorot",
        },
    },
    "spectral": _BOTH_ADAM
    | {
        "objective": "hinge",
        "critic": {
            "blocks": "residual",
            "filters": (4, 8),
            "strides": (2, 1),
            "kernel": 3,
            "activation": "relu",
            "normalization": "spectral",
            "pooling": "sum",
            "score_bias": False,
        },
        "data": {"dequantize": True, "flip": True},
    },
    "augmented": _BOTH_ADAM
    | {"objective": "hinge", "augmentation": "color,translation,cutout", "generator_batches": 2},
    "kernels": {
        "critic": {"filters": (4, 4, 8), "strides": (1, 2, 1), "kernels": (3, 4, 5)},
        "generator": {"base_filters": 8, "filters": (8, 4), "kernel": 5, "output_kernel": 3},
    },
}


def measure(torch: str) -> dict[str, Any]:
    """For every experiment, PyTorch's version and how far ours is from it.

    Raises:
      RuntimeError: there is no PyTorch.
    """
    if not torch:
        raise RuntimeError("parity needs PyTorch: --torch PYTHON")
    found = {}
    for name in EXPERIMENTS:
        settings = comparable(settings_of(name), ROUNDS, BATCH)
        channels = 1 if name == "digits_wgan" else 3
        record, ours = played(settings, channels, ROUNDS)
        theirs = replayed(record, torch)
        runs = {name: ours}
        if name in FORMS_OF_GPUS:
            with mock.patch.object(jax, "default_backend", return_value="gpu"):
                runs[f"{name}, in the forms of GPUs"] = played(settings, channels, ROUNDS)[1]
        for each, run in runs.items():
            found[each] = {"torch": str(theirs["torch"])} | distances(run, theirs, record)
            print(f"{each}: {json.dumps(found[each])}", flush=True)
    return found


def small(name: str) -> tuple[Arrays, Arrays]:
    """As `played`, of one of `SMALL`."""
    return played(resolve(_SMALL | SMALL[name]), 3, 4)


def drawn(record: Arrays) -> dict[str, float]:
    """A sum of each array that was drawn, by which it is known again."""
    return {name: float(values.sum()) for name, values in record.items() if name != "settings"}


def comparable(settings: Settings, rounds: int, batch: int) -> Settings:
    """A short run of the same kind: schedules as long as two of it, and no dropout."""
    critic = dataclasses.replace(settings.critic, dropout=0.0)
    return dataclasses.replace(settings, epochs=2 * rounds, batch_size=batch, critic=critic)


def played(settings: Settings, channels: int, rounds: int) -> tuple[Arrays, Arrays]:
    """A run of ours: what PyTorch needs to play it again; its metrics [rounds] and last weights."""
    with in_float64():
        game, key = new_game(settings, channels), root_key(settings.seed)
        pixels = made_up_images(3 * settings.batch_size, game.image_shape)
        images = devices.put(pixels, devices.everywhere(game.mesh))
        first = jax.jit(lambda key: jax.tree.map(_widened, game.new_state(key)))(key)
        record = weights(first) | directions(first) | inputs(game, first, images, key, rounds)
        last, chunk = chunk_program(game)(first, images, key, jnp.int32(rounds))
        columns = np.asarray(chunk.metrics)[:rounds].T
        return record, dict(zip(game.metric_keys, columns, strict=True)) | weights(last)


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """The game's own code, traced with every float32 in it as float64."""
    wide = dict.fromkeys(networks.DTYPES, jnp.float64)
    with (
        jax.enable_x64(True),
        mock.patch.object(jnp, "float32", jnp.float64),
        mock.patch.dict(networks.DTYPES, wide),
        mock.patch.object(optax, "linear_schedule", _given_floats(optax.linear_schedule)),
        mock.patch.object(state, "check_flags"),  # which refuses it, for a run
    ):
        yield


def _given_floats(schedule: Callable[..., optax.Schedule]) -> Callable[..., optax.Schedule]:
    """The same, but optax's rates are float64: of a count that is an integer they are float32."""
    return lambda *settings: lambda count: schedule(*settings)(jnp.asarray(count, jnp.float64))


def _widened(leaf: Any) -> Any:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def inputs(game: Game, state: GanState, images: Any, key: Any, rounds: int) -> Arrays:
    """All that a run of so many rounds draws, in order, and its settings."""
    settings, size = game.settings, game.settings.batch_size

    @jax.jit
    def for_critic(number: Any, state: GanState) -> tuple[dict[str, Any], GanState]:
        latent_key, flip_key, _, _, mix_key = _critic_keys(key, number)
        batch = _drawn_resident(state, images, key, size)
        mix = jax.random.uniform(mix_key, (size, 1, 1, 1), jnp.float32)
        found = {"real": batch, "latents": game.latents(latent_key, size), "mix": mix}
        if settings.data.dequantize:
            found["noise"] = _noise(key, number, batch.shape)
        if settings.data.flip:
            found |= {
                name: _flip(found[name], flip_key) for name in ("real", "noise") if name in found
            }
        for stream in (Stream.REAL_VIEWS, Stream.FAKE_VIEWS):
            found |= _views(game, size, key, stream, number)
        return found, _moved_on(state, len(images), size)

    @jax.jit
    def for_generator(epoch: Any) -> dict[str, Any]:
        step_key = jax.random.fold_in(jax.random.fold_in(key, Stream.GENERATOR), epoch)
        size = settings.generator_batches * settings.batch_size
        latents = game.latents(jax.random.split(step_key)[0], size)
        views = _views(game, size, key, Stream.GENERATOR_VIEWS, epoch)
        return {"generator_latents": latents} | views

    updates = []
    for number in range(critic_updates(settings, 0, rounds)):
        found, state = for_critic(number, state)
        updates.append(found)
    return (
        _stacked(updates)
        | _stacked([for_generator(epoch) for epoch in range(rounds)])
        | {
            "settings": np.array(json.dumps(to_dict(settings))),
            "critic_updates": np.array(critic_updates(settings, 0, settings.epochs)),
            "generator_updates": np.array(settings.epochs),
        }
    )


def _views(game: Game, n: int, key: Any, stream: Stream, step: Any) -> dict[str, Any]:
    """What is done to images before the critic sees them, e.g. `real_views/cutout`."""
    draws = game.views(n, key, stream, step)
    return {f"{stream.name.lower()}/{kind}": rows for kind, rows in draws.items()}


def _stacked(rows: list[dict[str, Any]]) -> Arrays:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def replayed(record: Arrays, torch: str) -> Arrays:
    """The same run in PyTorch: its metrics and last weights."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "record.npz", Path(folder) / "replay.npz"
        np.savez(given, **record)  # type: ignore[arg-type]
        command = (torch, str(PEERS / "torch_replay.py"), str(given), str(found))
        subprocess.run(command, check=True)
        with np.load(found) as arrays:
            return dict(arrays)


def distances(ours: Arrays, theirs: Arrays, first: Arrays) -> dict[str, float]:
    """How far a run is from another.

    `metrics`: of all that a round measures, the largest difference in any round over the column's
    largest value. For each player, how far its last weights are apart over how far they were
    trained, both as L2 norms.
    """
    columns = [name for name in ours if "/" not in name and name in theirs]
    found = {"metrics": max(_over_largest(ours[name], theirs[name]) for name in columns)}
    for player in PLAYERS:
        names = [name for name in first if name.startswith(f"{player}/")]
        apart = sum(np.sum((ours[name] - theirs[name]) ** 2) for name in names)
        trained = sum(np.sum((first[name] - theirs[name]) ** 2) for name in names)
        found[player] = float(np.sqrt(apart / trained))
    return found


def _over_largest(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    return float(np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1.0))


def weights(state: GanState) -> Arrays:
    """Both players' weights by name, e.g. `critic/Conv_0/kernel`."""
    return _named("critic", state.critic.params) | _named("generator", state.generator.params)


def directions(state: GanState) -> Arrays:
    """What the critic's spectral normalisation begins with, e.g. `spectral/Conv_0/kernel`."""
    return _named(SPECTRAL, state.critic.stats.get(SPECTRAL, {}))


def _named(prefix: str, tree: Any) -> Arrays:
    """The arrays of a tree by prefix and path."""
    return {
        f"{prefix}/{'/'.join(str(step.key) for step in path)}": np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def made_up_images(n: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """uint8 [n, h, w, c]: blocks of one colour, so that neighbours are alike as in pictures."""
    height, width, channels = shape
    blocks = np.random.RandomState(0).randint(0, 256, (n, height // 4, width // 4, channels))
    return np.kron(blocks, np.ones((1, 4, 4, 1))).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes PyTorch's metrics of the small runs.")
    parser.add_argument("torch", help="a Python that has PyTorch")
    options, golden = parser.parse_args(), {}
    for name in SMALL:
        record, ours = small(name)
        theirs = replayed(record, options.torch)
        metrics = {key: theirs[key].tolist() for key in ours if key in theirs and "/" not in key}
        golden[name] = {"drawn": drawn(record), "metrics": metrics}
        print(name, distances(ours, theirs, record))
    made_by = {"torch": str(theirs["torch"])}
    GOLDEN.write_text(json.dumps(made_by | {"runs": golden}, indent=1) + "\n")


if __name__ == "__main__":
    main()
