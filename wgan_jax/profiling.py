"""`--profile`: a trace of a few chunks of a run, and the operations that took the time.

The trace lies in the run's folder, for TensorBoard (`tensorboard --logdir runs/x/profile`, with the
package tensorboard-plugin-profile) and as `perfetto_trace.json.gz` for https://ui.perfetto.dev.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

BEFORE, TRACED = 2, 3  # chunks before the first that is traced, until all is warm; chunks traced
SHOWN = 15  # operations in the table

# Words of an operation's path that say how the program is built, and not what is computed.
_FRAME = re.compile(r"^(while|body|cond|closed_call|eval_jaxpr|\w+\._\w+|)$")
_WRAPPERS = re.compile(r"transpose\(jvp\(|jvp\(|vmap\(|jit\(\w+|\)")
_HOLDERS = ("while", "conditional", "call")  # instructions whose time is that of others


@dataclass(frozen=True)
class Operation:
    """What all its calls took.

    Attributes:
      name: what is computed, e.g. `conv_general_dilated`.
      where: which part of which network, e.g. `Critic/Conv_2 backward`; "" if in neither.
      seconds: of device time, summed over calls and over threads or streams.
      calls: how many.
    """

    name: str
    where: str
    seconds: float
    calls: int


class Traced:
    """A chunk program that traces a few of its own chunks, and then says what took the time."""

    def __init__(
        self, program: jax.stages.Compiled, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.program, self.folder, self.say = program, folder, say
        self.chunks, self.rounds = 0, 0

    def __call__(self, *inputs: Any) -> Any:
        """Plays a chunk; `inputs` end with the number of rounds."""
        if self.chunks == BEFORE:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # the trace is of the device
            jax.profiler.start_trace(
                self.folder, create_perfetto_trace=True, profiler_options=options
            )
        elif self.chunks == BEFORE + TRACED:
            self._tell()
        self.chunks += 1
        if BEFORE < self.chunks <= BEFORE + TRACED:
            self.rounds += int(inputs[-1])
        return self.program(*inputs)

    def close(self) -> None:
        """At the end of a run: of one that was shorter than the trace, tell what there is."""
        if BEFORE < self.chunks <= BEFORE + TRACED:
            self._tell()
        elif self.chunks <= BEFORE:
            self.say(f"No profile: the run had {self.chunks} chunks, the first {BEFORE} are left.")

    def _tell(self) -> None:
        jax.profiler.stop_trace()
        self.chunks = BEFORE + TRACED + 1
        newest = max(self.folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
        data = jax.profiler.ProfileData.from_file(str(newest))
        found = operations(data, _paths(self.program.as_text() or ""))
        self.say(f"{table(found, self.rounds)}\nThe trace is in {newest.parent}")


def operations(data: Any, paths: dict[str, str]) -> list[Operation]:
    """The operations of a trace (`jax.profiler.ProfileData`), those that took longest first.

    Args:
      data: the trace.
      paths: name of an instruction of the program -> its path in the source, see `_paths`.
    """
    spent: dict[tuple[str, str], list[float]] = {}
    with warnings.catch_warnings():
        # Python warns of a type of jaxlib's own; as an error that would end the process.
        warnings.simplefilter("ignore", DeprecationWarning)
        spans = list(_spans(data))
    for instruction, seconds in spans:
        if instruction.split(".")[0] in _HOLDERS:
            continue
        spent.setdefault(_described(instruction, paths), []).append(seconds)
    found = [Operation(*what, sum(calls), len(calls)) for what, calls in spent.items()]
    return sorted(found, key=lambda operation: -operation.seconds)


def table(found: list[Operation], rounds: int) -> str:
    """The first operations as a table of at most 80 columns."""
    total = sum(operation.seconds for operation in found) or 1.0
    lines = [
        f"Device time by operation, {rounds} rounds ({1000 * total / rounds:.1f} ms each, summed "
        "over threads)",
        f"{'share':>6}{'ms/round':>10}{'calls':>7}  {'operation':<24}where",
    ]
    lines += [
        f"{o.seconds / total:>6.1%}{1000 * o.seconds / rounds:>10.2f}{o.calls / rounds:>7.0f}  "
        f"{o.name[:23]:<24}{o.where[:30]}"
        for o in found[:SHOWN]
    ]
    return "\n".join(lines)


def _spans(data: Any) -> Iterable[tuple[str, float]]:
    """(instruction, seconds) of every call; those on the device where it has lines of its own.

    What XLA has recorded as a CUDA graph bears the graph's name; a kernel's own is there as well.

    On the CPU a call may end on another thread than it began: its end is an event of its own, that
    refers to its beginning.
    """
    on_device = any(plane.name.startswith("/device:") for plane in data.planes)
    begun: dict[int, tuple[str, float, float]] = {}
    ends: dict[int, float] = {}
    alone: list[tuple[str, float]] = []
    for plane in data.planes:
        if on_device and not plane.name.startswith("/device:"):
            continue
        for event in (event for line in plane.lines for event in line.events):
            stats = dict(event.stats)
            if "hlo_op" in stats and "_p" in stats:
                begun[stats["_p"]] = (stats["hlo_op"], event.start_ns, event.duration_ns)
            elif "hlo_op" in stats:
                graph = stats["hlo_op"].startswith("command_buffer")
                name = event.name if graph else stats["hlo_op"]
                alone.append((name, event.duration_ns * 1e-9))
            elif event.name.startswith("end: "):
                ends[stats.get("_c", -1)] = event.start_ns
    for number, (name, start, duration) in begun.items():
        yield name, max(duration, ends.get(number, start) - start) * 1e-9
    yield from alone


def _paths(program: str) -> dict[str, str]:
    """Instruction -> path, e.g. `dot.3` -> `jit(play_chunk)/while/body/Critic/Dense_0/dot_general`,
    from the text of a compiled program; by its kernel's name, `dot_3`, too."""
    line = r'^\s*(?:ROOT )?%?([\w.\-]+) = .*op_name="([^"]*)"'
    found = dict(re.findall(line, program, re.MULTILINE))
    return {re.sub(r"\W", "_", name): path for name, path in found.items()} | found


def _described(instruction: str, paths: dict[str, str]) -> tuple[str, str]:
    """(what is computed, where) of an instruction."""
    path = paths.get(instruction, "")
    backward = "transpose(" in path
    words = [word for word in _WRAPPERS.sub("", path).split("/") if not _FRAME.match(word)]
    if not words and re.search("gemm|nvjet", instruction):  # of NVIDIA's library, in a graph
        return "matrix product", ""
    if not words:
        return re.sub(r"[._\d]+$", "", instruction), ""
    name, parts = words[-1], words[:-1]
    return name, "/".join(dict.fromkeys(parts)) + (" backward" if backward else "")
