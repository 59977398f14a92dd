"""Measuring a generator: it changes nothing, depends on the seed alone, and sees collapse."""

from __future__ import annotations

import dataclasses
import functools
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax import keys
from wgan_jax.config import resolve
from wgan_jax.data.dataset import Dataset, load
from wgan_jax.errors import UserError
from wgan_jax.evaluator import Evaluator, real_statistics
from wgan_jax.files import cache_dir
from wgan_jax.gan.state import Game, GanState, new_game, root_key
from wgan_jax.quality.encoders import Encoding
from wgan_jax.quality.pixels import PixelMoments, batch_moments
from wgan_jax.settings import DataSettings

pytestmark = pytest.mark.usefixtures("own_cache")

N = 300


@functools.cache
def first_state(config: str) -> GanState:
    """A new state; made once, for its programs take seconds to compile."""
    return new_game(resolve(json.loads(config)), 1).new_state(root_key(0))


def game_of(tiny: dict[str, Any], **quality: Any) -> tuple[Game, GanState, Dataset]:
    settings = resolve({**tiny, "quality": {"n": N, "batch_size": 64, **quality}})
    dataset = load(settings.data, settings.image_size)
    return new_game(settings, 1), first_state(json.dumps(tiny)), dataset


def silent(_: str) -> None:
    """Says nothing."""


def test_every_quality_key_is_measured_with_its_protocol(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny)
    quality = Evaluator(game, dataset, silent).measure(state, epoch=7, all_distances=True)
    extra = {"kid_mean", "kid_std", "precision", "recall", "real_pixel_variance"}
    assert set(quality.values) == {*keys.QUALITY_KEYS, *extra}
    assert all(type(value) is float for value in quality.values.values())
    assert quality.encoder == "digits"
    assert 9.5 < quality.real["inception_score_mean"] <= 10
    assert sum(quality.class_shares.values()) == pytest.approx(1)
    wanted = {
        "encoder": "digits",
        "n_real": 1797,
        "n_fake": N,
        "seed": 42,
        "ema": False,
        "epoch": 7,
    }
    assert wanted.items() <= quality.protocol.items()
    assert len(quality.protocol["weights_sha256"]) == 64
    json.dumps(quality.protocol)


@pytest.mark.parametrize(
    ("data", "chosen", "source"),
    [
        ({}, {}, "digits"),
        ({"split": "test"}, {}, "digits"),
        ({"classes": "3, 4"}, {"classes": "3, 4"}, "digits (classes 3, 4)"),
        ({"name": "arrays", "split": "test", "classes": "3"}, {}, "arrays"),
        ({"name": "tfds:x"}, {"split": "train"}, "tfds:x/train"),
        (
            {"name": "tfds:x", "split": "test", "classes": "horse"},
            {"split": "test", "classes": "horse"},
            "tfds:x/test (classes horse)",
        ),
    ],
)
def test_the_protocol_names_what_chose_the_real_images_and_nothing_else(
    tiny: dict[str, Any], data: dict[str, str], chosen: dict[str, str], source: str
) -> None:
    game, state, dataset = game_of(tiny, encoder="digits")
    settings = dataclasses.replace(game.settings, data=DataSettings(**data))
    game = dataclasses.replace(game, settings=settings)
    dataset = dataclasses.replace(dataset, name=settings.data.name)
    protocol = Evaluator(game, dataset, silent).measure(state, 0, n=64).protocol
    assert {key: protocol[key] for key in ("split", "classes") if key in protocol} == chosen
    assert protocol["real"] == source


@pytest.mark.parametrize(
    ("patience", "terminal", "told"),
    [(0.0, False, ["Measuring 1,000 samples ..."]), (0.0, True, []), (60.0, False, [])],
)
def test_measuring_that_takes_long_is_told_once_where_no_bar_shows(
    tiny: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    patience: float,
    terminal: bool,
    told: list[str],
) -> None:
    said: list[str] = []
    heard = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        heard.set()

    def work() -> None:
        heard.wait(10 if told else 0.1)

    game, state, dataset = game_of(tiny, encoder="none", batch_size=1000)
    evaluator = Evaluator(game, dataset, say, between=work)
    said.clear()
    heard.clear()
    monkeypatch.setattr("wgan_jax.evaluator.TOLD_AFTER", patience)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    evaluator.measure(state, 0, n=1000)
    assert said == told


