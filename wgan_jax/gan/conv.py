"""Convolutions in the form that the platform runs fast: equal values, equal gradients.

XLA's CPU backend hands a convolution to its fast library only in the canonical form (NHWC x HWIO,
no dilation, no reversal); the ones that autodiff writes for the gradients are not, and inside a
device loop they run 10 to 100 times slower. So on the CPU each convolution here is a stride-1
canonical one, or is rewritten into one, and its gradients are convolutions of the same kind: of
every order, since they call the same function. Elsewhere they are plain convolutions.

All arrays: images [batch, height, width, channels], kernels [k, k, in, out], padding "SAME".
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

Pads = tuple[tuple[int, int], tuple[int, int]]
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv2d(x: Array, kernel: Array, stride: int = 1, *, canonical: bool | None = None) -> Array:
    """SAME convolution [n, h, w, i] -> [n, ceil(h / stride), ceil(w / stride), o].

    `canonical` chooses the form; by default the one for the platform.
    """
    size = kernel.shape[0]
    pads = _same_pads(x, size, stride)
    if not _canonical(canonical) or stride > 2:
        return lax.conv_general_dilated(x, kernel, (stride, stride), pads, None, None, _LAYOUT)
    if stride == 2:
        return _halving_conv(x, kernel, pads)
    if size**2 > x.shape[1] * x.shape[2]:
        return _dense_conv(x, kernel, pads)
    return _conv(x, kernel, pads)


def upconv2d(x: Array, kernel: Array, *, canonical: bool | None = None) -> Array:
    """Nearest 2x upsampling, then SAME convolution: [n, h, w, i] -> [n, 2h, 2w, o].

    Each 2x2 block of the result sees few distinct pixels, so that a small convolution to 4 o
    channels, and depth-to-space, give the same with 2.7 times fewer operations (k = 5).
    """
    if not _canonical(canonical):
        doubled = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        return conv2d(doubled, kernel, canonical=False)
    folds, low = _upsampling_folds(kernel.shape[0])  # [2, taps, k]
    taps = folds.shape[1]
    fold = jnp.asarray(folds, kernel.dtype)
    phases = jnp.einsum("adk,bel,klio->deiabo", fold, fold, kernel)
    phases = phases.reshape(taps, taps, kernel.shape[2], -1)
    pad = (low, taps - 1 - low)
    return _depth_to_space(_stride_one(x, phases, (pad, pad)))


def conv_transpose2d(x: Array, kernel: Array, *, canonical: bool | None = None) -> Array:
    """Transpose of the SAME stride-2 convolution: [n, h, w, i] -> [n, 2h, 2w, o].

    out[2y + a - low] += x[y] kernel[a], as PyTorch's ConvTranspose2d(k, 2, padding=low).
    """
    size = kernel.shape[0]
    low = max(size - 2, 0) // 2
    height, width = 2 * x.shape[1], 2 * x.shape[2]
    if not _canonical(canonical):
        flipped = kernel[::-1, ::-1]
        pad = (size - 1 - low, size - 1 - (max(size - 2, 0) - low))
        return lax.conv_general_dilated(x, flipped, (1, 1), (pad, pad), (2, 2), None, _LAYOUT)
    half = (size + 1) // 2
    phases = _halve_kernel(kernel)  # [half, half, 2, 2, i, o]
    phases = phases[::-1, ::-1].transpose(0, 1, 4, 2, 3, 5)
    phases = phases.reshape(half, half, kernel.shape[2], -1)
    pad = (half - 1, half - 1)
    out = _depth_to_space(_stride_one(x, phases, (pad, pad)))
    return out[:, low : low + height, low : low + width]


def _canonical(choice: bool | None) -> bool:
    return jax.default_backend() == "cpu" if choice is None else choice


def _same_pads(x: Array, size: int, stride: int) -> Pads:
    """(low, high) zeros for height and width, as TensorFlow's SAME: the odd one goes high."""
    pads = []
    for length in x.shape[1:3]:
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        pads.append((total // 2, total - total // 2))
    return pads[0], pads[1]


def _stride_one(x: Array, kernel: Array, pads: Pads) -> Array:
    if kernel.shape[0] ** 2 > x.shape[1] * x.shape[2]:
        return _dense_conv(x, kernel, pads)
    return _conv(x, kernel, pads)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Array, kernel: Array, pads: Pads) -> Array:
    """The canonical convolution of stride 1, whose gradients are canonical too."""
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, None, None, _LAYOUT)


