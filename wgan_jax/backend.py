"""The platform: jax's flags, compiled programs, and what is said when memory runs out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import cache

import jax

from wgan_jax.errors import UserError
from wgan_jax.files import cache_dir

# On the CPU, single products as library calls: faster rounds, three times faster Inception.
_LIBRARY_PRODUCTS = (
    "xla_cpu_experimental_ynn_fusion_type",
    "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
)
_LEAST_CACHED = 0.1  # seconds of compiling; by default programs of less than one are not kept
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
    """For programs that run now and then: on the CPU they compile faster, by a third to a half.

    At this level of optimization sums may be added up in another order; the rest has the same bits.
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
    """Say what is waited for, should it take more than `patience` seconds."""
    line = "Compiling the program of the rounds; the next start on this machine finds it cached."
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
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_CACHED)
