"""Reads pickles of tensors without executing them.

A pickle is a program. Python's `pickle` runs it, and a hostile one runs whatever it likes. Here its
opcodes are walked by an interpreter that can build nothing but numbers, texts, tuples, lists,
dictionaries and descriptions of tensors: a name in the file (`torch._utils._rebuild_tensor_v2`) is
looked up in a table of four, never imported, and anything else is refused.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class Refused(Exception):
    """The file holds something other than plain tensors, or is broken; the message says what."""


@dataclass(frozen=True)
class _Name:
    """A dotted name that the pickle mentions; inert."""

    text: str


@dataclass(frozen=True)
class Storage:
    """A row of numbers that lies elsewhere in the file."""

    key: str
    dtype: np.dtype[Any]
    size: int

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: offset, shape and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _ordered_dict(*items: Any) -> dict[Any, Any]:
    if items:
        raise Refused("builds an ordered dictionary in an unknown way")
    return {}


def _rebuild_tensor(
    storage: Any = None, offset: Any = None, shape: Any = None, strides: Any = None, *_: Any
) -> Tensor:
    whole = [offset, *shape, *strides] if isinstance(shape, tuple) else [None]
    good = (
        isinstance(storage, Storage)
        and isinstance(strides, tuple)
        and len(shape) == len(strides)
        and all(type(number) is int and 0 <= number < 1 << 40 for number in whole)
    )
    if not good:
        raise Refused("describes a tensor in an unknown way")
    return Tensor(storage, offset, shape, strides)


def _rebuild_parameter(data: Any = None, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("describes a parameter that is not a tensor")
    return data


# All that a pickle may call, and what happens instead.
_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}

_LITERALS = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


def run_pickle(file: io.BytesIO) -> Any:
    """The object that one pickle describes, and the file left behind it.

    Raises:
      Refused: at the first opcode, name or call that a list of tensors has no use for.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Refused(f"is not a whole pickle ({str(error)[:60]})") from None
    raise Refused("is not a whole pickle")


class _Machine:
    """The pickle machine's stack and memo, with inert values only."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        push, stack = self._stack.append, self._stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _LITERALS:
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _EMPTY:
            push(_EMPTY[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            push(self._memo[argument])
        elif name == "MARK":
            push(_MARK)
        else:
            self._compose(name, argument)

    def _compose(self, name: str, argument: Any) -> None:
        push, pop, stack = self._stack.append, self._stack.pop, self._stack
        if name in _SHORT_TUPLES:
            push(tuple(reversed([pop() for _ in range(_SHORT_TUPLES[name])])))
        elif name == "TUPLE":
            push(tuple(self._pop_to_mark()))
        elif name in ("SETITEM", "SETITEMS"):
            items = self._pop_to_mark() if name == "SETITEMS" else [pop(), pop()][::-1]
            keys = [_plain(key, str) for key in items[::2]]
            _plain(stack[-1], dict).update(zip(keys, items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            items = self._pop_to_mark() if name == "APPENDS" else [pop()]
            _plain(stack[-1], list).extend(items)
        elif name == "GLOBAL":
            push(_Name(str(argument).replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            last, module = pop(), pop()
            push(_Name(f"{_plain(module, str)}.{_plain(last, str)}"))
        elif name == "BINPERSID":
            push(_storage(pop()))
        elif name == "REDUCE":
            arguments, function = pop(), pop()
            push(_call(function, arguments))
        elif name == "BUILD":
            # Attributes of an ordered dictionary: torch keeps version numbers there.
            pop()
            _plain(stack[-1], dict)
        else:
            raise Refused(f"holds a pickle with the instruction {name}, which tensors do not need")

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]


def _plain(value: Any, kind: type[Any]) -> Any:
    """The value, if it is of this very type."""
    if type(value) is not kind:
        kinds = type(value).__name__.strip("_").lower(), kind.__name__
        raise Refused("holds a {} where a {} belongs".format(*kinds))
    return value


def _call(function: Any, arguments: Any) -> Any:
    name = function.text if isinstance(function, _Name) else type(function).__name__
    if name not in _CALLS or not isinstance(arguments, tuple):
        raise Refused(f"asks to call {name[:60]!r}, which is not a tensor")
    return _CALLS[name](*arguments)


def _storage(reference: Any) -> Storage:
    """A storage from ("storage", type, key, device, number of elements[, view])."""
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        raise Refused("refers to something that is not a row of numbers")
    _, kind, key, _, size, *view = reference
    name = kind.text if isinstance(kind, _Name) else ""
    module, _, storage = name.rpartition(".")
    if module not in ("torch", "torch.storage") or storage not in _DTYPES:
        raise Refused(f"holds data of the unknown type {name[:60]!r}")
    if any(view) or type(key) is not str or type(size) is not int or not 0 <= size < 1 << 40:
        raise Refused("refers to data in an unknown way")
    return Storage(key, _DTYPES[storage], size)
