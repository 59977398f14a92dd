"""The environment file: enough to repeat a run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest

from wgan_jax.record import environment


def checkout(folder: Path) -> Path:
    """A git checkout with one committed file, `code.py`."""
    (folder / "code.py").write_text("x = 1\n")
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.com"]
    for command in (["init", "-q"], ["add", "code.py"], ["commit", "-qm", "First"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    return folder / "code.py"


def test_commit_uncommitted_changes_and_untracked_files_are_found(tmp_path: Path) -> None:
    source = checkout(tmp_path)
    code = environment.code_state(source)
    assert len(code.commit) == 40
    assert (code.diff, code.untracked) == (b"", ())
    source.write_text("x = 2\n")
    (tmp_path / "new.py").write_text("")
    changed = environment.code_state(source)
    assert changed.commit == code.commit
    assert b"-x = 1\n+x = 2\n" in changed.diff
    assert changed.untracked == ("new.py",)


def test_staged_changes_are_uncommitted_too(tmp_path: Path) -> None:
    source = checkout(tmp_path)
    source.write_text("x = 2\n")
    subprocess.run(["git", "-C", str(tmp_path), "add", "code.py"], check=True)
    assert b"-x = 1\n+x = 2\n" in environment.code_state(source).diff


def test_each_start_keeps_the_changes_that_it_was_made_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for diff in (b"one", b"two"):
        code = environment.Code("c" * 40, diff)
        monkeypatch.setattr(environment, "code_state", lambda _, code=code: code)
        named = environment.save(tmp_path, seed=7)["uncommitted"]
        assert (tmp_path / named).read_bytes() == diff
    assert len(list(tmp_path.glob("uncommitted-*.diff"))) == 2


def test_every_variable_that_changes_bits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE"):
        monkeypatch.setenv(name, "1")
        assert environment.flags()[name] == "1"


def test_the_processor_is_told_with_its_widest_vectors(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Fast CPU: 3\nflags\t\t: fpu avx avx2 sse\n\nprocessor\t: 1\n")
    assert environment.processor(info) == "Fast CPU: 3, avx2"
    info.write_text("CPU implementer\t: 0x41\n")
    assert environment.processor(info) == ""
    assert environment.processor(tmp_path / "none") == ""


def test_a_file_that_the_checkout_does_not_track_has_no_commit(tmp_path: Path) -> None:
    checkout(tmp_path)
    (tmp_path / "installed.py").write_text("")
    assert environment.code_state(tmp_path / "installed.py") == environment.Code()


def test_a_huge_diff_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = checkout(tmp_path)
    source.write_text("y\n" * 1000)
    monkeypatch.setattr(environment, "MAX_DIFF", 500)
    diff = environment.code_state(source).diff
    assert len(diff) < 550
    assert b"cut here, of 3" in diff


def test_the_file_tells_seed_device_versions_and_keeps_earlier_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device in ("cpu (1)", "gpu (1)"):
        monkeypatch.setattr(environment, "jax_device", lambda device=device: device)
        environment.save(tmp_path, seed=7)
    found = json.loads((tmp_path / "environment.json").read_text())
    assert (found["seed"], found["device"]) == (7, "gpu (1)")
    assert found["versions"]["numpy"] == np.__version__
    assert [start["device"] for start in found["earlier"]] == ["cpu (1)"]
    if found["uncommitted"]:
        assert (tmp_path / found["uncommitted"]).stat().st_size > 0


def test_flags_that_change_bits_are_told_where_they_are_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert environment.flags() == {}
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=true --token=abcdefgh")
    with jax.default_matmul_precision("bfloat16"):
        assert environment.flags() == {
            "jax_default_matmul_precision": "bfloat16",
            "XLA_FLAGS": "--xla_gpu_deterministic_ops=true --token=…",
        }


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"earlier": 3}', "[" * 100_000], ids=lambda text: text[:9]
)
def test_a_damaged_file_is_kept_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "environment.json").write_text(text)
    environment.save(tmp_path, seed=7)
    kept = list(tmp_path.glob("environment.unreadable-*.json"))
    assert [path.read_text() for path in kept] == [text]
