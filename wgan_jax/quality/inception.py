"""InceptionV3 as the Inception Score and FID use it: the 2015-12-05 graph, inference only.

Sources: Szegedy et al. 2016 for the network; the TensorFlow graph `inception-2015-12-05` and its
ports in pytorch-fid and torch-fidelity for what differs from the paper: average pools count no
padding, the pool branch of the last block is a max pool, the classifier has 1008 outputs.

Each batch norm is folded into its convolution when the weights are read, so that the graph is
convolutions, pools and one matrix product. The convolutions are plain ones: they need no gradients,
and Winograd's form (`gan.winograd`) is slower for all but a few of them (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import NDArray

SIZE = 299
CLASSES = 1008
BATCH_NORM_EPSILON = 1e-3
TAPS = ("64", "192", "768", "2048", "logits", "logits_unbiased")

Conv = Callable[..., jax.Array]
Params = dict[str, Any]

_max_pool = partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))
_max_pool_same = partial(nn.max_pool, window_shape=(3, 3), padding="SAME")

# What torch's state dicts hold beside the graph: counters, and a head used in training only.
IGNORED = (".num_batches_tracked", "AuxLogits.")


class InceptionV3(nn.Module):
    """Features and logits of images.

    Attributes:
      dtype: of the arithmetic; outputs are float32 whatever it is.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """The taps of a batch.

        Args:
          x: [n, 299, 299, 3], about [-1, 1]; see `preprocess`.

        Returns:
          float32 arrays: "64", "192", "768", "2048" are [n, that many] spatial averages, "logits"
          and "logits_unbiased" (without the last bias) are [n, 1008].
        """
        conv = partial(_conv, self.dtype)
        x, taps = _stem(x.astype(self.dtype), conv)
        for name, pool_features in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = _block_35(x, conv, name, pool_features)
        x = _shrink_35(x, conv, "Mixed_6a")
        for name, width in (
            ("Mixed_6b", 128),
            ("Mixed_6c", 160),
            ("Mixed_6d", 160),
            ("Mixed_6e", 192),
        ):
            x = _block_17(x, conv, name, width)
        taps["768"] = _spatial_mean(x)
        x = _shrink_17(x, conv, "Mixed_7a")
        x = _block_8(x, conv, "Mixed_7b", _average_pool)
        x = _block_8(x, conv, "Mixed_7c", _max_pool_same)
        taps["2048"] = _spatial_mean(x)
        head = nn.Dense(CLASSES, use_bias=False, precision=jax.lax.Precision.HIGHEST, name="fc")
        taps["logits_unbiased"] = head(taps["2048"])
        bias = self.param("fc.bias", nn.initializers.zeros, (CLASSES,))
        taps["logits"] = taps["logits_unbiased"] + bias
        return taps


def _conv(
    dtype: DTypeLike,
    x: jax.Array,
    name: str,
    features: int,
    kernel: tuple[int, int] = (1, 1),
    stride: int = 1,
    padding: str = "SAME",
) -> jax.Array:
    """A convolution, its norm folded in, and its ReLU."""
    layer = nn.Conv(
        features,
        kernel,
        stride,
        padding,
        dtype=dtype,
        precision=jax.lax.Precision.HIGHEST,
        name=name,
    )
    return nn.relu(layer(x))


def _stem(x: jax.Array, conv: Conv) -> tuple[jax.Array, dict[str, jax.Array]]:
    """299 x 299 pixels to 35 x 35 of 192 channels, and the first two taps."""
    x = conv(x, "Conv2d_1a_3x3", 32, (3, 3), 2, "VALID")
    x = conv(x, "Conv2d_2a_3x3", 32, (3, 3), 1, "VALID")
    x = conv(x, "Conv2d_2b_3x3", 64, (3, 3))
    x = first = _max_pool(x)
    x = conv(x, "Conv2d_3b_1x1", 80)
    x = conv(x, "Conv2d_4a_3x3", 192, (3, 3), 1, "VALID")
    x = second = _max_pool(x)
    return x, {"64": _spatial_mean(first), "192": _spatial_mean(second)}


