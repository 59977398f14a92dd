"""Shapes, parameter counts and ranges of the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.small_runs import same_bits
from wgan_jax import experiment
from wgan_jax.config import resolve
from wgan_jax.gan.networks import leaky_relu, pooled
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.state import Game, GanState, Stream, new_game, root_key, to_uint8
from wgan_jax.gan.steps import _score, critic_step
from wgan_jax.settings import CriticSettings

pytestmark = pytest.mark.usefixtures("quick_compiling")


def shapes_of(game: Game) -> GanState:
    """The initial state, without computing it."""
    return jax.eval_shape(game.new_state, root_key(0))


def count(params: object) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def test_the_guides_network() -> None:
    """5x5 kernels: critic 3-32-64-128-128 and dense; generator 100-4x4x128-128-64-32-3."""
    state = shapes_of(new_game(resolve({}), 3))
    critic = 25 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 128) + 352 + (4 * 4 * 128 + 1)
    dense = 100 * 2048 + 2048
    convs = 25 * (128 * 128 + 128 * 64 + 64 * 32 + 32 * 3) + 128 + 64 + 32 + 3
    norms = 2 * (128 + 128 + 64 + 32)
    assert count(state.critic.params) == critic
    assert count(state.generator.params) == dense + convs + norms


KEY = root_key(0)
NORMS = next(f for f in fields(CriticSettings) if f.name == "normalization").metadata["rule"]


@pytest.mark.parametrize("norm", sorted({*NORMS} - {"none"}))
def test_every_norm_that_a_config_may_name_changes_the_critics_scores(
    tiny: dict[str, Any], norm: str
) -> None:
    """One that is known to the settings only would be a critic without any."""
    scores = []
    for each in ("none", norm):
        config = tiny | {"objective": "hinge", "critic": tiny["critic"] | {"normalization": each}}
        game = new_game(resolve(config), 1)
        critic, images = game.new_state(KEY).critic, jax.random.uniform(KEY, (4, 8, 8, 1))
        scores.append(_score(game, critic.params, critic.stats, images, KEY)[0])
    assert not np.allclose(scores[0], scores[1], rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("cifar_wgan", []),
        ("cifar_wgan_gp", []),
        ("digits_wgan", []),
        ("cifar_wgan_adam", []),
        ("cifar_wgan_gp_resnet", []),
        ("cifar_sngan", []),
        ("lsun_dcgan64", []),
        ("lsun_dcgan64", ["--config.image_size=32"]),
    ],
)
def test_networks_fit_together(name: str, flags: list[str]) -> None:
    settings = experiment.read(Path(f"experiments/{name}.py"), flags)
    game = new_game(settings, 3)
    state = shapes_of(game)
    latents = jax.ShapeDtypeStruct((2, settings.latent_dim), jnp.float32)
    sampler = jax.eval_shape(game.sampler, state, root_key(0))
    images = jax.eval_shape(game.generate, sampler, latents)
    size = settings.image_size
    assert (images.shape, images.dtype) == ((2, size, size, 3), jnp.float32)
    scores = jax.eval_shape(
        lambda s, x: game.critic.apply({"params": s.critic.params}, x, train=False), state, images
    )
    assert scores.shape == (2,)


def test_the_papers_dcgan_has_no_norm_in_the_critic_and_mirrors_it() -> None:
    settings = experiment.read(Path("experiments/lsun_dcgan64.py"))
    state = shapes_of(new_game(settings, 3))
    kernels = [state.critic.params[f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert kernels == [(4, 4, 3, 64), (4, 4, 64, 128), (4, 4, 128, 256), (4, 4, 256, 512)]
    mirrored = [state.generator.params[f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert mirrored == [(4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64), (4, 4, 64, 3)]
    assert state.critic.stats == {}
    convolutions = [state.generator.params[f"Conv_{i}"] for i in range(4)]
    assert ["bias" in conv for conv in convolutions] == [False, False, False, True]


def test_the_published_resnet_has_as_many_weights() -> None:
    """Those of pytorch-gan-collections' ResNet for 32x32 (and of mimicry's), by their layers."""
    state = shapes_of(new_game(experiment.read(Path("experiments/cifar_wgan_gp_resnet.py")), 3))
    conv = 9 * 128 * 128 + 128
    first = (9 * 3 * 128 + 128) + conv + (3 * 128 + 128)
    assert count(state.critic.params) == first + (2 * conv + 128 * 128 + 128) + 4 * conv + 129
    block = 2 * (9 * 256 * 256 + 256) + (256 * 256 + 256) + 2 * 2 * 256
    dense = 128 * 4 * 4 * 256 + 4 * 4 * 256
    assert count(state.generator.params) == dense + 3 * block + 2 * 256 + 9 * 256 * 3 + 3
    assert count(state.critic.params) == 1_053_825
    assert count(state.generator.params) == 4_276_739


def test_the_spectrally_normalised_resnet_is_the_same_without_a_bias_behind_its_features() -> None:
    names = ("cifar_wgan_gp_resnet", "cifar_sngan")
    penalised, spectral = (
        shapes_of(new_game(experiment.read(Path(f"experiments/{name}.py")), 3)) for name in names
    )
    assert count(spectral.critic.params) == count(penalised.critic.params) - 1
    assert "bias" not in spectral.critic.params["Dense_0"]
    assert count(spectral.generator.params) == count(penalised.generator.params)


def test_the_published_clipped_critic_alternates_its_kernels() -> None:
    state = shapes_of(new_game(experiment.read(Path("experiments/cifar_wgan_adam.py")), 3))
    kernels = [state.critic.params[f"Conv_{i}"]["kernel"].shape for i in range(7)]
    assert [shape[0] for shape in kernels] == [3, 4, 3, 4, 3, 4, 3]
    assert [shape[3] for shape in kernels] == [64, 128, 128, 256, 256, 512, 512]
    assert state.critic.params["Dense_0"]["kernel"].shape == (4 * 4 * 512, 1)
    last = [state.generator.params[f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert last == [(4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64), (3, 3, 64, 3)]


RESIDUAL = {
    "critic": {"blocks": "residual", "filters": (6, 6, 6), "strides": (2, 1, 1), "kernel": 3},
    "generator": {"blocks": "residual", "base_filters": 6, "filters": (6,), "kernel": 3},
}


def test_a_residual_block_without_its_branch_is_its_shortcut(tiny: dict[str, Any]) -> None:
    """The image's mean, by 1 x 1, then the input itself; so is the score, by its pooling."""
    images = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    for pooling, places in (("mean", 1), ("sum", 16)):
        game = new_game(resolve(tiny | {"critic": RESIDUAL["critic"] | {"pooling": pooling}}), 1)
        params = jax.jit(game.new_state)(root_key(0)).critic.params
        off = {
            name: jax.tree.map(jnp.zeros_like, block) | {"Conv_2": block["Conv_2"]}
            if "Conv_2" in block
            else jax.tree.map(jnp.zeros_like, block)
            for name, block in params.items()
            if name != "Dense_0"
        }
        assert set(params["Residual_1"]) == {"Conv_0", "Conv_1"}  # nothing changes: no shortcut
        scores = game.critic.apply(
            {"params": off | {"Dense_0": params["Dense_0"]}}, images, train=False
        )
        means = images.reshape(3, 4, 2, 4, 2).mean((2, 4))[..., None]
        features = nn.leaky_relu(means * params["Residual_0"]["Conv_2"]["kernel"][0, 0, 0], 0.2)
        wanted = features.mean((1, 2)) * places @ params["Dense_0"]["kernel"]
        np.testing.assert_allclose(scores, wanted[:, 0], rtol=1e-5, atol=1e-7)


