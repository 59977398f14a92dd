"""Sums over places in halves: the values and gradients of plain ones, at every order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array

from wgan_jax.gan import sums
from wgan_jax.gan.networks import BatchNorm
from wgan_jax.gan.sums import over_places, spread

Form = Callable[[Array], Array]


@pytest.fixture(autouse=True, scope="module")
def always_in_halves() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "_MANY", 0)
        yield


def drawn(seed: int, *shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(seed).normal(1, 1, shape), jnp.float32)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(1, 5), height=st.integers(1, 9), width=st.integers(1, 9), c=st.integers(1, 4))
def test_the_sum_is_that_of_float64(n: int, height: int, width: int, c: int) -> None:
    x = drawn(0, n, height, width, c)
    exact = np.asarray(x, np.float64).sum((0, 1, 2))
    np.testing.assert_allclose(over_places(x), exact, rtol=1e-6, atol=1e-5)


def test_by_hand() -> None:
    x = jnp.arange(16, dtype=jnp.float32).reshape(2, 2, 2, 2)
    assert over_places(x).tolist() == [56.0, 64.0]
    assert spread(jnp.array([1.0, 2.0]), (2, 1, 2, 2)).tolist() == [[[[1.0, 2.0]] * 2]] * 2


def test_it_is_more_exact_than_a_plain_sum_of_16_bits() -> None:
    """The sum is float32 whatever is given: 4,096 ones are 4,096, not bfloat16's 256."""
    total = over_places(jnp.ones((1, 64, 64, 1), jnp.bfloat16))
    assert total.dtype == jnp.float32
    assert total.tolist() == [4096.0]
    bias = jax.grad(lambda b: spread(b, (1, 64, 64, 1)).sum().astype(jnp.float32))
    assert bias(jnp.ones(1, jnp.bfloat16)).tolist() == [4096.0]


def test_gradients_of_two_orders_are_those_of_plain_sums() -> None:
    x, v = drawn(1, 3, 4, 6, 5), drawn(2, 5)

    def loss(
        total: Callable[[Array], Array], wide: Callable[[Array], Array]
    ) -> Callable[..., Array]:
        def value(x: Array, v: Array) -> Array:
            return jnp.sum(jnp.tanh(total(x**2 * wide(v)) / 50) ** 2) + jnp.sum(wide(v**3) * x)

        return value

    def penalty(value: Callable[..., Array]) -> Callable[..., Array]:
        """A gradient's norm, as in WGAN-GP: its gradient is of the second order."""

        def norm(x: Array, v: Array) -> Array:
            return jnp.sqrt(sum(jnp.sum(g**2) for g in jax.grad(value, (0, 1))(x, v)))

        return norm

    ours = loss(over_places, lambda v: spread(v, x.shape))
    plain = loss(lambda x: jnp.sum(x, (0, 1, 2)), lambda v: jnp.broadcast_to(v, x.shape))
    for mine, theirs in ((ours, plain), (penalty(ours), penalty(plain))):
        for got, wanted in zip(
            jax.grad(mine, (0, 1))(x, v), jax.grad(theirs, (0, 1))(x, v), strict=True
        ):
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_batch_norm_is_flaxs(dtype: jnp.dtype) -> None:
    """Results, running averages and gradients; the same names, so that checkpoints fit."""
    x = drawn(3, 8, 6, 6, 4) * 3
    ours, theirs = BatchNorm(0.9, dtype), nn.BatchNorm(False, momentum=0.9, dtype=dtype)
    variables = ours.init(jax.random.key(0), x, train=True)
    wanted = theirs.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, wanted)
    variables = jax.tree.map(lambda leaf: leaf + drawn(4, *leaf.shape) / 4, variables)

    def played(norm: Callable[..., Any]) -> tuple[Array, ...]:
        def loss(params: dict[str, Array], x: Array) -> tuple[Array, tuple[Array, ...]]:
            y, new = norm(variables | {"params": params}, x)
            return jnp.sum(jnp.sin(y.astype(jnp.float32))), (y, new["batch_stats"])

        grads, (y, stats) = jax.grad(loss, (0, 1), has_aux=True)(variables["params"], x)
        return y.astype(jnp.float32), stats, grads

    got = played(lambda v, x: ours.apply(v, x, train=True, mutable="batch_stats"))
    want = played(lambda v, x: theirs.apply(v, x, mutable="batch_stats"))
    tolerance = 2e-4 if dtype == jnp.float32 else 0.1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, tolerance, tolerance), got, want)
    # Not in training: by the running averages.
    theirs = nn.BatchNorm(True, momentum=0.9, dtype=dtype)
    np.testing.assert_array_equal(ours.apply(variables, x, train=False), theirs.apply(variables, x))
