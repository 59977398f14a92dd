"""The processes that share a run, one for each host: how they find each other and agree.

All of them run the same program on the same state; the first alone writes. What one of them alone
can know (a clock, a file, a signal) is agreed on before anybody acts on it, because a process that
decides otherwise than the rest would leave them waiting for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import jax
import numpy as np

from wgan_jax.errors import Followed, UserError, first_line

T = TypeVar("T")

PATIENCE = 20  # seconds without a sign of life after which a process counts as lost
_STARTING = 300  # seconds for all to start


def join(coordinator: str = "", processes: int = 0, process: int = 0) -> None:
    """Meet the other processes; before anything else asks jax for its devices.

    Args:
      coordinator: `host:port` of the first process; "": the cluster's own environment says all.
      processes: how many there are.
      process: which of them this is, from 0.

    Raises:
      UserError: they do not meet.
    """
    given: dict[str, Any] = {}
    if _has_own_devices(os.environ):
        given = {"local_device_ids": []}  # all; by itself jax takes one, also on a node of eight
    if coordinator:
        given = {
            "coordinator_address": coordinator,
            "num_processes": processes,
            "process_id": process,
            "cluster_detection_method": "deactivate",
        }
    try:
        jax.distributed.initialize(
            **given,
            initialization_timeout=_STARTING,
            heartbeat_timeout_seconds=PATIENCE,
            shutdown_timeout_seconds=PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"The processes of this run did not meet ({first_line(error, 80)}): check "
            "--coordinator, --num_processes and --process_id."
        ) from error


def _has_own_devices(environment: Mapping[str, str]) -> bool:
    """Whether no other process that SLURM or Open MPI started on this host sees the same devices.

    A process is alone there, or was given fewer GPUs than there are: by `--gpus-per-task`, say.
    """
    if "JAX_LOCAL_DEVICE_IDS" in environment:  # jax's own variable says which are its
        return False
    tasks, nodes = (environment.get(f"SLURM_STEP_NUM_{of}", "") for of in ("TASKS", "NODES"))
    alone = tasks == nodes != ""
    if "OMPI_COMM_WORLD_LOCAL_SIZE" in environment:  # within SLURM its steps are of Open MPI's own
        alone = environment["OMPI_COMM_WORLD_LOCAL_SIZE"] == "1"
    seen = environment.get("CUDA_VISIBLE_DEVICES")
    there = int(environment.get("SLURM_GPUS_ON_NODE") or 2)
    return alone or (seen is not None and len(seen.split(",")) < there)


def first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def agreed(rounds: int, signal: int) -> tuple[int, int]:
    """The first process's number of rounds, and a signal that any of them received."""
    if jax.process_count() == 1:
        return rounds, signal
    from jax.experimental import multihost_utils

    all_of_them = multihost_utils.process_allgather(np.array([rounds, signal], np.int32))
    return int(all_of_them[0, 0]), int(all_of_them[:, 1].max())


def any_signal(signal: int) -> int:
    """A signal that any of the processes received; 0: none did."""
    return agreed(0, signal)[1]


def by_first(action: Callable[[], T]) -> T:
    """Do it on the first process alone; all get what it returned, which JSON must hold.

    Raises:
      UserError: where the action raised it; `Followed` on the others.
    """
    found: list[Any] = _outcomes(action if first() else lambda: None)
    return cast(T, found[0])


def together(action: Callable[[], T]) -> T:
    """Do it on every process, and return this one's own result; all fail where one does.

    Raises:
      UserError: where the action raised it; `Followed` on the others.
    """
    kept: list[T] = []
    _outcomes(lambda: kept.append(action()))
    return kept[0]


def meet() -> None:
    """Wait for all processes, at an end that all of them come to.

    Where processes end more than `PATIENCE` apart, jax ends all of them with an error; and what the
    first has to conclude may take longer than that.
    """
    together(lambda: None)


def check_same(what: str, value: str) -> None:
    """Refuse to train where the processes see different things.

    Raises:
      UserError: it names what differs.
    """
    values = _outcomes(lambda: value)
    if len(set(values)) > 1:
        other = next(i for i, found in enumerate(values) if found != values[0])
        raise UserError(
            f"{what} of process {other} are not those of process 0: give all the same, or to each "
            "--num_processes=1 where they are runs of their own."
        )


def _outcomes(action: Callable[[], T]) -> list[T]:
    """What the action came to in every process; raises if it failed in any."""
    if jax.process_count() == 1:
        return [action()]
    failure: UserError | None = None
    outcome: dict[str, Any] = {}
    try:
        outcome["value"] = action()
    except UserError as error:
        failure, outcome = error, {"error": str(error)}
    found = [json.loads(text) for text in _gathered(json.dumps(outcome))]
    if failure is not None:
        raise failure
    failed = [one["error"] for one in found if "error" in one]
    if failed:
        raise Followed(failed[0])
    return [one["value"] for one in found]


def _gathered(text: str) -> list[str]:
    """One text from each process."""
    from jax.experimental import multihost_utils

    own = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array([len(own)], np.int32)).ravel()
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: len(own)] = own
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:n]).decode() for row, n in zip(rows, lengths, strict=True)]
