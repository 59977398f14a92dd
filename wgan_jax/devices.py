"""The devices that share a run, and what lies where on them: one mesh, whatever their number.

Data parallel training is this and nothing more: arrays whose rows are the images of a batch are
spread over the mesh, all others are on every device, and the compiler puts in the sums between
them. The program is the one that a single device runs.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from wgan_jax.errors import UserError, first_line

_ROWS = "batch"


@cache
def mesh(count: int = 0) -> Mesh:
    """The first `count` devices of all hosts in a row; 0: all.

    Raises:
      UserError: there are not so many, or none that JAX_PLATFORMS names, or several hosts, all of
        whose devices are needed.
    """
    found = _found()
    if count and jax.process_count() > 1:
        raise UserError("config.devices is for one host: leave it 0 where there are several.")
    if count > len(found):
        raise UserError(f"config.devices = {count}: there are {len(found)}. Ask for so many or 0.")
    return Mesh(np.array(found[: count or None]), (_ROWS,))


def _found() -> list[jax.Device]:
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # jax asserts that one of those named is there
        named = os.environ.get("JAX_PLATFORMS", "")
        raise UserError(
            f"jax finds no device with JAX_PLATFORMS={named!r} ({first_line(error, 80)}): unset "
            "it to take what there is, or set it to cpu."
        ) from None


def by_batch(devices: Mesh, axis: int = 0) -> NamedSharding:
    """Each device has its share of the rows, which are along the first axis or another."""
    return NamedSharding(devices, PartitionSpec(*[None] * axis, _ROWS))


def everywhere(devices: Mesh) -> NamedSharding:
    """Each device has all of it."""
    return NamedSharding(devices, PartitionSpec())


def put(host: Any, sharding: NamedSharding) -> Any:
    """A tree of host arrays, equal in every process, on the devices."""
    if sharding.is_fully_addressable:
        return jax.device_put(host, sharding)

    def place(array: Any) -> jax.Array:
        whole = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, host)


def own_rows(devices: Mesh, batch_size: int) -> slice:
    """Which rows of a batch lie on this process's devices."""
    found = by_batch(devices).addressable_devices_indices_map((batch_size,))
    parts = [index[0].indices(batch_size) for index in found.values() if index is not None]
    return slice(min(part[0] for part in parts), max(part[1] for part in parts))


def join_rows(own: NDArray[np.uint8], devices: Mesh) -> jax.Array:
    """[k, own rows, ...] of each process -> one array [k, batch, ...] by rows over the mesh."""
    joined: jax.Array = jax.make_array_from_process_local_data(by_batch(devices, axis=1), own)
    return joined


def memory(devices: Mesh) -> int | None:
    """Bytes that programs may use on each device; None where it does not say, as a CPU."""
    stats = devices.local_devices[0].memory_stats() or {}
    return stats.get("bytes_limit")


def check_divides(batch_size: int, devices: Mesh) -> None:
    """Refuse a batch of which the devices would have unequal shares.

    Raises:
      UserError: it names the nearest batch sizes that divide.
    """
    count = devices.size
    if batch_size % count == 0:
        return
    below = batch_size // count * count
    nearest = f"{below} or {below + count}" if below else f"{count}"
    fewer = max(n for n in range(1, count) if batch_size % n == 0)
    instead = f", or --config.devices={fewer}" if jax.process_count() == 1 else ""
    raise UserError(
        f"config.batch_size = {batch_size} does not divide over {count} devices: use {nearest}"
        f"{instead}."
    )
