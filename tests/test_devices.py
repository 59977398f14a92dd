"""One run on 1, 2, 4 and 8 devices: the same images and noise, the same result but for rounding."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wgan_jax import devices
from wgan_jax.errors import UserError
from wgan_jax.sampling import sample
from wgan_jax.training import train

# Eight simulated devices have to be asked for before jax starts: hence a process of its own.
SCRIPT = """
import json, sys
from unittest import mock
import jax, numpy as np
from wgan_jax import devices
from wgan_jax.config import resolve
from wgan_jax.data.digits import read
from wgan_jax.gan import rounds
from wgan_jax.gan.state import Stream, new_game, root_key
from wgan_jax.starting import new_state
from wgan_jax.training import train

config, folder = json.loads(sys.argv[1]), sys.argv[2]
found = {}
for count in (1, 2, 4, 8):
    game = new_game(resolve(config), 1, devices.mesh(count))
    whole = devices.everywhere(game.mesh)
    key = jax.jit(root_key, static_argnums=0, out_shardings=whole)(0)
    images, state = devices.put(read(()), whole), new_state(game, key)

    def drawn(state, images, key):
        batch = rounds._drawn_resident(state, images, key, 8)
        mask = jax.random.bernoulli(key, 0.3, (8, 8, 8, 4))
        return [game.sharded(x) for x in (batch, game.latents(key, 8), mask)]

    inputs = [np.asarray(x).tolist() for x in jax.jit(drawn)(state, images, key)]
    program = rounds.chunk_program(game).lower(state, images, key, np.int32(20)).compile()
    state, chunk = program(state, images, key, np.int32(20))
    players = (state.critic.params, state.generator.params)
    weights = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(players)])
    found[count] = {
        "inputs": inputs,
        "position": [int(state.passes), int(state.position)],
        "metrics": np.asarray(chunk.metrics[:20]).tolist(),
        "weights": weights.tolist(),
        "program": program.as_text(),
    }
# Without dropout the critic judges both batches in one pass.
plain = config["critic"] | {"dropout": 0.0}
game = new_game(resolve(config | {"critic": plain}), 1)
state, images = (devices.put(x, devices.everywhere(game.mesh)) for x in (state, images))
program = rounds.chunk_program(game).lower(state, images, key, np.int32(20)).compile()
found["one pass"] = {"program": program.as_text()}
# In the form of GPUs.
with mock.patch.object(jax, "default_backend", return_value="gpu"):
    game = new_game(resolve(config), 1)
    program = rounds.chunk_program(game).lower(state, images, key, np.int32(20)).compile()
found["on GPUs"] = {"program": program.as_text()}
quality = {"encoder": "digits", "n": 64, "batch_size": 32}
for count in (1, 4):
    c = config | {"devices": count, "quality_every": 3, "quality": quality, "epochs": 3}
    c["data"] = {"held_out": 30}
    mean = lambda *scores: float(np.concatenate(scores).mean())
    with mock.patch("wgan_jax.overfitting.share", mean):
        run = train(c, f"{folder}/{count}", quiet=True)
    for key in ("fid_score", "critic_overfit"):
        found[f"{key} {count}"] = run.history[key][-1]
json.dump(found | {"folder": folder}, sys.stdout)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What 20 rounds came to on each number of devices.

    Plain gradient descent: RMSProp divides by the gradient's size, and so makes the round-off of a
    gradient that should be zero as large as any other.
    """
    from tests.conftest import TINY

    descent = {"name": "sgd", "learning_rate": 0.05}
    critic = TINY["critic"] | {"dropout": 0.3}
    config = TINY | {"critic": critic, "critic_optimizer": descent, "generator_optimizer": descent}
    flag = "--xla_force_host_platform_device_count=8"
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(config), str(tmp_path_factory.mktemp("runs"))],
        env=os.environ | {"XLA_FLAGS": flag},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("count", ["2", "4", "8"])
def test_the_result_does_not_depend_on_the_number_of_devices(
    found: dict[str, Any], count: str
) -> None:
    assert found[count]["inputs"] == found["1"]["inputs"]
    assert found[count]["position"] == found["1"]["position"]
    for what in ("metrics", "weights"):
        one, several = np.array(found["1"][what]), np.array(found[count][what])
        np.testing.assert_allclose(several, one, rtol=1e-3, atol=2e-5)
    assert np.ptp(found["1"]["metrics"], axis=0).max() > 0.01  # they did learn something


@pytest.mark.slow
@pytest.mark.parametrize("count", ["2", "4", "8", "one pass", "on GPUs"])
def test_devices_exchange_sums_and_never_images_or_features(
    found: dict[str, Any], count: str
) -> None:
    exchanges = set(
        re.findall(r"all-(?:gather|reduce|to-all)|collective-permute", found[count]["program"])
    )
    assert exchanges == {"all-reduce"}


@pytest.mark.slow
def test_quality_is_measured_on_several_devices_as_on_one(found: dict[str, Any]) -> None:
    assert found["fid_score 4"] == pytest.approx(found["fid_score 1"], rel=1e-2)
    assert found["critic_overfit 4"] == pytest.approx(found["critic_overfit 1"], rel=1e-2)


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_do() -> None:
    class Mesh:
        size = 8

    devices.check_divides(64, Mesh())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"60 does not divide over 8 devices: use 56 or 64, or --c"):
        devices.check_divides(60, Mesh())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"use 8, or --config\.devices=3"):
        devices.check_divides(3, Mesh())  # type: ignore[arg-type]


def test_a_run_whose_batch_does_not_divide_is_refused(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mesh:
        size = 8

    monkeypatch.setattr(devices, "mesh", lambda *_: Mesh())
    with pytest.raises(UserError, match="60 does not divide over 8 devices"):
        train(tiny | {"batch_size": 60}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_devices_than_there_are_is_refused(tiny: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.devices = 7: there "):
        train(tiny | {"devices": 7}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [RuntimeError("Unable to\ninitialize"), AssertionError()])
def test_platforms_that_are_not_there_are_refused_with_the_remedy(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jax raises the first for a name that it does not know, the second where CUDA is missing."""

    def none(*_: object) -> None:
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr("jax.devices", none)
    devices.mesh.cache_clear()
    with pytest.raises(UserError, match=r"='cuda' \(.*\): unset it to .* set it to cpu"):
        devices.mesh()


EVALUATE = ["evaluate", "--images", "digits", "--reference", "digits", "--encoder", "digits"]


TRAIN = ["--config", "experiments/digits_wgan.py", "--workdir", "{}/run"]


@pytest.mark.parametrize("argv", [TRAIN, EVALUATE])
def test_commands_say_that_platforms_are_not_there_in_one_line(
    argv: list[str], tmp_path: Path
) -> None:
    answer = subprocess.run(
        [sys.executable, "run.py", *(part.format(tmp_path) for part in argv)],
        env=os.environ | {"JAX_PLATFORMS": "abacus"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("run.py: jax finds no device with JAX_PLATFORMS='abacus' (")
    assert answer.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_was_trained_on_more_devices_is_still_sampled(
    found: dict[str, Any], tiny: dict[str, Any], tmp_path: Path
) -> None:
    four = Path(found["folder"], "4")
    assert sample(four, 3, grid=True, out=tmp_path / "grid.png").exists()
    other = train(tiny | {"init_from": str(four)}, tmp_path / "other", quiet=True)
    assert int(other.state.epoch) == 6
