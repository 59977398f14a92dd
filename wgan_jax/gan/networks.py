"""Critic and generator: the guide's networks, the papers' DCGAN and ResNet, by their settings.

The only room of the game that imports `flax.linen`; everything else sees `apply(variables, x)`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from wgan_jax.gan.conv import conv2d, conv_transpose2d, downconv2d, upconv2d
from wgan_jax.gan.images import mean_pooled, pixels, upsampled
from wgan_jax.gan.sums import over_places, spread
from wgan_jax.settings import CriticSettings, GeneratorSettings

# What products are computed in. Weights, running averages and what a norm sums are float32 always.
DTYPES: dict[str, DTypeLike] = {
    "float32": jnp.float32,
    "tf32": jnp.float32,
    "bfloat16": jnp.bfloat16,
}
# A convolution of `gan.conv`: image, kernel, bias -> image; images may be in blocks.
Form = Callable[[Array, Array, Array | None], Array]
_EPSILON = 1e-5  # of a batch norm's variance, as in DCGAN


def full_precision(precision: str) -> contextlib.AbstractContextManager[None]:
    """For `float32`: all its digits, of which GPUs and TPUs by default multiply fewer."""
    full: contextlib.AbstractContextManager[None] = jax.default_matmul_precision("float32")
    return full if precision == "float32" else contextlib.nullcontext()


class Conv(nn.Module):
    """A convolution with an optional bias.

    [n, h, w, i] -> [n, h', w', features], in `dtype`.
    """

    features: int
    kernel: int
    kernel_init: nn.initializers.Initializer
    form: Form
    dtype: DTypeLike
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        bias = None
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return self.form(x.astype(self.dtype), kernel.astype(self.dtype), bias)


class BatchNorm(nn.Module):
    """Batch norm over batch and places (Ioffe and Szegedy 2015), [n, ..., c] -> the same.

    The variables and numbers of `flax.linen.BatchNorm`, by the sums of `gan.sums`. The running
    averages keep `momentum` of themselves at each update, and are used where not in training.
    """

    momentum: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        features = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, features, jnp.float32)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        mean, variance = running_mean.value, running_var.value
        x = x.astype(jnp.float32)
        if train:
            places = x.size // x.shape[-1]
            mean = over_places(x) / places
            variance = jnp.maximum(0.0, over_places(x * x) / places - mean**2)
            if not self.is_initializing():
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * variance
        factor = scale * jax.lax.rsqrt(variance + _EPSILON)
        y = (x - spread(mean, x.shape)) * spread(factor, x.shape) + spread(bias, x.shape)
        return y.astype(self.dtype)


class Residual(nn.Module):
    """Two convolutions, and beside them a shortcut of 1 x 1 (Gulrajani et al. 2017, appendix F).

    [n, h, w, i] -> [n, h', w', features]. Norm and activation come before a convolution.

    Attributes:
      ways: forms of both convolutions and of the shortcut; a shortcut of None is the input itself.
      ready: norm and activation.
      settings: of the network, for its bias and its first weights.
      first: whether the input is an image, which the first convolution takes as it is.
    """

    features: int
    kernel: int
    ways: tuple[Form, Form, Form | None]
    ready: Callable[[Array], Array]
    settings: CriticSettings | GeneratorSettings
    dtype: DTypeLike
    first: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        s, (one, two, shortcut) = self.settings, self.ways
        conv = partial(Conv, self.features, dtype=self.dtype, bias=s.bias)
        # An activation halves what goes through it: the weights make up for that (He et al. 2015).
        wide = _initializer(s, scale=2.0)
        y = conv(self.kernel, wide, one)(x if self.first else self.ready(x))
        y = conv(self.kernel, wide, two)(self.ready(y))
        if shortcut is not None:
            x = conv(1, _initializer(s), shortcut)(x)
        return pixels(x) + pixels(y)


def pooled(stats: Any) -> Any:
    """The statistics of batch norms over several batches [batches, ...], joined into one."""

    def together(norm: dict[str, Array]) -> dict[str, Array]:
        mean, variance = norm["mean"], norm["var"]
        return {"mean": mean.mean(0), "var": variance.mean(0) + mean.var(0)}

    return jax.tree.map(together, stats, is_leaf=lambda node: "mean" in node)


def _activation(s: CriticSettings | GeneratorSettings) -> Callable[[Array], Array]:
    return nn.relu if s.activation == "relu" else lambda x: leaky_relu(x, s.leak)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def leaky_relu(x: Array, leak: float) -> Array:
    """x where it is not negative, leak x elsewhere.

    As `flax.linen.leaky_relu`, but its gradient asks x again: it keeps no mask of the signs, which
    a GPU would write to memory and read.
    """
    return jnp.where(x >= 0, x, leak * x)


leaky_relu.defvjp(
    lambda x, leak: (leaky_relu(x, leak), x),
    lambda leak, x, grad: (jnp.where(x >= 0, grad, leak * grad),),
)


def _initializer(
    s: CriticSettings | GeneratorSettings, scale: float = 1.0
) -> nn.initializers.Initializer:
    """What kernels begin with; `scale` multiplies Glorot's variance (Glorot and Bengio 2010)."""
    if s.init == "normal":
        return nn.initializers.normal(s.init_std)
    return nn.initializers.variance_scaling(scale, "fan_avg", "uniform")