def test_measuring_leaves_the_state_as_it_was(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny)
    before = jax.tree.map(np.array, state)
    evaluator = Evaluator(game, dataset, silent)
    first, second = evaluator.measure(state, 0), evaluator.measure(state, 0)
    assert first == second
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, state))


def test_another_seed_has_other_samples(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny, encoder="none")
    other = dataclasses.replace(game, settings=dataclasses.replace(game.settings, seed=43))
    found = [Evaluator(one, dataset, silent).measure(state, 0) for one in (game, other)]
    assert [quality.protocol["seed"] for quality in found] == [42, 43]
    assert found[0].values["pixel_variance"] != found[1].values["pixel_variance"]


def test_batches_do_not_change_the_numbers(tiny: dict[str, Any]) -> None:
    found = []
    for size in (64, 77):
        game, state, dataset = game_of(tiny, batch_size=size)
        found.append(Evaluator(game, dataset, silent).measure(state, 0).values)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_real_images_as_samples_are_at_distance_zero(tiny: dict[str, Any]) -> None:
    """A game whose generator gives the real digits, one for each latent's number."""
    game, state, dataset = game_of(tiny, n=1797)
    real = jnp.asarray(dataset.images)

    class Copier:
        settings, mesh = game.settings, game.mesh

        @staticmethod
        def latents(key: jax.Array, n: int) -> jax.Array:
            return jax.random.key_data(key)[:n, None].astype(jnp.float32)

        @staticmethod
        def sampler(state: GanState, key: jax.Array) -> GanState:
            del key
            return state

        @staticmethod
        def generate(sampler: GanState, latents: jax.Array) -> jax.Array:
            del sampler
            rows = (jnp.arange(len(latents)) * 7 + latents[:, 0].astype(jnp.int32)) % len(real)
            return real[rows] / 127.5 - 1

    evaluator = Evaluator(Copier(), dataset, silent)  # type: ignore[arg-type]
    values = evaluator.measure(state, 0, all_distances=True).values
    assert values["fid_score"] < 5
    assert values["precision"] > 0.99
    assert values["inception_score_mean"] > 9


def test_the_real_images_are_encoded_once(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny)
    said: list[str] = []
    first = Evaluator(game, dataset, silent).measure(state, 0)
    with jax.default_prng_impl("rbg"):  # the samples are the seed's, whatever new keys are
        second = Evaluator(game, dataset, said.append).measure(state, 0)
    assert said == []
    assert first == second
    changed = dataclasses.replace(dataset, fingerprint="other")
    Evaluator(game, changed, said.append)
    assert "1,797" in said[0]


def test_the_real_images_statistics_are_kept_for_each_protocol_and_named_anew(
    tiny: dict[str, Any],
) -> None:
    game, _, dataset = game_of(tiny)
    encoding = Evaluator(game, dataset, silent)._encoding
    assert encoding is not None
    said: list[str] = []

    def ask(dtype: str, name: str = "digits") -> None:
        protocol = dataclasses.replace(encoding.encoder.protocol, dtype=dtype)
        other = Encoding(dataclasses.replace(encoding.encoder, protocol=protocol), 64)
        named = dataclasses.replace(dataset, name=name)
        found = real_statistics(other, named, DataSettings(), said.append)
        assert found is not None
        assert (found.protocol, found.source) == (protocol, name)

    ask("a")
    ask("b")
    assert len(said) == 2
    ask("a", "folder:moved")
    ask("b")
    assert len(said) == 2, "neither took the other's place"


