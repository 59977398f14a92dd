"""The program of a run as it is handed to other platforms' compilers, seen from a CPU."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from wgan_jax import experiment
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.state import new_game, root_key

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
PRODUCT = re.compile(r"stablehlo\.(?:convolution|dot_general).* : \((.*)\) -> ")


def lowered(
    monkeypatch: pytest.MonkeyPatch, name: str, platform: str, precision: str
) -> tuple[str, int]:
    """The program's text, and of how many arrays the state is."""
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    settings = experiment.read(EXPERIMENTS / f"{name}.py")
    settings = dataclasses.replace(settings, batch_size=8, precision=precision)
    game, key = new_game(settings, 3), root_key(0)
    state = jax.eval_shape(game.new_state, key)
    images = jax.ShapeDtypeStruct((16, *game.image_shape), jnp.uint8)
    traced = chunk_program(game).trace(state, images, key, jax.ShapeDtypeStruct((), jnp.int32))
    low = traced.lower(lowering_platforms=({"gpu": "cuda"}.get(platform, platform),))
    return low.as_text(), len(jax.tree.leaves(state))


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["gpu", "tpu"])
@pytest.mark.parametrize(
    "name", ["cifar_wgan", "cifar_wgan_gp", "cifar_wgan_gp_resnet", "cifar_nsgan", "lsun_dcgan64"]
)
def test_the_program_stays_on_the_device_and_updates_the_state_in_place(
    name: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, leaves = lowered(monkeypatch, name, platform, "tf32")
    assert text.count("tf.aliasing_output") == leaves
    assert "custom_call" not in text  # no callback, no library of the CPU's
    assert "HIGHEST" not in text


@pytest.mark.parametrize(
    "name", ["cifar_wgan", "cifar_wgan_gp", "cifar_wgan_gp_resnet", "lsun_dcgan64"]
)
def test_with_bfloat16_every_product_is_of_such_numbers_but_the_scores(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are a product of one column, float32 always, and so are its gradients."""
    text, _ = lowered(monkeypatch, name, "gpu", "bfloat16")
    operands = PRODUCT.findall(text)
    assert len(operands) > 30
    assert [types for types in operands if "xf32" in types and "x1xf32" not in types] == []


def test_only_spectral_normalisation_asks_for_all_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its products are of a kernel and a vector: they cost little, and need more than 3 digits."""
    text, leaves = lowered(monkeypatch, "cifar_sngan", "gpu", "tf32")
    assert text.count("tf.aliasing_output") == leaves
    exact = [line for line in text.splitlines() if PRODUCT.search(line) and "HIGHEST" in line]
    assert exact
    for line in exact:
        (operands,) = PRODUCT.findall(line)
        assert re.search(r"tensor<\d+xf32>", operands), line


def test_with_float32_every_product_asks_for_all_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = lowered(monkeypatch, "cifar_wgan", "gpu", "float32")
    products = [line for line in text.splitlines() if PRODUCT.search(line)]
    assert products
    assert all("HIGHEST" in line for line in products)


def test_on_a_gpu_no_convolution_is_strided_or_of_few_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And images' indices are computed before the images are gathered, not for every pixel."""
    text, _ = lowered(monkeypatch, "cifar_wgan", "gpu", "tf32")
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) > 20
    assert all("stride = [1, 1]" in line or "stride" not in line for line in convolutions)
    assert not any("lhs_dilate = [2, 2]" in line for line in convolutions)
    types = [PRODUCT.search(line) for line in convolutions]
    assert not any(re.search(r"x[1-4]xf32", found[1]) for found in types if found)
    assert re.search(r"optimization_barrier %\w+ : tensor<8xui32>", text)


@pytest.mark.slow
def test_on_a_gpu_sums_over_all_weights_are_apart_from_the_optimiser_s_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, _ = lowered(monkeypatch, "cifar_wgan", "gpu", "tf32")
    apart = re.findall(r"optimization_barrier %\w+ : tensor<(\d+)xf32>", text)
    assert len(apart) >= 4  # of each network the weights and the gradient
    assert len(set(apart)) == 2
    on_cpu, _ = lowered(monkeypatch, "cifar_wgan", "cpu", "float32")
    assert not re.search(r"optimization_barrier %\w+ : tensor<\d+xf32>", on_cpu)


def test_on_a_tpu_convolutions_are_strided_or_transposed_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no image is put in blocks, nor taken out of them."""
    text, _ = lowered(monkeypatch, "cifar_wgan", "tpu", "tf32")
    assert "stride = [2, 2]" in text
    assert "lhs_dilate = [2, 2]" in text
    moved = re.compile(r"stablehlo.transpose.*tensor<(?:5x)?(?:8|16)x[\dx]*xf32>")
    assert not moved.search(text)
    assert moved.search(lowered(monkeypatch, "cifar_wgan", "gpu", "tf32")[0])
