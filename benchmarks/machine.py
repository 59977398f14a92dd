"""What figures hold for: the machine, the versions, the day, and what else was running."""

from __future__ import annotations

import datetime
import os
import platform
from typing import Any

from wgan_jax.record.environment import processor, versions

PACKAGES = ("jax", "jaxlib", "flax", "optax", "keras", "tensorflow-cpu", "numpy")


def about() -> dict[str, Any]:
    """Of this process's environment; peers tell their own versions."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions(PACKAGES),
        "load_before": round(load(), 2),
    }


def load() -> float:
    """Processes that wanted to run, mean of the last minute; NaN where the system has no word."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