def test_a_residual_critic_takes_the_image_as_it_is_and_norms_from_the_second_block_on(
    tiny: dict[str, Any],
) -> None:
    critic = RESIDUAL["critic"] | {"normalization": "layer"}
    params = shapes_of(new_game(resolve(tiny | {"critic": critic}), 1)).critic.params
    norms = [sum("Norm" in part for part in params[f"Residual_{i}"]) for i in range(3)]
    assert norms == [0, 2, 2]


def test_a_residual_generator_doubles_by_both_ways(tiny: dict[str, Any]) -> None:
    """Without its branch: the small image, by 1 x 1, each pixel four times."""
    generator = RESIDUAL["generator"] | {"normalization": "none", "kernel": 3, "output_kernel": 1}
    game = new_game(resolve(tiny | {"generator": generator}), 1)
    params = jax.jit(game.new_state)(root_key(0)).generator.params
    block = params["Residual_0"]
    off = jax.tree.map(jnp.zeros_like, block) | {"Conv_2": block["Conv_2"]}
    latents = game.latents(jax.random.key(1), 5)
    images = game.generate({"params": params | {"Residual_0": off}}, latents)
    assert images.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(images[:, ::2, ::2], images[:, 1::2, 1::2])
    assert len(np.unique(np.asarray(images[0]))) == 16


