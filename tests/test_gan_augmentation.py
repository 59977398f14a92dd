"""Augmentation of what the critic sees."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from wgan_jax.config import resolve
from wgan_jax.errors import UserError
from wgan_jax.gan.augmentation import KINDS, augment, draw
from wgan_jax.gan.state import Game, GanState, Stream, new_game, root_key
from wgan_jax.gan.steps import critic_step, fakes_for_critic, generator_step
from wgan_jax.limits import AUGMENTATIONS

KEY = root_key(0)
TINY: dict[str, Any] = {
    "image_size": 8,
    "batch_size": 8,
    "latent_dim": 4,
    "augmentation": ",".join(AUGMENTATIONS),
    "critic": {"filters": (4,), "strides": (2,), "kernel": 3},
    "generator": {"base_filters": 4, "filters": (4,), "kernel": 3},
}


def pictures(n: int = 2, size: int = 8, channels: int = 3) -> jax.Array:
    values = np.random.default_rng(0).uniform(-1, 1, (n, size, size, channels))
    return jnp.asarray(values, jnp.float32)


def test_color_by_hand() -> None:
    """Of a colour and a grey: brightness first, then each pixel's colours, then the image's."""
    image = jnp.array([[[[0.0, 0.2, 0.4], [0.5, 0.5, 0.5]]]])  # [1, 1, 2, 3]
    amounts = jnp.array([[0.75, 0.25, 0.5]])  # brighter by 0.25, half the saturation, no contrast
    np.testing.assert_allclose(
        augment(image, {"color": amounts}), [[[[0.35, 0.45, 0.55], [0.75, 0.75, 0.75]]]], rtol=1e-6
    )
    flat = augment(image, {"color": jnp.array([[0.5, 0.5, 0.0]])})  # half the contrast alone
    np.testing.assert_allclose(flat, [[[[0.175, 0.275, 0.375], [0.425, 0.425, 0.425]]]], rtol=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-2, 3), (4, -4)])
def test_translation_moves_every_pixel_and_changes_none(shift: tuple[int, int]) -> None:
    image, (down, right) = np.asarray(pictures(1, 32)), shift
    wanted = np.zeros_like(image)
    for row in range(32):
        for column in range(32):
            if 0 <= row - down < 32 and 0 <= column - right < 32:
                wanted[0, row, column] = image[0, row - down, column - right]
    moved = augment(jnp.asarray(image), {"translation": jnp.array([shift])})
    np.testing.assert_array_equal(moved, wanted)


@pytest.mark.parametrize(
    ("middle", "rows", "columns"),
    [((4, 4), (2, 6), (2, 6)), ((0, 8), (0, 2), (6, 8)), ((7, 1), (5, 8), (0, 3))],
)
def test_cutout_by_hand(
    middle: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """A square of half the side, two pixels before its middle and two from it on."""
    cut = np.asarray(augment(jnp.ones((1, 8, 8, 1)), {"cutout": jnp.array([middle])}))
    wanted = np.ones((1, 8, 8, 1))
    wanted[:, slice(*rows), slice(*columns)] = 0
    np.testing.assert_array_equal(cut, wanted)


def test_every_image_is_changed_by_its_own_draws() -> None:
    images, draws = pictures(6), draw(AUGMENTATIONS, jax.random.key(1), 6, 8)
    together = augment(images, draws)
    for i in range(6):
        alone = augment(images[i : i + 1], {kind: rows[i : i + 1] for kind, rows in draws.items()})
        np.testing.assert_allclose(together[i : i + 1], alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("size", "far", "last"), [(32, 4, 32), (8, 1, 8), (10, 1, 9), (28, 4, 28)])
def test_what_is_drawn_covers_the_ranges_of_the_authors_code(
    size: int, far: int, last: int
) -> None:
    """An eighth of the side, rounded half up; an odd cut-out has no middle behind the last row."""
    draws = draw(AUGMENTATIONS, jax.random.key(0), 20_000, size)
    assert set(np.unique(draws["translation"])) == set(range(-far, far + 1))
    assert set(np.unique(draws["cutout"])) == set(range(last + 1))
    assert draws["color"].shape == (20_000, 3)
    assert 0 <= draws["color"].min() < 0.001 < 0.999 < draws["color"].max() < 1
    np.testing.assert_allclose(draws["color"].mean(axis=0), 0.5, atol=0.01)


def test_a_kind_draws_the_same_whichever_others_are_on() -> None:
    every = draw(AUGMENTATIONS, jax.random.key(0), 4, 8)
    for kind in AUGMENTATIONS:
        (alone,) = draw((kind,), jax.random.key(0), 4, 8).values()
        np.testing.assert_array_equal(alone, every[kind])


def test_settings_know_every_kind() -> None:
    assert list(KINDS) == list(AUGMENTATIONS)


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_every_kind_that_a_config_may_name_changes_images(kind: str) -> None:
    """One that is drawn, and done nowhere, would be a run without it."""
    images = pictures(6)
    changed = augment(images, draw((kind,), jax.random.key(0), 6, 8))
    assert not np.array_equal(changed, images)


def test_gradients_pass_through() -> None:
    draws = draw(AUGMENTATIONS, jax.random.key(2), 2, 8)
    check_grads(lambda x: augment(x, draws), (pictures(),), order=1, modes=("rev",))


@pytest.mark.slow
def test_both_players_see_other_views_of_every_kind() -> None:
    """By hand: the critic's reals and fakes, and the generator's fakes, as each was changed."""
    game, state = _game_and_state(TINY)
    batch = jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8))

    @jax.jit
    def played(state: GanState) -> tuple[Any, ...]:
        fake = fakes_for_critic(game, state, state.critic_updates, KEY)
        return fake, critic_step(game, state, batch, fake, KEY)[1]

    fake, metrics = played(state)
    draws = {
        stream: game.views(8, KEY, stream, 0)
        for stream in (Stream.REAL_VIEWS, Stream.FAKE_VIEWS, Stream.GENERATOR_VIEWS)
    }
    colors = [np.asarray(found["color"]) for found in draws.values()]
    assert len(np.unique(np.concatenate(colors))) == 3 * 8 * 3
    shown = augment(batch / 127.5 - 1, draws[Stream.REAL_VIEWS])
    real, fakes = (
        game.scores(state, images).mean()
        for images in (shown, augment(fake, draws[Stream.FAKE_VIEWS]))
    )
    np.testing.assert_allclose(metrics["d_loss_real"], -real, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(metrics["d_loss_fake"], fakes, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_the_generators_gradient_is_that_of_what_the_critic_sees() -> None:
    """Where all is cut to one grey, nothing of a fake is left to learn from."""
    game, state = _game_and_state(TINY | {"augmentation": "cutout"})
    step = jax.jit(lambda state: generator_step(game, state, KEY)[1]["generator_grad_norm"])
    assert float(step(state)) > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wgan_jax.gan.augmentation.CUT", 4.0)
        blind = jax.jit(lambda state: generator_step(game, state, KEY)[1]["generator_grad_norm"])
        assert float(blind(state)) == 0


def test_each_update_changes_images_anew() -> None:
    game, _ = _game_and_state(TINY)
    first, again, later = (game.views(8, KEY, Stream.REAL_VIEWS, step) for step in (0, 0, 1))
    np.testing.assert_array_equal(first["color"], again["color"])
    assert not np.array_equal(first["color"], later["color"])


def test_off_by_default_and_refused_by_name() -> None:
    game, _ = _game_and_state(TINY | {"augmentation": ""})
    assert game.views(8, KEY, Stream.REAL_VIEWS, 0) == {}
    for wrong in ("colour", "color, cutout", "color,", "all"):
        with pytest.raises(UserError, match="empty, or some of color, translation, cutout"):
            resolve({"augmentation": wrong})


def _game_and_state(config: dict[str, Any]) -> tuple[Game, GanState]:
    game = new_game(resolve(config), 3)
    return game, jax.jit(game.new_state)(KEY)
