"""How close a round is to the hardware: its arithmetic, counted, over what the device can do.

The arithmetic is counted by hand for the plain form of every product (dense layers, convolutions;
each reads two arrays and writes one), and by XLA for the form that runs.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.growth import played
from benchmarks.rounds import CONTESTS, settings_of
from wgan_jax.backend import compiler_options
from wgan_jax.gan.networks import DTYPES, full_precision
from wgan_jax.gan.state import new_game, root_key
from wgan_jax.preview import updates
from wgan_jax.settings import GeneratorSettings, Settings

MATRIX = {"cpu": 4096, "gpu": 8192}  # side of the product that shows the peak
COPIED = {"cpu": 2**26, "gpu": 2**29}  # values of the array that shows the bandwidth


@dataclass(frozen=True)
class Layer:
    """One product of a network: values of its input and result per image, and of its kernel."""

    input: int
    result: int
    kernel: int
    multiplications: int  # per image


@dataclass(frozen=True)
class Work:
    """What a round costs: operations (two for each multiplication), and bytes moved."""

    operations: float
    bytes: float

    def seconds(self, peaks: dict[str, float]) -> float:
        """The least time on a device of these peaks: by operations or by bytes."""
        return max(self.operations / peaks["operations"], self.bytes / peaks["bytes"])


def measure(torch: str) -> dict[str, Any]:
    """What this device can do in float32, and what the round of every contest makes of that."""
    del torch
    device = peaks("float32")
    rows = {f"{name} {batch}": shares(name, batch, device) for name, batch, *_ in CONTESTS}
    return {"precision": "float32", "peaks": device, "rounds": rows}


def shares(name: str, batch: int, device: dict[str, float]) -> dict[str, float]:
    """Seconds of a round, and those that its arithmetic takes at the device's peak."""
    settings = dataclasses.replace(settings_of(name), batch_size=batch, precision="float32")
    work, counted = by_hand(settings, 3), by_xla(settings, 3)
    return {
        "seconds": played(settings, 3, 2 * batch)["seconds"],
        "operations": work.operations,
        "bytes": work.bytes,
        "operations_xla": counted.operations,
        "bytes_xla": counted.bytes,
        "bound": work.seconds(device),
    }


def by_hand(settings: Settings, channels: int) -> Work:
    """Products of the plain form, each with its two operands and its result moved once."""
    size = jnp.dtype(DTYPES[settings.precision]).itemsize
    total = Work(0.0, 0.0)
    for layer, images in _products(settings, channels):
        moved = images * (layer.input + layer.result) + layer.kernel
        operations = 2.0 * images * layer.multiplications
        total = Work(total.operations + operations, total.bytes + size * moved)
    return total


def by_xla(settings: Settings, channels: int) -> Work:
    """XLA's count for the compiled updates; of a loop it would count one pass."""
    game, key = new_game(settings, channels), root_key(0)
    total = Work(0.0, 0.0)
    for times, update in updates(game, jax.eval_shape(game.new_state, key), key):
        cost: Any = update.compile({**compiler_options()}).cost_analysis()
        operations, moved = times * cost["flops"], times * cost["bytes accessed"]
        total = Work(total.operations + operations, total.bytes + moved)
    return total


def _products(settings: Settings, channels: int) -> Iterator[tuple[Layer, int]]:
    """Every product of a round, and the images it is of.

    Forward, a layer is one product; so is the gradient of its kernel, and that of its input. The
    last is not wanted of the first layer, where its input is an image or a latent.
    """
    critic, generator = critic_layers(settings, channels), generator_layers(settings, channels)
    n = settings.batch_size
    update = [(generator, n), (critic, 2 * n), (critic, 2 * n), (critic[1:], 2 * n)]
    if settings.objective == "wgan_gp":
        # A gradient of the input, by it those of kernels and of its own input, and where a norm
        # makes the gradient depend on what went forward, those of the way forward too.
        update += [(critic, n)] * 4
        if settings.critic.normalization != "none":
            update += [(critic, n), (critic[1:], n)]
    for _ in range(settings.n_critic):
        yield from ((layer, images) for layers, images in update for layer in layers)
    n *= settings.generator_batches
    update = [(generator, n), (generator, n), (generator[1:], n), (critic, n), (critic, n)]
    yield from ((layer, images) for layers, images in update for layer in layers)


