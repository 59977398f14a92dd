"""Winograd's form of a convolution: equal to the plain one, and nearly so in float32."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax
from jax.typing import DTypeLike

from wgan_jax.gan import winograd
from wgan_jax.gan.place import Place

Arrays = tuple[jax.Array, jax.Array, jax.Array]


def plain(x: jax.Array, kernel: jax.Array, place: Place) -> jax.Array:
    strides = (place.stride, place.stride)
    return lax.conv_general_dilated(
        x, kernel, strides, place.pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def arrays(place: Place, i: int, o: int, dtype: DTypeLike) -> Arrays:
    rng = np.random.default_rng(0)
    shapes = (3, *place.image, i), (*place.taps, i, o), (3, *place.result, o)
    x, kernel, result = (jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes)
    return x, kernel, result


def both(place: Place, i: int, o: int, dtype: DTypeLike) -> tuple[Arrays, Arrays]:
    """(ours, theirs): the result, the image and the kernel, each made of the other two."""

    def found(x: jax.Array, kernel: jax.Array, result: jax.Array) -> tuple[Arrays, Arrays]:
        theirs, gradients = jax.vjp(lambda x, kernel: plain(x, kernel, place), x, kernel)
        ours = (
            winograd.to_result(x, kernel, place),
            winograd.to_image(result, kernel, place),
            winograd.to_kernel(x, result, place),
        )
        return ours, (theirs, *gradients(result))

    # Unoptimised code: it runs once, and takes far longer to compile than to run.
    quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(found, compiler_options=quick)(*arrays(place, i, o, dtype))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    result=st.tuples(st.sampled_from([2, 4, 6, 8]), st.sampled_from([2, 4, 6, 8])),
    taps=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    stride=st.integers(1, 3),
    low=st.integers(0, 2),
    cut=st.integers(0, 2),
)
def test_equal_to_the_plain_form(
    result: tuple[int, int], taps: tuple[int, int], stride: int, low: int, cut: int
) -> None:
    image = tuple(
        stride * (places - 1) + size - low - cut for places, size in zip(result, taps, strict=True)
    )
    assume(min(image) > 0)
    place = Place(image, taps, result, stride, (low, low))
    assume(min(taps) > stride)
    with jax.enable_x64(True):
        for ours, theirs in zip(*both(place, 3, 2, jnp.float64), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "stride"), [(3, 1), (5, 1), (4, 2), (5, 2)], ids=["3", "5", "4 by 2", "5 by 2"]
)
def test_round_off_in_float32_stays_small(size: int, stride: int) -> None:
    side = 8 * stride
    low = (size - stride) // 2
    place = Place((side, side), (size, size), (8, 8), stride, (low, low))
    ours, _ = both(place, 64, 64, jnp.float32)
    inputs = arrays(place, 64, 64, jnp.float32)
    with jax.enable_x64(True):
        x, kernel, result = (each.astype(jnp.float64) for each in inputs)
        theirs, gradients = jax.vjp(lambda x, kernel: plain(x, kernel, place), x, kernel)
        for mine, exact in zip(ours, (theirs, *gradients(result)), strict=True):
            assert float(abs(mine - exact).max() / abs(exact).max()) < 1e-5


def test_minimal_filtering_by_hand() -> None:
    """F(2, 3), from Lavin and Gray's equation 5: four products for two places of three taps."""
    d, g = np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 5.0, 7.0])
    m1 = (d[0] - d[2]) * g[0]
    m2 = (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2
    m3 = (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2
    m4 = (d[1] - d[3]) * g[2]
    maps = winograd._maps(winograd.Axis(length=4, stride=1, low=0, size=3, places=2, count=1))
    products = (maps.pixels @ d) * (maps.taps @ g)
    assert len(products) == 4
    np.testing.assert_allclose(products @ maps.places, [m1 + m2 + m3, m2 - m3 - m4])
    np.testing.assert_allclose(products @ maps.places, [3 + 10 + 28, 6 + 20 + 56])


def test_where_it_pays() -> None:
    def place(side: int, taps: int, stride: int = 1) -> Place:
        return Place((side * stride,) * 2, (taps, taps), (side, side), stride, (1, 1))

    float32 = jnp.dtype(jnp.float32)
    assert winograd.pays((3, 3, 64, 64), place(8, 3), float32)
    assert winograd.pays((4, 4, 64, 128), place(16, 4, 2), float32)
    assert not winograd.pays((3, 3, 3, 2048), place(8, 3), float32)  # too few channels
    assert not winograd.pays((3, 3, 64, 64), place(4, 3), float32)  # too little work
    assert not winograd.pays((1, 1, 512, 512), place(8, 1), float32)  # nothing to win
    assert not winograd.pays((7, 7, 64, 64), place(8, 7), float32)  # too many points
    assert not winograd.pays((3, 3, 128, 64), place(7, 3), float32)  # no whole tiles
    assert not winograd.pays((3, 3, 64, 64), place(8, 3), jnp.dtype(jnp.bfloat16))


@pytest.mark.parametrize("form", ["to_result", "to_image", "to_kernel"])
def test_what_the_rows_make_is_kept(form: str) -> None:
    """A call each for both given arrays and for the third: nothing made again for each point."""
    place = Place((8, 8), (3, 3), (8, 8), 1, (1, 1))
    x, kernel, result = arrays(place, 4, 4, jnp.float32)
    given = {"to_result": (x, kernel), "to_image": (result, kernel), "to_kernel": (x, result)}
    program = jax.jit(getattr(winograd, form), static_argnums=2).lower(*given[form], place)
    assert program.compile().as_text().count(" call(") == 3


def test_lines_that_are_alike_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not 30 lines of two phases, but rows and columns of three maps, and rows of a transpose."""
    traced = []
    sums = winograd._sums

    def counted(*given: Any) -> list[jax.Array]:
        traced.append(0)
        return sums(*given)

    monkeypatch.setattr(winograd, "_sums", counted)
    place = Place((16, 16), (4, 4), (8, 8), 2, (1, 1))
    x, kernel, _ = arrays(place, 5, 7, jnp.float32)  # shapes that no other test has
    jax.eval_shape(lambda x, kernel: winograd.to_result(x, kernel, place), x, kernel)
    assert len(traced) == 7