def _block_35(x: jax.Array, conv: Conv, name: str, pool_features: int) -> jax.Array:
    """A block at 35 x 35: 1x1, 5x5, double 3x3 and pooled branches, side by side."""
    five = conv(x, f"{name}.branch5x5_1", 48)
    three = conv(x, f"{name}.branch3x3dbl_1", 64)
    three = conv(three, f"{name}.branch3x3dbl_2", 96, (3, 3))
    branches = [
        conv(x, f"{name}.branch1x1", 64),
        conv(five, f"{name}.branch5x5_2", 64, (5, 5)),
        conv(three, f"{name}.branch3x3dbl_3", 96, (3, 3)),
        conv(_average_pool(x), f"{name}.branch_pool", pool_features),
    ]
    return jnp.concatenate(branches, axis=-1)


def _shrink_35(x: jax.Array, conv: Conv, name: str) -> jax.Array:
    """35 x 35 to 17 x 17."""
    three = conv(x, f"{name}.branch3x3dbl_1", 64)
    three = conv(three, f"{name}.branch3x3dbl_2", 96, (3, 3))
    branches = [
        conv(x, f"{name}.branch3x3", 384, (3, 3), 2, "VALID"),
        conv(three, f"{name}.branch3x3dbl_3", 96, (3, 3), 2, "VALID"),
        _max_pool(x),
    ]
    return jnp.concatenate(branches, axis=-1)


def _block_17(x: jax.Array, conv: Conv, name: str, width: int) -> jax.Array:
    """A block at 17 x 17, its 7x7 kernels factored into rows and columns."""
    once = conv(x, f"{name}.branch7x7_1", width)
    once = conv(once, f"{name}.branch7x7_2", width, (1, 7))
    twice = conv(x, f"{name}.branch7x7dbl_1", width)
    twice = conv(twice, f"{name}.branch7x7dbl_2", width, (7, 1))
    twice = conv(twice, f"{name}.branch7x7dbl_3", width, (1, 7))
    twice = conv(twice, f"{name}.branch7x7dbl_4", width, (7, 1))
    branches = [
        conv(x, f"{name}.branch1x1", 192),
        conv(once, f"{name}.branch7x7_3", 192, (7, 1)),
        conv(twice, f"{name}.branch7x7dbl_5", 192, (1, 7)),
        conv(_average_pool(x), f"{name}.branch_pool", 192),
    ]
    return jnp.concatenate(branches, axis=-1)


def _shrink_17(x: jax.Array, conv: Conv, name: str) -> jax.Array:
    """17 x 17 to 8 x 8."""
    three = conv(x, f"{name}.branch3x3_1", 192)
    seven = conv(x, f"{name}.branch7x7x3_1", 192)
    seven = conv(seven, f"{name}.branch7x7x3_2", 192, (1, 7))
    seven = conv(seven, f"{name}.branch7x7x3_3", 192, (7, 1))
    branches = [
        conv(three, f"{name}.branch3x3_2", 320, (3, 3), 2, "VALID"),
        conv(seven, f"{name}.branch7x7x3_4", 192, (3, 3), 2, "VALID"),
        _max_pool(x),
    ]
    return jnp.concatenate(branches, axis=-1)