def test_a_cache_that_cannot_be_written_costs_what_it_would_keep_alone(
    tiny: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    game, state, dataset = game_of(tiny)
    kept = Evaluator(game, dataset, silent).measure(state, 0)
    (tmp_path / "file").touch()
    monkeypatch.setenv("WGAN_JAX_CACHE", str(tmp_path / "file" / "cache"))
    said: list[str] = []
    assert Evaluator(game, dataset, said.append).measure(state, 0) == kept
    assert "the digits encoder is not kept" in capsys.readouterr().err
    assert ["statistics are not kept" in line for line in said] == [False, True]
    assert "$WGAN_JAX_CACHE names another place" in said[1]


def test_a_user_without_a_home_has_no_cache_in_a_folder_called_tilde(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container whose user is a number that no file knows."""

    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "WGAN_JAX_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert cache_dir() == Path("/nonexistent/wgan-jax")


def test_a_kept_score_by_another_rule_is_measured_anew(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    game, _, dataset = game_of(tiny)
    monkeypatch.setattr("wgan_jax.quality.statistics.IS_RULE", "10 in order")
    Evaluator(game, dataclasses.replace(dataset, fingerprint="earlier"), silent)
    monkeypatch.undo()
    said: list[str] = []
    Evaluator(game, dataclasses.replace(dataset, fingerprint="earlier"), said.append)
    assert "Encoding the 1,797 real images" in said[0]


def test_without_weights_pixels_are_measured_and_the_command_is_named(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny, encoder="inception")
    said: list[str] = []
    evaluator = Evaluator(game, dataset, said.append)
    assert "FID and IS are off" in said[0]
    assert "python run.py weights" in evaluator.note
    quality = evaluator.measure(state, 0)
    assert set(quality.values) == {
        "pixel_variance",
        "real_pixel_variance",
        "generated_image_mean",
        "generated_image_std",
    }
    by_hand = (dataset.images / 127.5 - 1).var(axis=0).mean()
    assert quality.values["real_pixel_variance"] == pytest.approx(by_hand, rel=0.05)  # of 256
    assert quality.encoder == "none"
    assert quality.caveats == (evaluator.note,)


def test_unknown_encoders_are_refused(tiny: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"inceptoin.* Did you mean inception"):
        game_of(tiny, encoder="inceptoin")


def test_collapsed_samples_have_no_variance(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny, encoder="none")
    dead = jax.tree.map(jnp.zeros_like, state.generator.params)
    state = state.replace(generator=state.generator.replace(params=dead))
    values = Evaluator(game, dataset, silent).measure(state, 0).values
    assert values["pixel_variance"] == 0
    assert values["generated_image_mean"] == 0


def test_samples_that_are_not_finite_give_a_caveat_and_no_number(tiny: dict[str, Any]) -> None:
    game, state, dataset = game_of(tiny)
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, state.generator.params)
    state = state.replace(generator=state.generator.replace(params=broken))
    quality = Evaluator(game, dataset, silent).measure(state, 0)
    assert quality.values == {}
    assert "NaN" in quality.caveats[0]


def test_pixel_variance_by_hand() -> None:
    # Two pixels over two images: (-1, 0) and (1, 0.5); variances 1 and 0.0625.
    images = jnp.array([[-1, 0], [1, 0.5], [9, 9]]).reshape(3, 1, 2, 1)
    mean, squares = batch_moments(images, jnp.array([True, True, False]))
    pixels = PixelMoments()
    pixels.add(2, np.asarray(mean), np.asarray(squares))
    values = pixels.values()
    assert values["pixel_variance"] == pytest.approx((1 + 0.0625) / 2)
    assert values["generated_image_mean"] == pytest.approx(0.125)
    assert values["generated_image_std"] == pytest.approx(np.std([-1, 0, 1, 0.5]))


def test_pixel_moments_of_batches_equal_those_of_all() -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (50, 3, 4, 1))
    pixels = PixelMoments()
    for batch in np.array_split(images, 7):
        pixels.add(len(batch), batch.mean(axis=0), len(batch) * batch.var(axis=0))
    assert pixels.values()["pixel_variance"] == pytest.approx(images.var(axis=0).mean(), rel=1e-12)
    assert pixels.values()["generated_image_std"] == pytest.approx(images.std(), rel=1e-12)


SHARDED = """
import json, sys, jax
assert jax.local_device_count() == 4
from wgan_jax.config import resolve
from wgan_jax.data.dataset import load
from wgan_jax.evaluator import Evaluator
from wgan_jax.gan.state import new_game, root_key
settings = resolve(json.loads(sys.argv[1]))
game = new_game(settings, 1)
evaluator = Evaluator(game, load(settings.data, settings.image_size), lambda _: None)
print(json.dumps(evaluator.measure(game.new_state(root_key(0)), 0).values))
"""


@pytest.mark.slow
def test_many_devices_measure_the_same(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    game, state, dataset = game_of(tiny)
    here = Evaluator(game, dataset, silent).measure(state, 0).values
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    config = json.dumps({**tiny, "quality": {"n": N, "batch_size": 63}})
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, config], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == pytest.approx(here, rel=1e-5)
