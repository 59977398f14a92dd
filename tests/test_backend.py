"""Compiled programs: what is said while they are compiled, and the cache in which they are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from wgan_jax.backend import compiling


def said_while_compiling(patience: float) -> list[str]:
    """What is said in a compilation of some moments, with so much patience."""
    said: list[str] = []
    told = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        told.set()

    with compiling(say, patience):
        told.wait(0.1 if patience else 10)
    return said


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A cache's folder, by jax's own settings; not there yet."""
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "xla"))
    yield tmp_path / "xla"
    jax.config.update("jax_compilation_cache_dir", before)


def test_a_long_compilation_is_told_and_a_short_one_is_not(place: Path) -> None:
    place.mkdir()
    assert said_while_compiling(60.0) == []
    assert said_while_compiling(0.0) == [
        "Compiling the program of the rounds; the next start on this machine finds it cached."
    ]


def test_nothing_is_promised_where_nothing_can_be_kept(place: Path) -> None:
    assert not place.exists()
    assert said_while_compiling(0.0) == ["Compiling the program of the rounds."]


PROGRAM = """
import sys
from pathlib import Path
import jax
from wgan_jax import backend

backend._LEAST_CACHED = 0.0
backend.use_compilation_cache()

def twice(x):
    return x + x

def compiled():
    jax.clear_caches()
    jax.jit(twice)(1.0)
    return list(Path(sys.argv[1], "xla").glob("jit_twice-*-cache"))
"""
CUT = """
(entry,) = compiled()
whole = entry.read_bytes()
entry.write_bytes(whole[:-10])
other = entry.with_name("jit_twice-other-cache")
other.write_bytes(whole)
assert set(compiled()) == {entry, other}
assert len(entry.read_bytes()) > len(whole) - 10
assert other.read_bytes() == whole
compiled()
"""
UNWRITABLE = """
assert compiled() == []
"""


def run(program: str, cache: Path) -> str:
    """What a process that keeps all programs says on stderr."""
    known = {key: value for key, value in os.environ.items() if "CACHE" not in key}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(cache)],
        env=known | {"WGAN_JAX_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_an_entry_cut_short_is_removed_and_kept_anew_and_others_stay(tmp_path: Path) -> None:
    assert run(CUT, tmp_path) == "jit_twice was damaged in the cache: compiling it again.\n"


def test_a_place_that_cannot_be_written_is_no_cause_to_warn(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run(UNWRITABLE, tmp_path / "file") == ""
