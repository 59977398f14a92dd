"""Statistics of the pixels themselves: how much samples differ, how bright they are."""

from __future__ import annotations

import numpy as np
from jax import Array
from numpy.typing import NDArray

from wgan_jax.quality.distances import Floats


def pixel_variance(images: NDArray[np.uint8]) -> float:
    """PixVar of images [n, H, W, C] in memory, on the scale of images in [-1, 1]."""
    return float(images.astype(np.float32).var(axis=0).mean()) / 127.5**2


class PixelMoments:
    """Mean and variance over images, for every pixel and channel, of batches of images.

    Images are in [-1, 1]. Keeps two images in float64, whatever the number that comes.
    """

    def __init__(self) -> None:
        self._n = 0
        self._mean: Floats = np.zeros(())
        self._squares: Floats = np.zeros(())

    def add(self, n: int, mean: NDArray[np.floating], squares: NDArray[np.floating]) -> None:
        """Take in n images by their moments [H, W, C], as `batch_moments` gives them."""
        if not n:
            return
        total = self._n + n
        delta = mean.astype(np.float64) - self._mean
        self._squares = self._squares + squares + delta**2 * (self._n * n / total)
        self._mean = self._mean + delta * (n / total)
        self._n = total

    def values(self) -> dict[str, float]:
        """PixVar, and the mean and spread of all pixels, in [-1, 1].

        PixVar is the population variance over the images of each pixel and channel, averaged: 0
        where all images are the same.
        """
        between = self._squares / max(self._n, 1)
        variance = float(between.mean())
        return {
            "pixel_variance": variance,
            "generated_image_mean": float(self._mean.mean()),
            "generated_image_std": float(np.sqrt(variance + self._mean.var())),
        }


def batch_moments(images: Array, inside: Array) -> tuple[Array, Array]:
    """Mean and sum of squared differences from it, [H, W, C], of the images that count.

    Args:
      images: [n, H, W, C], float32.
      inside: which of them count [n], bool; one at least.
    """
    weight = inside[:, None, None, None].astype(images.dtype)
    mean = (weight * images).sum(axis=0) / weight.sum()
    return mean, (weight * (images - mean) ** 2).sum(axis=0)