def critic_layers(settings: Settings, channels: int) -> list[Layer]:
    """From the image to the score. In a residual block, means are taken of whole results."""
    s, side, depth, found = settings.critic, settings.image_size, channels, list[Layer]()
    for features, stride, kernel in zip(s.filters, s.strides, s.kernel_sizes, strict=True):
        after = -(-side // stride)
        if s.blocks == "plain":
            across = (side, after, stride)
            found.append(_convolution(kernel, (side, depth), (after, features), across))
        else:
            found += [_same(kernel, side, depth, features), _same(kernel, side, features, features)]
            if stride > 1 or depth != features:
                found.append(_same(1, after, depth, features))
        side, depth = after, features
    return [*found, _dense(side * side * depth if s.pooling == "none" else depth, 1)]


def generator_layers(settings: Settings, channels: int) -> list[Layer]:
    """From the latent to the image."""
    s = settings.generator
    side, depth = settings.image_size >> (len(s.filters) + s.double_output), s.base_filters
    found = [_dense(settings.latent_dim, side * side * depth)]
    for features in s.filters:
        found.append(_doubling(s, s.kernel, (side, depth), features))
        if s.blocks == "residual":
            found += [
                _same(s.kernel, 2 * side, features, features),
                _same(1, side, depth, features),
            ]
        side, depth = 2 * side, features
    last = s.output_kernel or s.kernel
    if s.double_output:
        return [*found, _doubling(s, last, (side, depth), channels)]
    return [*found, _same(last, side, depth, channels)]


def _doubling(s: GeneratorSettings, kernel: int, before: tuple[int, int], features: int) -> Layer:
    """Nearest upsampling is followed by a convolution of the large image; a transposed convolution
    has the pairs of the strided one that it is the transpose of.
    """
    small, large = before[0], 2 * before[0]
    across = (large, large, 1) if s.upsampling == "nearest" else (large, small, 2)
    return _convolution(kernel, before, (large, features), across)


def _same(kernel: int, side: int, depth: int, features: int) -> Layer:
    """Of stride 1."""
    return _convolution(kernel, (side, depth), (side, features), (side, side, 1))


def _convolution(
    kernel: int, before: tuple[int, int], after: tuple[int, int], across: tuple[int, int, int]
) -> Layer:
    """Side and channels before and after; across: an axis of it, as `_pairs` takes it."""
    (side, depth), (places, features) = before, after
    pairs = _pairs(*across, kernel)
    return Layer(
        input=side * side * depth,
        result=places * places * features,
        kernel=kernel * kernel * depth * features,
        multiplications=pairs * pairs * depth * features,
    )


def _pairs(length: int, places: int, stride: int, kernel: int) -> int:
    """Along an axis, pairs of a place of the kernel and a tap of it that lies in the image."""
    low = max((places - 1) * stride + kernel - length, 0) // 2
    taps = (stride * place + tap - low for place in range(places) for tap in range(kernel))
    return sum(0 <= pixel < length for pixel in taps)


def _dense(before: int, after: int) -> Layer:
    return Layer(before, after, before * after, before * after)


def peaks(precision: str) -> dict[str, float]:
    """Operations a second of a large matrix product, and bytes a second of a copy; the best."""
    platform = jax.default_backend()
    side = MATRIX.get(platform, MATRIX["gpu"])
    long = COPIED.get(platform, COPIED["gpu"])
    matrix = jnp.ones((side, side), DTYPES[precision])
    array = jnp.ones(long, jnp.float32)

    @jax.jit
    def product(a: jax.Array) -> jax.Array:
        with full_precision(precision):
            return a @ a

    # In place: to be given fresh memory by the system takes longer than to fill it.
    moved = jax.jit(lambda a: a + 1, donate_argnums=0)
    product(matrix).block_until_ready()
    array = moved(array)
    operations, copies = list[float](), list[float]()
    for _ in range(5):
        clocks = [time.perf_counter()]
        product(matrix).block_until_ready()
        clocks.append(time.perf_counter())
        array = moved(array).block_until_ready()
        clocks.append(time.perf_counter())
        operations.append(2.0 * side**3 / (clocks[1] - clocks[0]))
        copies.append(8.0 * long / (clocks[2] - clocks[1]))
    return {"operations": max(operations), "bytes": max(copies)}
