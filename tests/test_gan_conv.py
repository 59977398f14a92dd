"""The convolutions' fast forms equal the plain ones: values, gradients, gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain_conv
from wgan_jax.gan import winograd
from wgan_jax.gan.conv import conv2d, conv_transpose2d, downconv2d, upconv2d
from wgan_jax.gan.images import mean_pooled, pixels, upsampled

PLATFORMS = ("cpu", "gpu", "tpu")  # gradients of our own, and XLA's
# Unoptimised code: each program runs once, and takes far longer to compile than to run.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
PLAIN = {
    conv2d: plain_conv.conv2d,
    upconv2d: plain_conv.upconv2d,
    downconv2d: plain_conv.downconv2d,
    conv_transpose2d: plain_conv.conv_transpose2d,
}


def wide(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """With channels enough for Winograd's form: those of both arrays, again and again."""
    return jnp.tile(x, 11), jnp.tile(kernel, (1, 1, 11, 16))


def deep(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """With more channels of the image than count as few."""
    return jnp.tile(x, 2), jnp.tile(kernel, (1, 1, 2, 1))


def larger(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """With sides that are multiples of 4 where they were even; of 2 else."""
    return jnp.tile(x, (1, 2, 2, 1)), kernel


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_WORK", 0)


# What is done to the arrays, the function, and its stride if it has one.
FORMS = {
    "conv2d": (None, conv2d, (1,)),
    "conv2d, many channels": (lambda x, k: (x, jnp.tile(k, 3)), conv2d, (1,)),
    "conv2d, stride 2": (None, conv2d, (2,)),
    "conv2d, stride 3": (None, conv2d, (3,)),
    "conv2d, stride 2, more channels": (deep, conv2d, (2,)),
    "conv2d, wide": (wide, conv2d, (1,)),
    "conv2d, stride 2, wide": (wide, conv2d, (2,)),
    "conv_transpose2d, wide": (wide, conv_transpose2d, ()),
    "upconv2d": (None, upconv2d, ()),
    "conv_transpose2d": (None, conv_transpose2d, ()),
    "downconv2d": (larger, downconv2d, (2,)),
    "downconv2d, stride 1": (None, downconv2d, (1,)),
    "downconv2d, wide": (lambda x, k: wide(*larger(x, k)), downconv2d, (2,)),
}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def arrays(height: int, width: int, size: int) -> list[jax.Array]:
    """Image, kernel and bias."""
    rng = np.random.default_rng(height * 100 + width * 10 + size)
    shapes = (2, height, width, 3), (size, size, 3, 2), (2,)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


def compared(name: str, platform: str, *, second_order: bool) -> Callable[..., Any]:
    """Values, first gradients and, where asked for, the gradients of a gradient penalty."""
    prepared, form, stride = FORMS[name]

    def found(convolution: Callable[..., jax.Array], *given: jax.Array) -> Any:
        def loss(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
            if prepared:
                x, kernel = prepared(x, kernel)
            bias = jnp.tile(bias, kernel.shape[3] // len(bias))
            y = pixels(convolution(x, kernel, bias, *stride))
            return jnp.sum(jnp.sin(y)), y

        def penalty(*given: jax.Array) -> jax.Array:
            return jnp.sum(jax.grad(loss, has_aux=True)(*given)[0] ** 2)

        first = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*given)
        return (first, jax.grad(penalty, (0, 1, 2))(*given)) if second_order else first

    fast = partial(form, platform=platform)
    return jax.jit(
        lambda *given: (found(fast, *given), found(PLAIN[form], *given)), compiler_options=QUICK
    )


def assert_equal_forms(
    name: str, platform: str, height: int, width: int, size: int, second: bool
) -> None:
    both = compared(name, platform, second_order=second)
    fast, plain = both(*arrays(height, width, size))
    for ours, theirs in zip(jax.tree.leaves(fast), jax.tree.leaves(plain), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 5), (4, 4, 5), (5, 4, 4)])
def test_values_and_gradients_are_equal(
    name: str, platform: str, height: int, width: int, size: int
) -> None:
    assert_equal_forms(name, platform, height, width, size, second=False)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", FORMS)
def test_gradients_of_gradients_are_equal(name: str, platform: str) -> None:
    assert_equal_forms(name, platform, 6, 6, 3, second=True)


@pytest.mark.parametrize("name", ["conv2d", "conv2d, stride 2"])
def test_gradients_of_gradients_are_equal_where_places_are_few(name: str) -> None:
    assert_equal_forms(name, "gpu", 4, 4, 5, second=True)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_cpus_library_is_given_no_kernel_larger_than_the_image(stride: int) -> None:
    """It has no form for them: 5x5 taps over 4x4 pixels took 28 times as long as a product."""
    x, kernel, _ = arrays(4, 4, 5)
    kernel = jnp.tile(kernel, 3)  # more channels than make blocks of pixels
    form = partial(conv2d, stride=stride, platform="cpu")
    assert "conv_general_dilated" not in str(jax.make_jaxpr(form)(x, kernel))
    assert "conv_general_dilated" in str(jax.make_jaxpr(form)(x, kernel[:4, :4]))


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(FORMS)),
    platform=st.sampled_from(PLATFORMS),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    size=st.integers(2, 5),
)
def test_forms_are_equal_over_shapes(
    name: str, platform: str, height: int, width: int, size: int
) -> None:
    with jax.enable_x64(True):
        assert_equal_forms(name, platform, height, width, size, second=size == 3)


