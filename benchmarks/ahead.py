"""What an H100 would run: the rounds compiled for one, ahead of time, on a machine that has none.

    python -m benchmarks --only ahead      where jax has its CUDA plugin (requirements-gpu.txt)

Nothing runs, so nothing is timed: kernels, operations and bytes are counted in the program. XLA
tunes kernels by trying them, so that a program compiled on the GPU itself may differ in details.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from benchmarks import hlo, roofline
from benchmarks.rounds import CONTESTS, settings_of
from wgan_jax import devices
from wgan_jax.gan.rounds import chunk_program
from wgan_jax.gan.state import new_game, root_key
from wgan_jax.settings import Settings

Figures = dict[str, float]
PRECISIONS = ("tf32", "bfloat16")
# An NVIDIA H100 SXM as XLA is told of it: its public data sheet, and CUDA's limits for it.
H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 13 }
gpu_device_info {
  driver_version: "13.0.0"
  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  device_memory_size: 85899345920
  memory_bandwidth: 3352000000000
  l2_cache_size: 52428800
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
}
"""


def measure(torch: str) -> dict[str, Any]:
    """For every contest and precision, what is counted in the program and what plain layers take.

    Raises:
      RuntimeError: jax's CUDA plugin is not installed.
    """
    del torch
    # The plugin's own check looks for a driver.
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    mesh = described("requirements-gpu.txt", "one", "cuda", target_config=H100, topology="1x1x1")
    return for_every_contest(PRECISIONS, lambda settings: counted(settings, 3, mesh))


def for_every_contest(
    precisions: Iterable[str], look: Callable[[Settings], Figures]
) -> dict[str, Figures]:
    """What is seen of each program, in each precision."""
    found = {}
    for name, batch, *_ in CONTESTS:
        for precision in precisions:
            settings = dataclasses.replace(settings_of(name), batch_size=batch, precision=precision)
            found[f"{name} {batch} {precision}"] = look(settings)
    return found


def described(needed: str, topology: str, platform: str, /, **more: str) -> Mesh:
    """A mesh of one device that is only described, to compile for.

    Raises:
      RuntimeError: jax lacks what is `needed`.
    """
    try:
        found = topologies.get_topology_desc(topology, platform, **more)
    except (NotImplementedError, RuntimeError) as error:
        raise RuntimeError(f"What compiles for {platform} is missing: install {needed}") from error
    ours = devices.mesh()
    return Mesh(np.array(found.devices[:1]).reshape(ours.devices.shape), ours.axis_names)


def counted(settings: Settings, channels: int, mesh: Mesh) -> Figures:
    """Kernels, operations and bytes of a round; scratch memory; seconds of compiling."""
    work = roofline.by_hand(settings, channels)
    plain = {"operations_plain": work.operations, "bytes_plain": work.bytes}
    program, about = compiled(settings, channels, mesh, "gpu")
    return plain | hlo.total(program) | about


def compiled(settings: Settings, channels: int, mesh: Mesh, platform: str) -> tuple[str, Figures]:
    """HLO of the chunks in a platform's forms; its scratch memory, seconds of compiling."""

    def put(tree: Any) -> Any:
        everywhere = devices.everywhere(mesh)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), tree
        )

    game, key = new_game(settings, channels, mesh), root_key(0)
    images = jax.ShapeDtypeStruct((2 * settings.batch_size, *game.image_shape), jnp.uint8)
    arguments = put((jax.eval_shape(game.new_state, key), images, key, jnp.int32(1)))
    # Layers ask for the platform when they are traced.
    with mock.patch.object(jax, "default_backend", return_value=platform):
        clock = time.perf_counter()
        program: Any = chunk_program(game).lower(*arguments).compile()
        compiling = time.perf_counter() - clock
    scratch = program.memory_analysis().temp_size_in_bytes / 1e6
    return program.as_text(), {"scratch_mb": scratch, "compiling": compiling}
