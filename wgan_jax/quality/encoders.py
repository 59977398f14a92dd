"""What turns images into features and logits: a table of encoders, and their work in batches.

A third encoder is one entry in `ENCODERS`: a function from `Wanted` to an `Encoder`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from numpy.typing import NDArray

from wgan_jax import devices
from wgan_jax.backend import check_flags, compiler_options
from wgan_jax.errors import UserError, to_stderr
from wgan_jax.files import NOT_KEPT, cache_dir, if_writable, replace_bytes
from wgan_jax.keys import PUBLIC_WEIGHTS
from wgan_jax.quality import classifier, inception
from wgan_jax.quality.npz import digest_of, npz_bytes, read_npz
from wgan_jax.quality.statistics import Collector, Protocol, Statistics
from wgan_jax.quality.weights import load_weights

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Wanted:
    """Which encoder, and how.

    Attributes:
      name: a key of `ENCODERS`.
      weights: name of its weights; "" for its own default.
      resize: `tf1` or `pytorch` (Inception).
      dtype: `float32` or `bfloat16` (Inception).
      digits: gives labelled 8x8 digits, uint8 [n, 8, 8, 1] and int64 [n] (the digits encoder).
    """

    name: str
    weights: str = ""
    resize: str = "tf1"
    dtype: str = "float32"
    digits: Callable[[], Labelled] | None = None


@dataclass(frozen=True)
class Encoder:
    """A network that describes images.

    Attributes:
      protocol: what its numbers carry.
      dim: length of a feature vector.
      classes: number of logits.
      params: its weights, arrays.
      apply: pure (params, images uint8 [n, H, W, 1 or 3]) -> features [n, dim] and logits
        [n, classes], float32.
      class_names: one per logit; empty where the classes have no names here.
    """

    protocol: Protocol
    dim: int
    classes: int
    params: Any
    apply: Callable[[Any, Array], tuple[Array, Array]]
    class_names: tuple[str, ...] = ()


def build(wanted: Wanted) -> Encoder:
    """The encoder that is wanted, its weights on the device.

    Raises:
      UserError: no such encoder; its weights are absent (`weights.WeightsAbsent`) or damaged;
        jax's flags would make other numbers (`backend.check_flags`).
    """
    check_flags()
    if wanted.name not in ENCODERS:
        raise UserError(f"encoder {wanted.name!r} is not one of {', '.join(ENCODERS)}.")
    return ENCODERS[wanted.name](wanted)


def _inception(wanted: Wanted) -> Encoder:
    weights = load_weights(wanted.weights or PUBLIC_WEIGHTS)
    protocol = Protocol("inception", weights.name, weights.digest, wanted.resize, wanted.dtype)
    return inception_encoder(protocol, weights.tensors)


def inception_encoder(protocol: Protocol, tensors: Mapping[str, NDArray[np.float32]]) -> Encoder:
    """InceptionV3 with weights by torch's names; the protocol says how it is given images."""
    network = inception.InceptionV3(jnp.dtype(protocol.dtype))

    def apply(params: Any, images: Array) -> tuple[Array, Array]:
        x = inception.preprocess(images, protocol.resize)
        taps: Any = network.apply({"params": params}, x)
        return taps["2048"], taps["logits_unbiased"]

    return Encoder(
        protocol=protocol,
        dim=2048,
        classes=inception.CLASSES,
        params=jax.tree.map(jnp.asarray, inception.fold(tensors)),
        apply=apply,
    )


def _digits(wanted: Wanted) -> Encoder:
    if wanted.dtype != "float32":
        raise UserError(f"--dtype {wanted.dtype} is for Inception: the digits encoder is float32.")
    weights = _digits_weights(wanted)
    return Encoder(
        protocol=Protocol("digits", f"v{classifier.VERSION}", digest_of(weights), "area"),
        dim=classifier.WIDTHS[-2],
        classes=classifier.CLASSES,
        params=jax.tree.map(jnp.asarray, weights),
        apply=classifier.apply,
        class_names=tuple(str(digit) for digit in range(classifier.CLASSES)),
    )


def _digits_weights(wanted: Wanted) -> dict[str, NDArray[np.float32]]:
    """The classifier's weights, trained at first use and kept where they can be."""
    path = cache_dir() / "encoders" / f"digits-v{classifier.VERSION}.npz"
    if os.path.exists(path):  # `path.exists` raises where the folder may not be looked into
        kept: dict[str, NDArray[Any]] = {}
        with contextlib.suppress(UserError):
            kept = read_npz(path)
        if kept and all(array.dtype == np.float32 for array in kept.values()):
            return kept
        to_stderr(f"{path} is damaged: training the digits encoder again.")
    if wanted.digits is None:
        raise UserError("The digits encoder is not trained yet, and no digits were given.")
    trained = classifier.train(*wanted.digits())
    with if_writable(to_stderr, f"the digits encoder is {NOT_KEPT}"):
        replace_bytes(path, npz_bytes(trained.weights))
    return trained.weights


ENCODERS: dict[str, Callable[[Wanted], Encoder]] = {"inception": _inception, "digits": _digits}


class Encoding:
    """An encoder at work: batches padded to one size, sharded over the devices there are.

    Every batch runs as the same program on the same number of rows, so that the features of an
    image depend neither on its place nor on its neighbours.
    """

    def __init__(self, encoder: Encoder, batch_size: int, mesh: Mesh | None = None) -> None:
        mesh = mesh or devices.mesh()
        self.encoder = encoder
        self.batch_size = -(-batch_size // mesh.size) * mesh.size
        self.by_batch, self.everywhere = devices.by_batch(mesh), devices.everywhere(mesh)
        self.params = devices.put(encoder.params, self.everywhere)
        self._encode = jax.jit(
            encoder.apply, out_shardings=self.everywhere, compiler_options=compiler_options()
        )

    def __call__(self, images: NDArray[np.uint8]) -> Batch:
        """Features and logits of images uint8 [n, H, W, C], n at most `batch_size`."""
        n = len(images)
        padding = np.zeros((self.batch_size - n, *images.shape[1:]), np.uint8)
        full = devices.put(np.concatenate([images, padding]), self.by_batch)
        features, logits = self._encode(self.params, full)
        return np.asarray(features)[:n], np.asarray(logits)[:n]

    def collect(self, batches: Iterable[NDArray[np.uint8]], n: int, source: str) -> Statistics:
        """Statistics of `n` images that come in batches of any size, in order."""
        protocol, dim, classes = self.encoder.protocol, self.encoder.dim, self.encoder.classes
        collector = Collector(protocol, source, n, dim, classes)
        for images in batches:
            for start in range(0, len(images), self.batch_size):
                collector.add(*self(images[start : start + self.batch_size]))
        return collector.statistics()
