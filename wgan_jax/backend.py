"""The platform: jax's flags, compiled programs, and what is said when memory runs out."""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax

from wgan_jax.errors import UserError, to_stderr
from wgan_jax.files import cache_dir

# On the CPU, single products as library calls: faster rounds, three times faster Inception.
_LIBRARY_PRODUCTS = (
    "xla_cpu_experimental_ynn_fusion_type",
    "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
)
_LEAST_CACHED = 0.1  # seconds of compiling; by default programs of less than one are not kept
_UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '(\w+)'")
# jax's flags under which a seed would be another run than elsewhere, and what they have to be.
_FLAGS = {"jax_enable_x64": False, "jax_threefry_partitionable": True}
RANDOM_BITS = "threefry2x32"  # how a key's are made, whatever jax's default for new keys


def check_flags() -> None:
    """Refuse flags of jax that would make other numbers of the same settings.

    Raises:
      UserError: it names the flag.
    """
    for flag, usual in _FLAGS.items():
        if jax.config.values[flag] != usual:
            raise UserError(
                f"{flag} is {not usual}: a seed would be another run than elsewhere. Unset "
                f"{flag.upper()}, or call jax.config.update({flag!r}, {usual})."
            )


def compiler_options() -> dict[str, str]:
    """What XLA is told beside its defaults."""
    return _known(*_LIBRARY_PRODUCTS) if jax.default_backend() == "cpu" else {}


def quick_options() -> dict[str, str]:
    """For programs that run only now and then: on the CPU they compile faster by a third to a half.

    At this level of optimization sums may be added up in another order; all else is the same bits.
    """
    return _known("xla_backend_optimization_level", "1") if jax.default_backend() == "cpu" else {}


@cache
def _known(option: str, value: str) -> dict[str, str]:
    """The option, tried on a trivial program; nothing where XLA does not know it.

    Such options are experimental: they come and go.
    """
    options = {option: value}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options).lower(0.0).compile()
    except (RuntimeError, ValueError):
        return {}
    return options


@contextlib.contextmanager
def compiling(say: Callable[[str], None], patience: float = 10.0) -> Iterator[None]:
    """Say that the rounds are being compiled, if that takes more than `patience` seconds."""
    promise = "; the next start on this machine finds it cached" if _kept() else ""
    with waiting(say, f"Compiling the program of the rounds{promise}.", patience):
        yield


@contextlib.contextmanager
def waiting(say: Callable[[str], None], line: str, patience: float) -> Iterator[None]:
    """Say the line once, if the body of the `with` takes more than `patience` seconds."""
    timer = threading.Timer(patience, say, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def enough_memory(remedy: str) -> Iterator[None]:
    """Say in one line that memory ran out, on the device or the host, and what to do.

    Raises:
      UserError: it did.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        signs = ("RESOURCE_EXHAUSTED", "ut of memory")
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in signs):
            kind = jax.devices()[0].device_kind
            raise UserError(f"Memory does not suffice ({kind}): {remedy}.") from error
        raise


def use_compilation_cache() -> None:
    """Compile a program once per machine, not once per start.

    The user's own place for it (JAX_COMPILATION_CACHE_DIR) comes first.
    """
    _mend_cache()
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = cache_dir() / "xla"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.path.isdir(folder):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        least = _LEAST_CACHED if _kept() else math.inf  # jax would warn of each that it cannot keep
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


def _kept() -> bool:
    """Whether programs that take long to compile are kept for the next start."""
    known = jax.config.values
    folder = known["jax_compilation_cache_dir"]
    return bool(known["jax_enable_compilation_cache"] and folder and os.access(folder, os.W_OK))


@cache
def _mend_cache() -> None:
    """Where jax warns that it cannot read an entry of the cache, remove that.

    jax writes in place: a process that is killed, or a full disk, leaves a part, which jax compiles
    anew at each start, and never replaces. It warns before it does.
    """
    others = warnings.showwarning

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        found = _UNREADABLE.match(str(message))
        if found and _removed(found[1]):
            to_stderr(f"{found[1]} was damaged in the cache: compiling it again.")
        else:
            others(message, *where, **more)

    warnings.showwarning = show


def _removed(program: str) -> bool:
    """Whether there were damaged entries of a program, and could be removed."""
    place = Path(jax.config.values["jax_compilation_cache_dir"])
    damaged = [entry for entry in place.glob(f"{program}-*-cache") if not _whole(entry)]
    try:
        for entry in damaged:
            entry.unlink()
    except OSError:
        return False
    return bool(damaged)


def _whole(entry: Path) -> bool:
    """Whether an entry is all there; one by zstandard, which jax may use, is not known to be."""
    try:
        zlib.decompress(entry.read_bytes())
    except (OSError, zlib.error):
        return False
    return True