def test_glorot_s_weights_have_his_spread_and_twice_his_variance_in_a_branch(
    tiny: dict[str, Any],
) -> None:
    """Uniform, of variance 2 / (fan in + fan out); init_std says nothing."""
    shared = {"init": "glorot", "init_std": 5.0}
    critic = RESIDUAL["critic"] | shared | {"filters": (64, 64), "strides": (2, 2)}
    game = new_game(resolve(tiny | {"critic": critic}), 1)
    params = jax.jit(game.new_state)(root_key(0)).critic.params
    for name, fans, scale in (("Conv_0", 2 * 9 * 64, 2), ("Conv_2", 2 * 64, 1)):
        kernel = params["Residual_1"][name]["kernel"]
        variance = scale * 2 / fans
        assert float(kernel.var()) == pytest.approx(variance, rel=0.05)
        assert float(jnp.abs(kernel).max()) == pytest.approx((3 * variance) ** 0.5, rel=0.01)


def test_images_are_in_range_and_latents_are_normal(tiny: dict[str, Any]) -> None:
    game = new_game(resolve(tiny), 1)
    state = jax.jit(game.new_state)(root_key(0))
    latents = game.latents(jax.random.key(1), 5000)
    assert abs(float(latents.mean())) < 0.02
    assert abs(float(latents.std()) - 1) < 0.02
    images = game.generate(game.sampler(state, root_key(0)), latents)
    assert images.shape == (5000, 8, 8, 1)
    assert float(jnp.abs(images).max()) <= 1


def test_statistics_of_batches_are_pooled_as_those_of_all_their_values() -> None:
    values = np.array([[1.0, 3.0], [5.0, 9.0]])  # two batches of two values
    stats = {"mean": values.mean(1, keepdims=True), "var": values.var(1, keepdims=True)}
    together = pooled({"batch_stats": {"BatchNorm_0": stats}})["batch_stats"]["BatchNorm_0"]
    assert together["mean"].tolist() == [4.5]
    assert together["var"].tolist() == [values.var()]


@pytest.mark.slow
def test_samples_are_made_with_the_statistics_of_just_their_weights(tiny: dict[str, Any]) -> None:
    """Not with running averages, which at the start are 0 and 1, and never of averaged weights."""
    game = new_game(resolve(tiny | {"ema": 0.9, "batch_size": 64}), 1)
    state = jax.jit(game.new_state)(root_key(0))
    wide = jax.tree.map(lambda w: 5 * w, state.generator.params)
    latents = game.latents(jax.random.key(1), 2048)

    def layer(weights: Any) -> tuple[jax.Array, jax.Array]:
        """Mean and variance of the first layer's features, from the weights themselves."""
        features = latents @ weights["Dense_0"]["kernel"] + weights["Dense_0"]["bias"]
        features = features.reshape(-1, tiny["generator"]["base_filters"])
        return features.mean(0), features.var(0)

    for params, ema in ((wide, state.ema), (state.generator.params, wide)):
        player = state.generator.replace(params=params)
        sampler = game.sampler(state.replace(generator=player, ema=ema), root_key(0))
        mean, variance = layer(ema)
        assert sampler["params"] is ema
        norm = sampler["batch_stats"]["BatchNorm_0"]
        np.testing.assert_allclose(norm["var"], variance, rtol=0.2)
        np.testing.assert_allclose(norm["mean"], mean, atol=float(0.2 * variance.max() ** 0.5))
        of_batch = game.generator.apply(
            {"params": ema, **state.generator.stats}, latents, train=True, mutable=["batch_stats"]
        )[0]
        off = jnp.abs(game.generate(sampler, latents) - of_batch)
        assert float(off.mean()) < 0.1 * float(of_batch.std())


