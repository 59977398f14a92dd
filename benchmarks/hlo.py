"""Compiled programs, read in XLA's own text of them: HLO after all passes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

# name, type, operation, operands and attributes
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%([\w.\-]+) = (\((?:[^()]|\([^()]*\))*\)|\S+) ([\w\-]+)\((.*)$"
)
_COMPUTATION = re.compile(r"^(ENTRY )?%([\w.\-]+) \(.*\{$")
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
_BITS = {"pred": 8} | {f"{kind}{n}": n for kind in ("s", "u", "f", "bf") for n in (8, 16, 32, 64)}
_BODY = r"body=%([\w.\-]+)"  # of a loop
# What moves nothing.
_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "after-all"}


@dataclass(frozen=True)
class Kernel:
    """A kernel, or a library's.

    Attributes:
      name: the library's function, or the operation.
      times: how often it runs.
      operations: of matrix products and convolutions, two for each multiplication; each time.
      bytes: of operands and results, each time.
    """

    name: str
    times: int
    operations: int
    bytes: int


@dataclass(frozen=True)
class Instruction:
    """A line of a computation."""

    name: str
    type: str
    operation: str
    rest: str  # operands, then attributes

    @property
    def operands(self) -> list[str]:
        return re.findall(r"%([\w.\-]+)", self.rest.partition(")")[0])

    def attribute(self, pattern: str) -> str:
        """What the pattern's group finds; "" for nothing."""
        match = re.search(pattern, self.rest)
        return match[1] if match else ""


Program = dict[str, list[Instruction]]


def kernels_of_a_round(text: str) -> list[Kernel]:
    """A GPU's within the program's outermost loop, once through it; loops in it count in full.

    Raises:
      ValueError: the program has no loop, or one within it whose length XLA does not know.
    """
    return list(_kernels(*_round(text), 1))


def total(text: str) -> dict[str, float]:
    """Of a round: how many kernels, their operations and their bytes."""
    kernels = kernels_of_a_round(text)
    return {
        "kernels": sum(kernel.times for kernel in kernels),
        "operations": sum(kernel.times * kernel.operations for kernel in kernels),
        "bytes": sum(kernel.times * kernel.bytes for kernel in kernels),
    }


def least_seconds(text: str, peaks: dict[str, float]) -> float:
    """Of a round, were every kernel as fast as a device of these peaks, one after the other."""
    return sum(
        kernel.times * max(kernel.operations / peaks["operations"], kernel.bytes / peaks["bytes"])
        for kernel in kernels_of_a_round(text)
    )


def estimated_cycles(text: str, critic_updates: int) -> int:
    """Of a round on a TPU, as its compiler estimates them; loops are the critic's updates.

    Raises:
      ValueError: the program has no loop, or nothing is estimated.
    """

    def of(program: Program, computation: str) -> int:
        cycles = 0
        for line in program[computation]:
            if line.operation == "while":
                cycles += critic_updates * of(program, line.attribute(_BODY))
            else:
                cycles += int(line.attribute(r'"estimated_cycles":"(\d+)"') or 0)
        return cycles

    if not (cycles := of(*_round(text))):
        raise ValueError("no cycles are estimated in the program")
    return cycles


def _round(text: str) -> tuple[Program, str]:
    """The program, and the computation that is a round: the body of the outermost loop."""
    program, entry = _program(text)
    loops = [line for line in program[entry] if line.operation == "while"]
    if len(loops) != 1:
        raise ValueError(f"{len(loops)} outermost loops in the program, not one")
    return program, loops[0].attribute(_BODY)


def _program(text: str) -> tuple[Program, str]:
    program, entry, lines = Program(), "", list[Instruction]()
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            lines = program[head[2]] = []
            entry = head[2] if head[1] else entry
        elif found := _INSTRUCTION.match(re.sub(r"/\*.*?\*/", "", line)):
            lines.append(Instruction(*found.groups()))
    return program, entry


def _kernels(program: Program, computation: str, times: int) -> Iterator[Kernel]:
    types = {line.name: line.type for line in program[computation]}
    for line in program[computation]:
        if line.operation == "while":
            length = line.attribute(r'"known_trip_count":\{"n":"(\d+)"')
            if not length:
                raise ValueError(f"XLA does not know how often {line.name} goes round")
            yield from _kernels(program, line.attribute(_BODY), times * int(length))
        elif line.operation == "call":
            yield from _kernels(program, line.attribute(r"to_apply=%([\w.\-]+)"), times)
        elif line.operation not in _FREE and not line.operation.endswith("-done"):
            library = line.attribute(r'custom_call_target="([^"]+)"')
            # Of what a library's kernel returns, all but the first is scratch memory.
            made = _ARRAY.search(line.type)[0] if library else line.type  # type: ignore[index]
            moved = [made, *(types[name] for name in line.operands)]
            operations = _operations(program, line, types)
            yield Kernel(library or line.operation, times, operations, sum(map(_size, moved)))


def _operations(program: Program, line: Instruction, types: dict[str, str]) -> int:
    target = line.attribute(r'custom_call_target="([^"]+)"')
    if target.startswith("__cudnn$conv"):
        return _of_convolution(target, line, types)
    if target.startswith("__cublas"):
        return _of_product(line, types, r'"lhs_contracting_dimensions":\[([^\]]*)\]')
    if target:
        raise ValueError(f"how much work {target} is, is not known here")
    inner = program.get(line.attribute(r"calls=%([\w.\-]+)"), [])
    within = {each.name: each.type for each in inner}
    return sum(_of_product(each, within) for each in inner if each.operation == "dot")


def _of_convolution(target: str, line: Instruction, types: dict[str, str]) -> int:
    """Each place with each tap of the window, zeros of padding and dilation included."""
    first, _, result = line.attribute(r"dim_labels=(\w+->\w+)").replace("->", "_").split("_")
    taps = math.prod(map(int, line.attribute(r"size=([\dx]+)").split("x")))
    image, other = (_shape(types[name]) for name in line.operands[:2])
    made = _shape(line.type)
    if target == "__cudnn$convBackwardInput":  # image: the result's gradient; made: the image's
        return 2 * math.prod(image) * taps * made[result.index("f")]
    if target == "__cudnn$convBackwardFilter":  # other: the result's gradient
        return 2 * math.prod(other) * taps * image[first.index("f")]
    return 2 * math.prod(made) * taps * image[first.index("f")]


def _of_product(
    line: Instruction, types: dict[str, str], axes: str = r"lhs_contracting_dims=\{([\d,]+)\}"
) -> int:
    left = _shape(types[line.operands[0]])
    summed = re.findall(r"\d+", line.attribute(axes))
    return 2 * math.prod(_shape(line.type)) * math.prod(left[int(axis)] for axis in summed)


def _shape(type_: str) -> list[int]:
    """Of an array, or of a tuple's first."""
    match = _ARRAY.search(type_)
    assert match
    return [int(length) for length in match[2].split(",") if length]


def _size(type_: str) -> int:
    """Bytes of an array, or of all those of a tuple."""
    return sum(
        _BITS[kind] // 8 * math.prod(int(length) for length in lengths.split(",") if length)
        for kind, lengths in _ARRAY.findall(type_)
    )
