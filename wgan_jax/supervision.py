"""One of several processes of a run, watched by a parent that says what became of it.

When a process of a run is lost, jax ends the others from C++ with a stack trace that names neither
the run nor the remedy. So each trains as the child of a small process that has no part in the run:
it passes on signals and what the child says, keeps crash reports in a file, and ends with one line.
Free of jax.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from wgan_jax.errors import Interrupted, RunFailed, UserError, one_line, to_stderr

_MARK = "WGAN_JAX_SUPERVISED"
_NOISE = re.compile(rb"[IWEF]\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl")
_CRASH = re.compile(
    rb"Traceback \(most recent call last\)|Fatal Python error|\*\*\* |terminate call"
)
_LOST = re.compile(
    rb"heartbeat|[Cc]onnection (closed|reset)|[Cc]oordination|UNAVAILABLE|[Gg]loo|NCCL|preempted"
)
_OWN_WORDS = (0, 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit codes with a line of ours


@dataclass(frozen=True)
class Rank:
    """Which process of a run this is; all empty where the cluster says it.

    Attributes:
      coordinator: `host:port` of the first process.
      processes: how many there are.
      process: which of them, from 0.
    """

    coordinator: str = ""
    processes: int = 0
    process: int = 0


def rank(
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    environment: Mapping[str, str] = os.environ,
) -> Rank | None:
    """From the flags, else from what started this process; None where it trains alone.

    `--num_processes=1` by itself says that it does, whatever started it: a grid of runs within one
    `srun`, say.

    Raises:
      UserError: only some of the flags, or impossible ones.
    """
    if coordinator is None and processes is None and process is None:
        return Rank() if in_cluster(environment) else None
    if processes == 1 and coordinator is None and process is None:
        return None
    if coordinator is None or processes is None or process is None:
        raise UserError("--coordinator, --num_processes and --process_id go together: give all.")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"--coordinator={coordinator} must be host:port of the first process.")
    if processes < 1 or not 0 <= process < processes:
        raise UserError(
            f"--process_id={process} must be from 0 to --num_processes - 1 = {processes - 1}."
        )
    return Rank(coordinator, processes, process) if processes > 1 else None


def in_cluster(environment: Mapping[str, str]) -> bool:
    """Whether SLURM, Open MPI or a TPU pod started this process as one of several."""
    counts = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
    several = any(environment.get(name, "1") not in ("", "0", "1") for name in counts)
    return several or "," in environment.get("TPU_WORKER_HOSTNAMES", "")


def for_a_child() -> dict[str, str]:
    """The environment of a child of this process that is to know itself `supervised`."""
    return os.environ | {_MARK: str(os.getpid())}


def supervised() -> bool:
    """Whether a parent looks after this process, which trains. It ends with its parent (Linux).

    Raises:
      Interrupted: the parent has ended already.
    """
    mark = os.environ.get(_MARK, "")
    found = mark == str(os.getppid())
    if sys.platform == "linux" and mark:
        if found:
            parent_death_signal = 1
            ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM)
        if _has_ended(mark):  # it did before it could be asked for the signal
            what = "What started this run has ended, so it ends before it trains."
            raise Interrupted(what, signal.SIGTERM)
    return found


def _has_ended(process: str) -> bool:
    """Whether a process is gone (Linux), or only waits for its own parent to hear of it."""
    try:
        state = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in ("Z", "X")


def supervise(command: Sequence[str], workdir: Path) -> int:
    """Run the command as a child to its end; returns its exit code.

    What it reports of a crash is kept in `process-<host>-<pid>.log`: also where it goes on all the
    same, as after that of a thread.

    Raises:
      RunFailed: it crashed, or lost the other processes.
      Interrupted: a signal ended it at once: the first before it trained, or a second.
    """
    child = subprocess.Popen(
        command,
        env=for_a_child(),
        stderr=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C reaches it once, through its parent
    )

    def pass_on(signum: int, frame: FrameType | None) -> None:
        del frame
        with suppress(ProcessLookupError):
            child.send_signal(signum)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    report: list[bytes] = []
    assert child.stderr is not None
    reader = threading.Thread(target=_relay, args=(child.stderr, report), daemon=True)
    reader.start()
    try:
        code = child.wait()
        reader.join(5)
        child.stderr.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    crashed = any(_CRASH.search(line) for line in report)
    if code in _OWN_WORDS and not crashed:
        return code
    if -code in (signal.SIGINT, signal.SIGTERM) and not crashed:
        stopped = f"{workdir} stopped at once. What was saved is whole: start all again to go on."
        raise Interrupted(stopped, -code)
    kept = _kept(report, workdir)
    if code == 0:
        to_stderr(one_line(f"run.py: The run is done, though something in it failed.{kept}"))
        return code
    raise RunFailed(f"{_what_happened(code, report)}{kept}")


def _relay(stderr: IO[bytes], report: list[bytes]) -> None:
    """Pass on what the child says; from the first words of C++ or a traceback on, keep the rest.

    Their messages have lines that nothing marks as theirs, so only `run.py`'s own still pass.
    """
    foreign = False
    for line in stderr:
        foreign = foreign or bool(_NOISE.match(line) or _CRASH.search(line))
        if foreign and not line.startswith(b"run.py: "):
            report.append(line)
        else:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


def _kept(report: list[bytes], workdir: Path) -> str:
    """Write a report down; returns where, in words, empty if it cannot be written."""
    path = workdir / f"process-{platform.node()}-{os.getpid()}.log"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(report))
    except OSError:
        return ""
    return f" Details: {path}."


def _what_happened(code: int, report: list[bytes]) -> str:
    if any(map(_LOST.search, report)):
        what = "Another process of this run is gone, so this one ended too"
    else:
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        last = next((line for line in reversed(report) if line.strip()), b"no report")
        reason = last.decode(errors="replace").strip()[:60]
        what = f"This process of the run crashed ({name}: {reason})"
    return f"{what}. What was saved is whole: start all again to go on."
