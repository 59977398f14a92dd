"""Every pass over the data is a permutation of it, the same on device and host."""

from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.order import drawn

KEY = np.array([3, 141592653], np.uint32)


def one_pass(size: int, number: int = 0, key: np.ndarray = KEY) -> np.ndarray:
    return drawn(key, np.array([number], np.uint32), np.arange(size, dtype=np.uint32), size)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1797, 50_000])
def test_a_pass_draws_every_image_once(size: int) -> None:
    assert sorted(one_pass(size)) == list(range(size))


def test_device_and_host_agree() -> None:
    positions = np.arange(1000, dtype=np.uint32)
    passes = np.full(1000, 5, np.uint32)
    on_device = drawn(jnp.asarray(KEY), jnp.asarray(passes), jnp.asarray(positions), 1000)
    np.testing.assert_array_equal(on_device, drawn(KEY, passes, positions, 1000))


@pytest.mark.parametrize("numbers", [np, jnp])
def test_the_order_is_the_same_in_every_release(numbers: ModuleType) -> None:
    """By the shuffle's own definition, with Python's integers: else no run could be repeated."""
    key, passes = numbers.array([1, 2], np.uint32), numbers.array([3], np.uint32)
    found = drawn(key, passes, numbers.arange(8, dtype=np.uint32), 1797)
    assert found.tolist() == [1628, 377, 335, 222, 101, 947, 484, 1080]


def test_order_differs_between_passes_and_keys() -> None:
    first = one_pass(1000)
    for other in (one_pass(1000, number=1), one_pass(1000, key=KEY + np.uint32(1))):
        assert np.mean(first == other) < 0.02


def test_a_batch_may_straddle_two_passes() -> None:
    passes, positions = np.array([0, 0, 1], np.uint32), np.array([8, 9, 0], np.uint32)
    expected = [one_pass(10)[8], one_pass(10)[9], one_pass(10, 1)[0]]
    assert drawn(KEY, passes, positions, 10).tolist() == expected


def test_places_are_uniform() -> None:
    """Chi-square of where image 0 ends up over many passes: 50 cells, 20,000 passes."""
    passes = np.arange(20_000, dtype=np.uint32)
    hits = drawn(KEY, passes, np.zeros_like(passes), 50)
    counts = np.bincount(hits, minlength=50)
    chi_square = ((counts - 400) ** 2 / 400).sum()
    assert chi_square < 95  # 99.99 % of uniform draws stay below (49 degrees of freedom)


def test_neighbours_are_unrelated() -> None:
    """Images drawn one after another are no nearer in the dataset than chance has it."""
    order = one_pass(20_000).astype(float)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("size", [0, 2**31])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ValueError, match="must be from 1"):
        drawn(KEY, np.zeros(1, np.uint32), np.zeros(1, np.uint32), size)
