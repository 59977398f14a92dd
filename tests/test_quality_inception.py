"""The InceptionV3 port: parity with references, its input protocols, its names."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import fidelity, standin
from wgan_jax.quality import classifier, encoders, inception
from wgan_jax.quality.encoders import Encoder, Encoding, Wanted, build
from wgan_jax.quality.pictures import from_array
from wgan_jax.quality.statistics import Protocol
from wgan_jax.quality.weights import Weights

SHARED = Path(__file__).parents[1] / ".." / "shared" / "inception_golden"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/inception_golden")


def relative_error(found: NDArray[Any] | jax.Array, wanted: NDArray[Any]) -> float:
    return float(np.linalg.norm(np.asarray(found) - wanted) / np.linalg.norm(wanted))


@pytest.fixture(scope="module")
def reference_params() -> inception.Params:
    """Folded weights of the reference's stand-ins."""
    spec = importlib.util.spec_from_file_location("golden_weights", SHARED / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shapes = json.loads((SHARED / "shapes.json").read_text())
    return inception.fold(
        {name: module.tensor("dev", name, shape) for name, shape in shapes.items()}
    )


@shared
@pytest.mark.slow
@pytest.mark.parametrize("size", ["small", "big"])
def test_taps_agree_with_torch_fidelity(size: str, reference_params: inception.Params) -> None:
    golden = np.load(SHARED / "golden.npz")
    found = jax.jit(standin.taps, static_argnums=2)(
        reference_params, golden[f"{size}/images"], "tf1"
    )
    for tap in inception.TAPS:
        assert relative_error(found[tap], golden[f"{size}/{tap}"]) < 1e-5, tap


@pytest.mark.slow
def test_our_stand_ins_give_the_taps_of_torch_fidelity() -> None:
    """The first numbers of each tap, of two images."""
    golden = np.load(fidelity.GOLDEN)
    params = inception.fold(standin.tensors())
    found = jax.jit(standin.taps, static_argnums=2)(params, standin.images(), "tf1")
    for tap, values in standin.summary(found).items():
        assert relative_error(values, golden[f"taps/{tap}"]) < 1e-5, tap


@shared
def test_tensor_names_and_shapes_are_the_public_ports() -> None:
    shapes = json.loads((SHARED / "shapes.json").read_text())
    assert dict(inception.tensor_shapes()) == {name: tuple(shape) for name, shape in shapes.items()}


@pytest.mark.slow
def test_graph_has_not_drifted() -> None:
    golden = np.load(standin.GOLDEN)
    params = inception.fold(standin.tensors())
    for resize in ("tf1", "pytorch"):
        found = standin.summary(
            jax.jit(standin.taps, static_argnums=2)(params, standin.images(), resize)
        )
        for tap in inception.TAPS:
            assert relative_error(found[tap], golden[f"{resize}/{tap}"]) < 1e-5, (resize, tap)


@pytest.mark.slow
def test_features_depend_on_neither_place_nor_neighbours() -> None:
    def features(params: inception.Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        taps = standin.taps(params, images, "tf1")
        return taps["2048"], taps["logits_unbiased"]

    params = inception.fold(standin.tensors())
    protocol = Protocol("inception", "standin", "", "tf1")
    encoding = Encoding(Encoder(protocol, 2048, inception.CLASSES, params, features), batch_size=3)
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    wanted = np.concatenate([encoding(batch)[0] for batch in from_array(images, "").batches(3)])
    for n in (1, 2, 3, 4):
        backwards = [encoding(batch)[0] for batch in from_array(images[:n][::-1], "").batches(3)]
        assert relative_error(np.concatenate(backwards)[::-1], wanted[:n]) < 1e-5


def test_graph_has_94_convolutions_and_a_classifier() -> None:
    shapes = inception.tensor_shapes()
    assert len(shapes) == 94 * 5 + 2
    assert shapes["fc.weight"] == (1008, 2048)


def test_tf1_reads_at_multiples_of_the_scale() -> None:
    matrix = inception.resize_matrix(32, "tf1")
    assert matrix.shape == (299, 32)
    np.testing.assert_array_equal(matrix[0], np.eye(32)[0])
    # Output 10 reads at 10 * 32 / 299 = 1.0702...
    np.testing.assert_allclose(matrix[10, 1:3], [1 - 21 / 299, 21 / 299], rtol=1e-6)
    # Beyond the last pixel's place, where a half-pixel rule would end, its edge repeats.
    np.testing.assert_array_equal(matrix[298], np.eye(32)[31])


def test_pytorch_reads_at_pixel_centres() -> None:
    matrix = inception.resize_matrix(2, "pytorch")
    np.testing.assert_array_equal(matrix[0], [1, 0])
    np.testing.assert_allclose(matrix[149], [0.5, 0.5], rtol=1e-6)  # the middle of the picture
    np.testing.assert_array_equal(matrix[298], [0, 1])
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("resize", ["tf1", "pytorch"])
@pytest.mark.parametrize("size", [1, 8, 299, 500])
def test_every_output_is_an_average_of_inputs(size: int, resize: str) -> None:
    matrix = inception.resize_matrix(size, resize)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    if size == 299:
        np.testing.assert_array_equal(matrix, np.eye(299))


def test_pixels_are_scaled_as_each_protocol_says() -> None:
    images = jnp.array([0, 128, 255], jnp.uint8).reshape(3, 1, 1, 1)
    tf1 = inception.preprocess(images, "tf1")
    assert tf1.shape == (3, 299, 299, 3)
    np.testing.assert_allclose(tf1[:, 0, 0, 0], [-1, 0, 127 / 128], rtol=1e-6)
    np.testing.assert_allclose(
        inception.preprocess(images, "pytorch")[:, 5, 7, 2], [-1, 1 / 255, 1], atol=1e-6
    )


def test_average_pool_counts_no_padding() -> None:
    pooled = inception._average_pool(jnp.ones((1, 5, 4, 2)))
    np.testing.assert_allclose(pooled, 1, rtol=1e-6)


def test_folding_equals_convolution_then_norm() -> None:
    weights = standin.tensors()
    name = "Conv2d_3b_1x1"
    folded = inception.fold(weights)[name]
    x = np.random.default_rng(0).normal(size=64)
    plain = weights[f"{name}.conv.weight"][:, :, 0, 0].astype(np.float64) @ x
    centred = plain - weights[f"{name}.bn.running_mean"]
    scaled = centred / np.sqrt(weights[f"{name}.bn.running_var"] + 1e-3)
    wanted = scaled * weights[f"{name}.bn.weight"] + weights[f"{name}.bn.bias"]
    np.testing.assert_allclose(x @ folded["kernel"][0, 0] + folded["bias"], wanted, rtol=1e-4)


@pytest.mark.parametrize("resize", ["tf1", "pytorch"])
def test_inception_sees_images_as_its_protocol_says_and_scores_without_the_last_bias(
    resize: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Network:
        def __init__(self, dtype: object) -> None:
            assert dtype == jnp.float32

        def apply(self, _: object, x: jnp.ndarray) -> dict[str, jnp.ndarray]:
            return {"2048": x, "logits": x + 1, "logits_unbiased": x + 2}

    monkeypatch.setattr(inception, "InceptionV3", Network)
    monkeypatch.setattr(inception, "fold", lambda _: {})
    monkeypatch.setattr(encoders, "load_weights", lambda name: Weights(name, "ab" * 32, {}))
    encoder = build(Wanted("inception", resize=resize))
    assert encoder.protocol.resize == resize
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    features, logits = encoder.apply(encoder.params, images)
    np.testing.assert_array_equal(features, inception.preprocess(images, resize))
    np.testing.assert_array_equal(logits, features + 2)


def products(function: Callable[..., Any], *shapes: Any) -> list[str]:
    """The lines of a program that multiply: its convolutions and matrix products."""
    text = jax.jit(function).lower(*shapes).as_text()
    return [
        line for line in text.splitlines() if re.search("stablehlo.(convolution|dot_general)", line)
    ]


def test_encoders_ask_for_float32_where_the_device_would_round() -> None:
    """TF32 on a GPU, bfloat16 on a TPU: other numbers under the name of float32."""
    pictures = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.uint8)
    image = jax.ShapeDtypeStruct((1, inception.SIZE, inception.SIZE, 3), jnp.float32)
    params = jax.eval_shape(inception.InceptionV3().init, jax.random.key(0), image)
    weights = jax.eval_shape(classifier._initial, jax.random.key(0))

    def logits(variables: Any, x: jax.Array) -> Any:
        taps: Any = inception.InceptionV3().apply(variables, x)
        return taps["logits"]

    for found, least in (
        (products(logits, params, image), 95),
        (products(lambda x: inception.preprocess(x, "tf1"), pictures), 2),
        (products(classifier.apply, weights, pictures), 5),
    ):
        assert len(found) >= least
        assert all("HIGHEST" in line for line in found)
