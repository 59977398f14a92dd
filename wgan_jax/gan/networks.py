"""Critic and generator: the guide's networks and the paper's DCGAN, both by their settings.

The only room of the game that imports `flax.linen`; everything else sees `apply(variables, x)`.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from wgan_jax.config import CriticSettings, GeneratorSettings
from wgan_jax.gan.conv import conv2d, conv_transpose2d, upconv2d


class Conv(nn.Module):
    """A convolution with an optional bias; `form` is a function of `gan.conv`.

    [n, h, w, i] -> [n, h', w', features]
    """

    features: int
    kernel: int
    init_std: float
    form: Callable[[Array, Array], Array]
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        y = self.form(x, self.param("kernel", nn.initializers.normal(self.init_std), shape))
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.reshape(1, 1, 1, -1)
        return y


def _activation(name: str, leak: float) -> Callable[[Array], Array]:
    return nn.relu if name == "relu" else lambda x: nn.leaky_relu(x, leak)


def _halving(stride: int) -> Callable[[Array, Array], Array]:
    return lambda x, kernel: conv2d(x, kernel, stride)


class Critic(nn.Module):
    """Images [n, h, w, c] in [-1, 1] -> scores [n], unbounded."""

    settings: CriticSettings

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        s = self.settings
        activate = _activation(s.activation, s.leak)
        x = images
        for layer, (features, stride) in enumerate(zip(s.filters, s.strides, strict=True)):
            x = Conv(features, s.kernel, s.init_std, _halving(stride), s.bias)(x)
            # No norm behind the first layer, as in DCGAN: it would hide the images' own scale.
            if layer and s.normalization == "layer":
                x = nn.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=-1)(x)
            elif layer and s.normalization == "batch":
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = activate(x)
            x = nn.Dropout(s.dropout, deterministic=not train)(x)
        x = x.reshape(len(x), -1)
        return nn.Dense(1, kernel_init=nn.initializers.normal(s.init_std))(x)[:, 0]


class Generator(nn.Module):
    """Latents [n, d] -> images [n, size, size, channels] in [-1, 1]."""

    settings: GeneratorSettings
    image_size: int
    channels: int

    @nn.compact
    def __call__(self, latents: Array, *, train: bool) -> Array:
        s = self.settings
        activate = _activation(s.activation, s.leak)
        double = upconv2d if s.upsampling == "nearest" else conv_transpose2d

        def normalize(x: Array) -> Array:
            if s.normalization == "none":
                return x
            norm = nn.BatchNorm(use_running_average=not train, momentum=s.norm_momentum)
            return jnp.asarray(norm(x))

        side = self.image_size >> (len(s.filters) + s.double_output)
        dense = nn.Dense(
            side * side * s.base_filters, kernel_init=nn.initializers.normal(s.init_std)
        )
        x = dense(latents).reshape(len(latents), side, side, s.base_filters)
        x = activate(normalize(x))
        for features in s.filters:
            x = Conv(features, s.kernel, s.init_std, double, s.bias)(x)
            x = activate(normalize(x))
        last = double if s.double_output else conv2d
        return jnp.tanh(Conv(self.channels, s.kernel, s.init_std, last)(x))