def _conv_forward(x: Array, kernel: Array, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _conv(x, kernel, pads), (x, kernel)


def _conv_backward(pads: Pads, saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    x, kernel = saved
    reach = kernel.shape[0] - 1
    (top, bottom), (left, right) = pads
    grad_pads = ((reach - top, reach - bottom), (reach - left, reach - right))
    grad_x = _conv(grad, kernel[::-1, ::-1].transpose(0, 1, 3, 2), grad_pads)
    # The batch is summed over, so it takes the channels' place: [i, h, w, n] x [h', w', n, o].
    grad_kernel = _conv(x.transpose(3, 1, 2, 0), grad.transpose(1, 2, 0, 3), pads)
    return grad_x, grad_kernel.transpose(1, 2, 0, 3)


_conv.defvjp(_conv_forward, _conv_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _halving_conv(x: Array, kernel: Array, pads: Pads) -> Array:
    """Stride 2: the library does it directly; only the gradients need the other form."""
    return lax.conv_general_dilated(x, kernel, (2, 2), pads, None, None, _LAYOUT)


def _halving_conv_folded(x: Array, kernel: Array, pads: Pads) -> Array:
    """The same values from a stride-1 convolution over 2x2 blocks of pixels."""
    half = (kernel.shape[0] + 1) // 2
    room = []
    for length, (low, _) in zip(x.shape[1:3], pads, strict=True):
        room.append((low, 2 * (-(-length // 2) + half - 1) - length - low))
    blocks = _space_to_depth(jnp.pad(x, ((0, 0), *room, (0, 0))))
    phases = _halve_kernel(kernel).reshape(half, half, 4 * kernel.shape[2], kernel.shape[3])
    return _conv(blocks, phases, ((0, 0), (0, 0)))


def _halving_forward(x: Array, kernel: Array, pads: Pads) -> tuple[Array, tuple[Array, Array]]:
    return _halving_conv(x, kernel, pads), (x, kernel)


def _halving_backward(pads: Pads, saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    _, vjp = jax.vjp(lambda x, kernel: _halving_conv_folded(x, kernel, pads), *saved)
    grad_x, grad_kernel = vjp(grad)
    return grad_x, grad_kernel


_halving_conv.defvjp(_halving_forward, _halving_backward)


def _dense_conv(x: Array, kernel: Array, pads: Pads) -> Array:
    """Stride 1 as one matrix product, for kernels larger than the image.

    The matrix [h w i, h' w' o] holds, for each pixel of the result, the part of the kernel that
    lies over the image: slices only, so that its gradient is pads and sums.
    """
    (batch, height, width, inputs), outputs = x.shape, kernel.shape[3]
    size = kernel.shape[0]
    (top, bottom), (left, right) = pads
    rows, columns = height + top + bottom - size + 1, width + left + right - size + 1
    padded = jnp.pad(
        kernel,
        (
            (max(rows - 1 - top, 0), max(height + top - size, 0)),
            (max(columns - 1 - left, 0), max(width + left - size, 0)),
            (0, 0),
            (0, 0),
        ),
    )
    first_row, first_column = max(rows - 1 - top, 0) + top, max(columns - 1 - left, 0) + left
    parts = [
        padded[first_row - r : first_row - r + height, first_column - c : first_column - c + width]
        for r in range(rows)
        for c in range(columns)
    ]
    matrix = jnp.stack(parts, axis=3).reshape(height * width * inputs, rows * columns * outputs)
    return (x.reshape(batch, -1) @ matrix).reshape(batch, rows, columns, outputs)


def _space_to_depth(x: Array) -> Array:
    """[n, 2h, 2w, c] -> [n, h, w, 4c], channels ordered (row, column, c)."""
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, h // 2, w // 2, 4 * c)


def _depth_to_space(x: Array) -> Array:
    """[n, h, w, 4c] -> [n, 2h, 2w, c], the inverse of `_space_to_depth`."""
    n, h, w, c4 = x.shape
    blocks = x.reshape(n, h, w, 2, 2, c4 // 4).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, 2 * h, 2 * w, c4 // 4)


def _halve_kernel(kernel: Array) -> Array:
    """[k, k, i, o] -> [ceil(k/2), ceil(k/2), 2, 2, i, o]; zeros fill an odd k."""
    size, _, inputs, outputs = kernel.shape
    half = (size + 1) // 2
    fill = (0, 2 * half - size)
    even = jnp.pad(kernel, (fill, fill, (0, 0), (0, 0)))
    return even.reshape(half, 2, half, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)


def _upsampling_folds(size: int) -> tuple[np.ndarray, int]:
    """Which taps of a kernel meet the same small pixel, for the two phases of a doubled image.

    Returns 0/1 array [2, taps, k] and the number of taps that lie below the pixel itself.
    """
    low = (size - 1) // 2
    reach = [[(phase + k - low) // 2 for k in range(size)] for phase in (0, 1)]
    first, last = min(map(min, reach)), max(map(max, reach))
    folds = np.zeros((2, last - first + 1, size))
    for phase in (0, 1):
        for k, offset in enumerate(reach[phase]):
            folds[phase, offset - first, k] = 1
    return folds, -first
