"""How a convolution's kernel is laid over an image.

Taps are the kernel's elements, along each axis; places are where the kernel is laid, one for each
pixel of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """How a kernel is laid over an image; all but the stride along height and along width.

    Attributes:
      image: size of the image in pixels.
      taps: size of the kernel.
      result: how many places the kernel has.
      stride: pixels from one place to the next.
      low: zeros before the first pixel.
    """

    image: tuple[int, ...]
    taps: tuple[int, ...]
    result: tuple[int, ...]
    stride: int
    low: tuple[int, ...]

    @property
    def is_small(self) -> bool:
        """Whether the kernel has more taps than places."""
        return math.prod(self.taps) > math.prod(self.result)

    @property
    def exceeds_image(self) -> bool:
        """Whether the kernel has more taps than the image has pixels."""
        return math.prod(self.taps) > math.prod(self.image)

    @property
    def pads(self) -> list[tuple[int, int]]:
        """Zeros before the first pixel and after the last."""
        lines = zip(self.image, self.taps, self.result, self.low, strict=True)
        return [
            (low, self.stride * (places - 1) + taps - length - low)
            for length, taps, places, low in lines
        ]
