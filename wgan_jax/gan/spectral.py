"""Spectral normalisation: kernels over their largest singular values (Miyato et al. 2018).

Works on the critic's weights before its layers use them. The kernel of a convolution is taken as
the matrix [taps and inputs, outputs], as in the paper and its authors' code. That keeps the
critic's slopes small without bounding them: a convolution may stretch more than this matrix does.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array, lax

Tree = Any
_LEAST = 1e-12  # of what is divided by


def first_directions(params: Tree, key: Array) -> Tree:
    """For every kernel a random direction [outputs], float32, where power iteration begins."""
    kernels = {path: leaf for path, leaf in flatten_dict(params).items() if path[-1] == "kernel"}
    keys = jax.random.split(key, len(kernels))
    return unflatten_dict(
        {
            path: _unit(jax.random.normal(keys[i], kernels[path].shape[-1:], jnp.float32))
            for i, path in enumerate(sorted(kernels))
        }
    )


def normalized(params: Tree, directions: Tree) -> tuple[Tree, Tree]:
    """The weights with every kernel over its largest singular value, and the new directions.

    Algorithm 1 of the paper: the value is found by one step of power iteration from the last
    directions, which suffices because weights change little from update to update. Gradients take
    both directions for constants, as there.

    Args:
      params: a network's weights; what is no kernel stays as it is.
      directions: of `first_directions`, or of the last call.
    """
    weights, last = flatten_dict(params), flatten_dict(directions)
    new = {}
    for path, direction in last.items():
        weights[path], new[path] = _over_largest(weights[path], direction)
    return unflatten_dict(weights), unflatten_dict(new)


def _over_largest(kernel: Array, right: Array) -> tuple[Array, Array]:
    """A kernel over its largest singular value, and the right singular vector [outputs]."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    fixed = lax.stop_gradient(matrix)
    with jax.default_matmul_precision("float32"):  # TF32 would leave three digits
        left = _unit(fixed @ right)
        right = _unit(left @ fixed)
        largest = left @ matrix @ right
    return kernel / jnp.maximum(largest, _LEAST), right


def _unit(vector: Array) -> Array:
    unit: Array = vector / (jnp.linalg.norm(vector) + _LEAST)
    return unit