def in_blocks(x: jax.Array, side: int) -> jax.Array:
    """[n, h, w, c] -> [n, h / side, w / side, side, side, c]."""
    n, height, width, c = x.shape
    return x.reshape(n, height // side, side, width // side, side, c).swapaxes(2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", FORMS)
def test_an_image_in_blocks_is_the_same_image(name: str, platform: str) -> None:
    """In blocks of 2x2 and of 4x4."""
    prepared, form, stride = FORMS[name]
    x, kernel, _ = arrays(8, 8, 5)
    if prepared:
        x, kernel = prepared(x, kernel)

    def summed(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = pixels(form(x, kernel, None, *stride, platform=platform))
        return jnp.sum(jnp.sin(y)), y

    both = jax.jit(jax.value_and_grad(summed, (0, 1), has_aux=True), compiler_options=QUICK)
    (_, rows), (image_grad, kernel_grad) = both(x, kernel)
    for side in (2, 4):
        (_, blocks), (blocks_grad, same_grad) = both(in_blocks(x, side), kernel)
        np.testing.assert_array_equal(pixels(in_blocks(x, side)), x)
        np.testing.assert_allclose(blocks, rows, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(blocks_grad, in_blocks(image_grad, side), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(same_grad, kernel_grad, rtol=1e-9, atol=1e-9)


def test_on_a_gpu_a_critic_s_second_layer_takes_the_first_one_s_result_as_it_lies_there() -> None:
    """Neither is put in rows nor padded: each would be a pass over memory."""
    images, first, second = jnp.ones((7, 16, 16, 3)), jnp.ones((5, 5, 3, 8)), jnp.ones((5, 5, 8, 9))
    blocks = conv2d(images, first, stride=2, platform="gpu")
    assert blocks.shape == (7, 4, 4, 2, 2, 8)
    program = jax.make_jaxpr(lambda x: conv2d(x, second, stride=2, platform="gpu"))(blocks)
    steps = [
        step.primitive.name
        for step in program.eqns
        if any(getattr(given.aval, "shape", ())[:1] == (7,) for given in step.invars)
    ]
    assert steps == ["reshape", "conv_general_dilated"]


def test_a_convolution_by_hand() -> None:
    x = jnp.arange(4.0).reshape(1, 2, 2, 1)  # 0 1 / 2 3
    kernel = jnp.ones((3, 3, 1, 1))
    for platform in PLATFORMS:
        out = pixels(conv2d(x, kernel, platform=platform))
        np.testing.assert_array_equal(out[0, :, :, 0], [[6, 6], [6, 6]])


def test_upsampling_by_hand() -> None:
    x = jnp.arange(2.0).reshape(1, 1, 2, 1)  # 0 1, doubled: 0 0 1 1 twice
    kernel = jnp.ones((1, 1, 1, 1))
    for platform in PLATFORMS:
        out = pixels(upconv2d(x, kernel, platform=platform))
        np.testing.assert_array_equal(out[0, :, :, 0], [[0, 0, 1, 1], [0, 0, 1, 1]])


def test_pooling_and_upsampling_by_hand() -> None:
    x = jnp.array([[0.0, 2, 4, 6], [2, 4, 8, 14]]).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(mean_pooled(x, 2)[0, :, :, 0], [[2, 8]])
    np.testing.assert_array_equal(mean_pooled(x, 1), x)
    twice = upsampled(x[:, :, 1:3])[0, :, :, 0]
    np.testing.assert_array_equal(twice[:2], [[2, 2, 4, 4], [2, 2, 4, 4]])
    np.testing.assert_array_equal(twice[2:], [[4, 4, 8, 8], [4, 4, 8, 8]])
    np.testing.assert_array_equal(mean_pooled(upsampled(x), 2), x)
    for each in (2, 4):
        blocks = in_blocks(jnp.tile(x, (1, 4, 2, 1)), each)
        np.testing.assert_array_equal(mean_pooled(blocks, 2), mean_pooled(pixels(blocks), 2))


def test_transposed_convolution_is_the_adjoint_of_the_strided_one() -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, with the kernel's channels swapped."""
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(2, 8, 8, 3))), jnp.asarray(rng.normal(size=(2, 4, 4, 5)))
    kernel = jnp.asarray(rng.normal(size=(4, 4, 3, 5)))
    for platform in PLATFORMS:
        forward = jnp.sum(pixels(conv2d(x, kernel, stride=2, platform=platform)) * y)
        swapped = kernel.transpose(0, 1, 3, 2)
        backward = jnp.sum(x * conv_transpose2d(y, swapped, platform=platform))
        np.testing.assert_allclose(forward, backward, rtol=1e-12)
