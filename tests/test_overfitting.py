"""How far the critic scores images it never saw from those it trained on."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from wgan_jax.config import resolve
from wgan_jax.data.dataset import from_array, load
from wgan_jax.data.held_out import evenly
from wgan_jax.evaluator import Evaluator
from wgan_jax.gan.state import Game, GanState, new_game, root_key
from wgan_jax.measurement import table
from wgan_jax.overfitting import Overfitting, share

pytestmark = pytest.mark.usefixtures("own_cache")

KEY = np.asarray(jax.random.key_data(root_key(42)))


def around(mean: float, n: int = 400) -> np.ndarray:
    """Scores float32 [n] of that mean and a standard deviation of 1."""
    row = np.random.default_rng(int(100 * mean) % 997).normal(size=n)
    return (mean + (row - row.mean()) / row.std()).astype(np.float32)


@pytest.mark.parametrize(
    ("held_out", "wanted"), [(3.0, 0.0), (2.0, 0.5), (1.0, 1.0), (0.0, 1.5), (3.5, -0.25)]
)
def test_by_hand(held_out: float, wanted: float) -> None:
    """Of means 3 for what was trained on and 1 for samples."""
    assert share(around(3), around(held_out), around(1)) == pytest.approx(wanted, abs=1e-6)


def test_nothing_is_said_where_the_critic_does_not_tell_real_from_fake() -> None:
    """Two standard errors of the difference are 2 sqrt(2 / 400) = 0.1414."""
    assert share(around(0.13), around(-5), around(0)) is None
    assert share(around(0.15), around(-5), around(0)) is not None
    assert share(around(0), around(0), around(1)) is None  # a critic that is upside down
    broken = np.full(400, np.nan, np.float32)
    assert share(broken, broken, broken) is None
    assert share(*np.zeros((3, 4), np.float32)) is None


def test_nothing_is_said_of_one_image_and_of_few_by_their_own_spread() -> None:
    """Of two with scores 0 and 2, and 1 and -1, the standard error is sqrt(2), not 1."""
    one, other = np.array([3], np.float32), np.array([0], np.float32)
    assert share(one, other, other) is None
    apart = np.array([-1, 1], np.float32)
    assert share(apart + 2.5, apart, apart) is None
    assert share(apart + 3, apart, apart) == 1


@pytest.fixture
def by_brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A critic whose score of an image is the mean of its pixels, from -1 to 1."""
    scores = lambda _, __, images: images.mean((1, 2, 3))  # noqa: E731
    monkeypatch.setattr(Game, "scores", scores)


def white_and_grey(held_out: int = 51) -> np.ndarray:
    """Images uint8 [101, 8, 8, 1]: of 51 held out, all are grey, and all others white."""
    images = np.full((101, 8, 8, 1), 255, np.uint8)
    images[evenly(101, held_out)] = 191
    return images


@pytest.mark.slow
@pytest.mark.usefixtures("by_brightness")
@pytest.mark.parametrize("augmentation", ["", "cutout"])
def test_of_images_by_hand(tiny: dict[str, Any], augmentation: str) -> None:
    """White ones score 1, grey ones 0.498, and samples near 0; a cut takes the same of all three.

    As many of each kind are scored as there are of the fewest, 50: fewer than a batch of two.
    """
    game, state = _game_of(tiny | {"augmentation": augmentation, "data": {"held_out": 51}})
    dataset = from_array(white_and_grey(), 8, game.settings.data)
    assert (len(dataset), dataset.images.min()) == (50, 255)
    sampler = game.sampler(state, root_key(42))
    latents = game.latents(jax.random.key(0), 1000)
    middle = float(game.generate(sampler, latents).mean())
    found = Overfitting(game, dataset).measure(state, sampler, KEY)
    grey = 191 / 127.5 - 1
    assert found == pytest.approx((1 - grey) / (1 - middle), abs=0.02)


@pytest.mark.usefixtures("by_brightness")
def test_batches_make_no_difference(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 23 images of each kind in batches of 8, the last of which is filled up."""
    game, state = _game_of(tiny | {"data": {"held_out": 23}})
    dataset = from_array(white_and_grey(23), 8, game.settings.data)
    sampler = game.sampler(state, root_key(42))
    together = Overfitting(game, dataset).measure(state, sampler, KEY)
    monkeypatch.setattr("wgan_jax.overfitting.BATCH", 8)
    in_three = Overfitting(game, dataset).measure(state, sampler, KEY)
    assert together is not None
    assert in_three == pytest.approx(together, rel=1e-5)


@pytest.mark.usefixtures("by_brightness")
def test_the_evaluator_measures_it_and_changes_nothing(tiny: dict[str, Any]) -> None:
    game, state = _game_of(tiny | {"data": {"held_out": 51}})
    dataset = from_array(white_and_grey(), 8, game.settings.data)
    before = jax.tree.map(np.asarray, state)
    evaluator = Evaluator(game, dataset, lambda _: None)
    one, other = (evaluator.measure(state, 0) for _ in range(2))
    assert one.values == other.values
    assert type(one.values["critic_overfit"]) is float
    assert "overfit           0.5" in table(one)
    assert one.protocol["n_real"] == 50
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, state))


def test_what_cannot_be_said_is_a_caveat_and_so_is_a_fid_that_flatters(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of FID only where there is one."""
    flatters = "the critic overfits: FID against the images it trained on flatters samples"
    for encoder, found, wanted in (
        ("digits", 1.5, {flatters}),
        ("none", 1.5, set()),
        ("none", 0.5, set()),
        ("none", None, {"overfitting: not known"}),
    ):
        game, state = _game_of(tiny | {"data": {"held_out": 51}}, encoder)
        dataset = from_array(white_and_grey(), 8, game.settings.data)
        monkeypatch.setattr(Overfitting, "measure", lambda *_, found=found: found)
        caveats = Evaluator(game, dataset, lambda _: None).measure(state, 0).caveats
        assert {c.partition(", for")[0] for c in caveats if "overfit" in c} == wanted


def test_it_is_not_measured_where_nothing_is_held_out(tiny: dict[str, Any]) -> None:
    game, state = _game_of(tiny)
    evaluator = Evaluator(game, load(game.settings.data, 8), lambda _: None)
    assert "critic_overfit" not in evaluator.measure(state, 0).values


def _game_of(config: dict[str, Any], encoder: str = "auto") -> tuple[Game, GanState]:
    quality = {"n": 64, "batch_size": 64, "encoder": encoder}
    game = new_game(resolve({**config, "quality": quality}), 1)
    return game, jax.jit(game.new_state)(root_key(42))
