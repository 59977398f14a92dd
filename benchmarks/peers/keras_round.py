"""A round of the training guide's algorithm as a Keras loop.

    python benchmarks/peers/keras_round.py --settings settings.json --batch_size 64

As such loops are written: images on the host, fakes by `predict`, `train_on_batch` on real and then
on fake images, weights clipped in numpy after every critic update. Needs keras with
TensorFlow. Knows what experiments/cifar_wgan.py has: nearest upsampling, no norm in the critic.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from serve import serve

Settings = dict[str, Any]


def init(s: Settings) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=s["init_std"])


def critic(s: Settings, shape: tuple[int, int, int]) -> keras.Model:
    model = keras.Sequential([keras.Input(shape)])
    for filters, stride in zip(s["filters"], s["strides"], strict=True):
        model.add(layers.Conv2D(filters, s["kernel"], stride, "same", kernel_initializer=init(s)))
        model.add(layers.LeakyReLU(s["leak"]))
    model.add(layers.Flatten())
    model.add(layers.Dense(1, kernel_initializer=init(s)))
    return model


def generator(settings: Settings, channels: int) -> keras.Model:
    s = settings["generator"]
    side = settings["image_size"] >> len(s["filters"])
    model = keras.Sequential([keras.Input((settings["latent_dim"],))])
    model.add(layers.Dense(side * side * s["base_filters"], kernel_initializer=init(s)))
    model.add(layers.Reshape((side, side, s["base_filters"])))
    for filters in (None, *s["filters"]):
        if filters:
            model.add(layers.UpSampling2D())
            model.add(
                layers.Conv2D(filters, s["kernel"], padding="same", kernel_initializer=init(s))
            )
        model.add(layers.BatchNormalization(momentum=s["norm_momentum"]))
        model.add(layers.LeakyReLU(s["leak"]))
    model.add(
        layers.Conv2D(
            channels, s["kernel"], padding="same", activation="tanh", kernel_initializer=init(s)
        )
    )
    return model


def wasserstein(signs: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Mean of sign times score; -1 for images to be scored high."""
    return keras.ops.mean(signs * scores)


def optimizer(s: Settings) -> keras.optimizers.Optimizer:
    return keras.optimizers.RMSprop(s["learning_rate"], rho=s["decay"], epsilon=s["eps"])


class Loop:
    """The loop's models and data."""

    def __init__(
        self, settings: Settings, batch_size: int, channels: int, predict_on_batch: bool
    ) -> None:
        self.settings, self.batch_size = settings, batch_size
        size = settings["image_size"]
        self.critic = critic(settings["critic"], (size, size, channels))
        self.critic.compile(optimizer(settings["critic_optimizer"]), wasserstein)
        self.generator = generator(settings, channels)
        latents = keras.Input((settings["latent_dim"],))
        self.both = keras.Model(latents, self.critic(self.generator(latents)))
        self.both.compile(optimizer(settings["generator_optimizer"]), wasserstein)
        self.random = np.random.default_rng(0)
        shape = (2 * batch_size, size, size, channels)
        self.images = self.random.uniform(-1, 1, shape).astype(np.float32)
        self.draw = lambda latents: self.generator.predict(latents, verbose=0)
        if predict_on_batch:
            self.draw = self.generator.predict_on_batch
        self.recent: list[float] = []
        self.critic.trainable = False  # what is trained is settled by the first call
        self.generator_step()
        self.critic.trainable = True

    def latents(self) -> np.ndarray:
        shape = (self.batch_size, self.settings["latent_dim"])
        return self.random.standard_normal(shape, np.float32)

    def critic_step(self) -> tuple[float, float]:
        signs = np.ones((self.batch_size, 1), np.float32)
        real = self.images[self.random.integers(0, len(self.images), self.batch_size)]
        fake = self.draw(self.latents())
        on_real = self.critic.train_on_batch(real, -signs)
        on_fake = self.critic.train_on_batch(fake, signs)
        clip = self.settings["clip"]
        for layer in self.critic.layers:
            layer.set_weights([np.clip(w, -clip, clip) for w in layer.get_weights()])
        return float(on_real), float(on_fake)

    def generator_step(self) -> None:
        self.both.train_on_batch(self.latents(), -np.ones((self.batch_size, 1), np.float32))

    def play(self, n: int) -> None:
        for _ in range(n):
            for _ in range(self.settings["n_critic"]):
                on_real, on_fake = self.critic_step()
            self.generator_step()
            self.recent = [*self.recent[-99:], 0.5 * (on_real + on_fake)]
            np.var(self.recent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings, JSON")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--predict_on_batch", action="store_true", help="the faster call")
    options = parser.parse_args()
    settings = json.loads(options.settings.read_text())
    loop = Loop(settings, options.batch_size, options.channels, options.predict_on_batch)
    parameters = {
        name: int(sum(np.prod(w.shape) for w in model.trainable_weights))
        for name, model in (("critic", loop.critic), ("generator", loop.generator))
    }
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
    serve(loop.play, {"versions": versions, "parameters": parameters})


if __name__ == "__main__":
    main()
