"""What a TPU would run: the rounds compiled for a v5e, ahead of time, on a machine that has none.

    python -m benchmarks --only ahead_tpu      where jax has the TPUs' library (jax[tpu])

Nothing runs, so nothing is timed. XLA writes down how many cycles it takes each operation to need,
and makes its own choices by that.
"""

from __future__ import annotations

import os
from typing import Any

from jax.sharding import Mesh

from benchmarks import ahead, hlo, roofline
from wgan_jax.settings import Settings

V5E = "v5e:2x2"  # the smallest that XLA describes; one chip of it is compiled for


def measure(torch: str) -> dict[str, Any]:
    """For every contest, in a TPU's own precision, the cycles that XLA estimates.

    Raises:
      RuntimeError: the TPUs' library is not installed.
    """
    del torch
    # The library would ask the cloud which machine it is on.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    mesh = ahead.described("jax[tpu]", V5E, "tpu")
    return ahead.for_every_contest(["tf32"], lambda settings: estimated(settings, 3, mesh))


def estimated(settings: Settings, channels: int, mesh: Mesh) -> ahead.Figures:
    """Cycles of a round, and in the forms for GPUs; scratch memory; seconds of compiling."""
    program, found = ahead.compiled(settings, channels, mesh, "tpu")
    found["operations_plain"] = roofline.by_hand(settings, channels).operations
    found["cycles"] = hlo.estimated_cycles(program, settings.n_critic)
    program, _ = ahead.compiled(settings, channels, mesh, "gpu")
    found["cycles_gpu_forms"] = hlo.estimated_cycles(program, settings.n_critic)
    return found