def test_without_a_norm_a_sampler_is_its_weights(tiny: dict[str, Any]) -> None:
    generator = tiny["generator"] | {"normalization": "none"}
    game = new_game(resolve(tiny | {"generator": generator}), 1)
    state = jax.jit(game.new_state)(root_key(0))
    assert game.sampler(state, root_key(0)) == {"params": state.generator.params}


def test_initial_weights_have_the_settings_spread(tiny: dict[str, Any]) -> None:
    game = new_game(resolve(tiny | {"critic": {"filters": (64, 64), "strides": (2, 2)}}), 1)
    kernel = jax.jit(game.new_state)(root_key(0)).critic.params["Conv_1"]["kernel"]
    assert float(kernel.std()) == pytest.approx(0.02, rel=0.02)


def test_each_network_begins_with_weights_of_its_own_stream(tiny: dict[str, Any]) -> None:
    game, key = new_game(resolve(tiny), 1), root_key(0)
    state = jax.jit(game.new_state)(key)
    for player, network, stream, shape in (
        (state.critic, game.critic, Stream.CRITIC_INIT, (1, 8, 8, 1)),
        (state.generator, game.generator, Stream.GENERATOR_INIT, (1, 4)),
    ):
        new = jax.jit(partial(network.init, train=False))
        variables = new(jax.random.fold_in(key, stream), jnp.zeros(shape))
        assert same_bits(player.params, variables["params"])


def test_to_uint8_rounds_and_clips() -> None:
    values = jnp.array([-1.0, 1.0, 0.0, -2.0, 2.0, 1 / 127.5])
    assert to_uint8(values).tolist() == [0, 255, 128, 0, 255, 128]


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_critic_scores_image_by_image_unless_it_has_batch_norm(
    tiny: dict[str, Any], norm: str
) -> None:
    critic = {"filters": (4, 8), "strides": (2, 1), "kernel": 3, "normalization": norm}
    game = new_game(resolve(tiny | {"critic": critic}), 1)
    state = jax.jit(game.new_state)(root_key(0))
    images = jax.random.normal(jax.random.key(0), (6, 8, 8, 1))
    variables = {"params": state.critic.params, **state.critic.stats}

    def scores(x: jax.Array) -> jax.Array:
        out, _ = game.critic.apply(
            variables,
            x,
            train=True,
            rngs={"dropout": jax.random.key(0)},
            mutable=list(state.critic.stats),
        )
        return out

    together, alone = scores(images)[:2], scores(images[:2])
    assert bool(jnp.allclose(together, alone, atol=1e-6)) == (norm != "batch")


@pytest.mark.parametrize(("norm", "name"), [("layer", "LayerNorm_0"), ("batch", "BatchNorm_0")])
def test_no_norm_stands_behind_the_critics_first_layer(
    tiny: dict[str, Any], norm: str, name: str
) -> None:
    """It would hide the images' own scale."""
    critic = shapes_of(
        new_game(resolve(tiny | {"critic": tiny["critic"] | {"normalization": norm}}), 1)
    ).critic
    assert set(critic.params) == {"Conv_0", "Conv_1", name, "Dense_0"}
    assert critic.params[name]["scale"].shape == critic.params["Conv_1"]["bias"].shape == (8,)