class Critic(nn.Module):
    """Images [n, h, w, c] in [-1, 1] -> scores [n], unbounded, float32."""

    settings: CriticSettings
    precision: str

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        with full_precision(self.precision):
            return self._scores(images, train)

    def _scores(self, images: Array, train: bool) -> Array:
        s, dtype = self.settings, DTYPES[self.precision]
        activate = _activation(s)

        def ready(x: Array) -> Array:
            if s.normalization == "layer":
                axes = tuple(range(1, x.ndim))
                x = nn.LayerNorm(reduction_axes=axes, feature_axes=-1, dtype=dtype)(x)
            elif s.normalization == "batch":
                x = BatchNorm(0.9, dtype)(x, train=train)
            return activate(x)

        def layer(x: Array, features: int, stride: int, kernel: int, *, first: bool) -> Array:
            # No norm behind the first convolution, as in DCGAN: it would hide the images' scale.
            after = activate if first else ready
            if s.blocks == "plain":
                form = partial(conv2d, stride=stride)
                return after(Conv(features, kernel, _initializer(s), form, dtype, s.bias)(x))
            kept = stride == 1 and x.shape[-1] == features
            ways = (conv2d, partial(downconv2d, stride=stride), None if kept else _pooling(stride))
            return Residual(features, kernel, ways, after, s, dtype, first)(x)

        x = images
        for i, sizes in enumerate(zip(s.filters, s.strides, s.kernel_sizes, strict=True)):
            x = layer(x, *sizes, first=not i)
            if s.dropout:  # in rows: the same pixels on every platform
                x = nn.Dropout(s.dropout, deterministic=not train)(pixels(x))
        if s.blocks == "residual":
            x = activate(x)
        # Scores may lie anywhere: 16 bits would lose what tells them apart.
        x = pixels(x).astype(jnp.float32)
        if s.pooling == "none":
            x = x.reshape(len(x), -1)
        else:
            x = x.mean((1, 2)) if s.pooling == "mean" else x.sum((1, 2))
        score = nn.Dense(1, s.score_bias, kernel_init=_initializer(s), dtype=jnp.float32)
        return score(x)[:, 0]


def _pooling(side: int) -> Form:
    """Means of blocks, then a 1 x 1 convolution, which gives the same before them."""
    return lambda x, kernel, bias: conv2d(mean_pooled(x, side), kernel, bias)


def _upsampling(x: Array, kernel: Array, bias: Array | None) -> Array:
    """A 1 x 1 convolution, then nearest upsampling; it gives the same after it."""
    return upsampled(conv2d(x, kernel, bias))


class Generator(nn.Module):
    """Latents [n, d] -> images [n, size, size, channels] in [-1, 1], float32."""

    settings: GeneratorSettings
    image_size: int
    channels: int
    precision: str

    @nn.compact
    def __call__(self, latents: Array, *, train: bool) -> Array:
        with full_precision(self.precision):
            return self._images(latents, train)

    def _images(self, latents: Array, train: bool) -> Array:
        s, dtype = self.settings, DTYPES[self.precision]
        activate = _activation(s)
        double = upconv2d if s.upsampling == "nearest" else conv_transpose2d

        def ready(x: Array) -> Array:
            if s.normalization == "batch":
                x = BatchNorm(s.norm_momentum, dtype)(x, train=train)
            return activate(x)

        side = self.image_size >> (len(s.filters) + s.double_output)
        init = _initializer(s)
        dense = nn.Dense(side * side * s.base_filters, kernel_init=init, dtype=dtype)
        x = dense(latents).reshape(len(latents), side, side, s.base_filters)
        for features in s.filters:
            if s.blocks == "plain":
                x = Conv(features, s.kernel, init, double, dtype, s.bias)(ready(x))
            else:
                ways = (double, conv2d, _upsampling)
                x = Residual(features, s.kernel, ways, ready, s, dtype)(x)
        last, kernel = double if s.double_output else conv2d, s.output_kernel or s.kernel
        images = pixels(Conv(self.channels, kernel, init, last, dtype)(ready(x)))
        return jnp.tanh(images.astype(jnp.float32))