def _block_8(
    x: jax.Array, conv: Conv, name: str, pool: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    """A block at 8 x 8, its last kernels side by side rather than one after the other."""
    three = conv(x, f"{name}.branch3x3_1", 384)
    double = conv(x, f"{name}.branch3x3dbl_1", 448)
    double = conv(double, f"{name}.branch3x3dbl_2", 384, (3, 3))
    branches = [
        conv(x, f"{name}.branch1x1", 320),
        conv(three, f"{name}.branch3x3_2a", 384, (1, 3)),
        conv(three, f"{name}.branch3x3_2b", 384, (3, 1)),
        conv(double, f"{name}.branch3x3dbl_3a", 384, (1, 3)),
        conv(double, f"{name}.branch3x3dbl_3b", 384, (3, 1)),
        conv(pool(x), f"{name}.branch_pool", 192),
    ]
    return jnp.concatenate(branches, axis=-1)


def _average_pool(x: jax.Array) -> jax.Array:
    """3x3 means; at the border, of the pixels that there are."""
    total = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
    along = [np.r_[2, np.full(size - 2, 3), 2] for size in x.shape[1:3]]
    mean: jax.Array = total / np.outer(*along)[None, :, :, None].astype(x.dtype)
    return mean


def _spatial_mean(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float32).mean((1, 2))


def preprocess(images: jax.Array, resize: str) -> jax.Array:
    """Images as the network takes them.

    Args:
      images: [n, H, W, 1 or 3], 0..255, uint8; grey is repeated to RGB.
      resize: "tf1" or "pytorch", see `resize_matrix`.

    Returns:
      [n, 299, 299, 3] float32: (x - 128) / 128 for tf1, 2 x / 255 - 1 for pytorch.
    """
    _, height, width, channels = images.shape
    rows = jnp.asarray(resize_matrix(height, resize))
    columns = jnp.asarray(resize_matrix(width, resize))
    x = images.astype(jnp.float32)
    highest = jax.lax.Precision.HIGHEST
    x = jnp.einsum("yh,nhwc->nywc", rows, x, precision=highest)
    x = jnp.einsum("xw,nywc->nyxc", columns, x, precision=highest)
    if channels == 1:
        x = jnp.repeat(x, 3, axis=-1)
    return (x - 128) / 128 if resize == "tf1" else 2 * x / 255 - 1


@lru_cache(maxsize=16)
def resize_matrix(size: int, resize: str) -> NDArray[np.float32]:
    """Bilinear interpolation without antialiasing as a matrix [299, size].

    `tf1` is TensorFlow 1's `resize_bilinear` (align_corners false, no half-pixel centres), which
    the TTUR reference and torch-fidelity use: output i reads at i * size / 299. `pytorch` is
    `F.interpolate(..., align_corners=False)`, which pytorch-fid uses: it reads at
    (i + 1/2) * size / 299 - 1/2. Positions off the image read its edge.
    """
    out = np.arange(SIZE)
    place = out * size / SIZE if resize == "tf1" else (out + 0.5) * size / SIZE - 0.5
    place = np.clip(place, 0, size - 1)
    below = np.floor(place).astype(np.int64)
    share = place - below
    matrix = np.zeros((SIZE, size))
    matrix[out, below] += 1 - share
    matrix[out, np.minimum(below + 1, size - 1)] += share
    return matrix.astype(np.float32)


@lru_cache(maxsize=1)
def tensor_shapes() -> Mapping[str, tuple[int, ...]]:
    """Name and shape of every tensor of the graph, as in the state dict of the public port.

    Layouts are torch's: convolutions [out, in, height, width], `fc.weight` [1008, 2048].
    """
    image = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    variables = jax.eval_shape(InceptionV3().init, jax.random.key(0), image)
    shapes: dict[str, tuple[int, ...]] = {"fc.bias": (CLASSES,), "fc.weight": (CLASSES, 2048)}
    for name, layer in variables["params"].items():
        if not name.startswith("fc"):
            height, width, inputs, outputs = layer["kernel"].shape
            shapes[f"{name}.conv.weight"] = (outputs, inputs, height, width)
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{name}.bn.{part}"] = (outputs,)
    return shapes


def fold(tensors: Mapping[str, NDArray[Any]]) -> Params:
    """Flax parameters from tensors under torch's names, batch norms folded in (in float64).

    A convolution then has kernel w * g and bias b - m * g, where g = weight / sqrt(var + 1e-3).
    """
    params: Params = {
        "fc": {"kernel": np.asarray(tensors["fc.weight"], np.float32).T},
        "fc.bias": np.asarray(tensors["fc.bias"], np.float32),
    }
    for name in tensor_shapes():
        if name.endswith(".conv.weight"):
            layer = name.removesuffix(".conv.weight")
            norm = {
                part: np.asarray(tensors[f"{layer}.bn.{part}"], np.float64)
                for part in ("weight", "bias", "running_mean", "running_var")
            }
            gain = norm["weight"] / np.sqrt(norm["running_var"] + BATCH_NORM_EPSILON)
            kernel = np.asarray(tensors[name], np.float64).transpose(2, 3, 1, 0) * gain
            bias = norm["bias"] - norm["running_mean"] * gain
            params[layer] = {
                "kernel": kernel.astype(np.float32),
                "bias": bias.astype(np.float32),
            }
    return params