def test_layer_norm_is_over_all_of_an_image(tiny: dict[str, Any]) -> None:
    critic = tiny["critic"] | {"normalization": "layer"}
    game = new_game(resolve(tiny | {"critic": critic}), 1)
    params = jax.jit(game.new_state)(root_key(0)).critic.params
    images = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    _, seen = game.critic.apply({"params": params}, images, train=False, capture_intermediates=True)
    before, after = (
        seen["intermediates"][name]["__call__"][0] for name in ("Conv_1", "LayerNorm_0")
    )
    mean = before.mean((1, 2, 3), keepdims=True)
    variance = ((before - mean) ** 2).mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(after, (before - mean) / jnp.sqrt(variance + 1e-6), atol=1e-3)


def floats(tree: object) -> set[str]:
    """Kinds of floating-point numbers among the leaves."""
    kinds = {leaf.dtype for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")}
    return {kind.name for kind in kinds if jnp.issubdtype(kind, jnp.floating)}


def test_bfloat16_scores_far_from_zero_still_differ(tiny: dict[str, Any]) -> None:
    """A Wasserstein critic's scores have no zero point; 16 bits near 100 lie 0.5 apart."""
    game = new_game(resolve(tiny | {"precision": "bfloat16"}), 1)
    params = jax.jit(game.new_state)(root_key(0)).critic.params
    moved = params | {"Dense_0": params["Dense_0"] | {"bias": jnp.array([100.0])}}
    images = jax.random.uniform(jax.random.key(0), (64, 8, 8, 1), minval=-1, maxval=1)
    near, far = (
        game.critic.apply({"params": each}, images, train=False) for each in (params, moved)
    )
    assert float(near.std()) > 0
    np.testing.assert_allclose(far - 100, near, atol=1e-5)


@pytest.mark.slow
def test_precision_is_that_of_products_alone(tiny: dict[str, Any]) -> None:
    """Weights, optimisers and statistics stay float32; the first losses are nearly the same."""
    found = []
    for precision in ("bfloat16", "tf32"):
        game = new_game(resolve(tiny | {"precision": precision}), 1)
        images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8))
        state = jax.jit(game.new_state)(root_key(0))
        state, chunk = chunk_program(game)(state, images, root_key(0), jnp.int32(3))
        assert floats(state) == {"float32"}
        found.append(dict(zip(game.metric_keys, np.asarray(chunk.metrics[:3]).T, strict=True)))
    half, usual = found
    assert np.isfinite(list(half.values())).all()
    for key in ("d_loss_real", "d_loss_fake", "g_loss"):
        assert half[key][0] == pytest.approx(usual[key][0], rel=0.03)


@pytest.mark.parametrize(
    ("precision", "asked"), [("float32", "HIGHEST"), ("tf32", ""), ("bfloat16", "bf16")]
)
def test_precision_is_asked_of_the_compiler(
    tiny: dict[str, Any], precision: str, asked: str
) -> None:
    game = new_game(resolve(tiny | {"precision": precision}), 1)
    state = jax.eval_shape(game.new_state, root_key(0))
    images = jnp.zeros((8, 8, 8, 1), jnp.uint8)
    fakes = jnp.zeros((8, 8, 8, 1))
    step = jax.jit(lambda s: critic_step(game, s, images, fakes, root_key(0))[0])
    lowered = step.lower(state)
    products = [line for line in lowered.as_text().splitlines() if "convolution(" in line]
    assert any(asked in line for line in products)
    assert any("HIGHEST" in line for line in products) == (precision == "float32")


def test_leaky_relu_is_that_of_flax_and_so_are_its_gradients() -> None:
    x = jnp.array([-2.0, -0.0, 0.0, 3.0, jnp.nan])

    def of(form: Callable[[jax.Array, float], jax.Array]) -> tuple[jax.Array, ...]:
        slope = jax.vmap(jax.grad(lambda x: form(x, 0.2)))
        bent = jax.vmap(jax.grad(lambda x: jax.grad(lambda x: form(x, 0.2) ** 2)(x)))
        return form(x, 0.2), slope(x), bent(x)

    for ours, theirs in zip(of(leaky_relu), of(nn.leaky_relu), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(of(leaky_relu)[1][:4], [0.2, 1, 1, 1])
