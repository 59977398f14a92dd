"""What a run was made with: versions, device, flags, the code's commit and what differs, seed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from wgan_jax.files import as_object, replace_bytes, replace_object
from wgan_jax.record.redaction import redacted, redacted_words
from wgan_jax.record.writers import to_json

PACKAGES = (
    *("wgan-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "clu", "ml_collections"),
    *("numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "tensorflow-datasets"),
    *("tensorflow-cpu", "tensorflow", "wandb", "tensorboard"),
)

# Beside its settings, what may change the bits of a run: flags of jax, variables read by XLA.
JAX_FLAGS = ("jax_default_matmul_precision", "jax_disable_most_optimizations")
VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")

VECTORS = ("avx512f", "avx2", "avx")  # of x86, as Linux calls them; the widest first

MAX_DIFF = 1_000_000  # bytes; a larger diff is cut, and says so in its last line
MAX_UNTRACKED = 50  # files


@dataclass(frozen=True)
class Code:
    """The state of the git checkout that a source file belongs to; empty where there is none.

    Attributes:
      commit: its hash.
      diff: what tracked files differ by from that commit, at most `MAX_DIFF` bytes of it; without
        passwords and keys.
      untracked: paths of files that git neither tracks nor ignores, at most `MAX_UNTRACKED`.
    """

    commit: str = ""
    diff: bytes = b""
    untracked: tuple[str, ...] = ()


def describe(seed: int, code: Code) -> dict[str, Any]:
    """This process, as it is written to `environment.json`; see `save` and `code_state`."""
    digest = hashlib.sha256(code.diff).hexdigest()[:8]
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seed": seed,
        "device": jax_device(),
        "commit": code.commit,
        "uncommitted": f"uncommitted-{digest}.diff" if code.diff else "",
        "untracked": list(code.untracked),
        "command": redacted_words([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "flags": flags(),
        "versions": versions(),
    }


def save(workdir: Path, seed: int) -> dict[str, Any]:
    """Write `environment.json` and, where there are uncommitted changes, their diff beside it.

    The descriptions of earlier starts (a run may resume under other versions) are kept in it, in
    their order, under `earlier`.

    Args:
      workdir: the run's folder.
      seed: the run's seed.
    """
    path = workdir / "environment.json"
    code = code_state(Path(__file__))
    found = describe(seed, code)
    found["earlier"] = _earlier(path)
    if code.diff:
        replace_bytes(workdir / found["uncommitted"], code.diff)
    replace_object(path, json.loads(to_json(found)))
    return found


def _earlier(path: Path) -> list[dict[str, Any]]:
    """The starts recorded in an environment file so far; an unreadable file is kept aside."""
    if not path.exists():
        return []
    last = as_object(path.read_bytes()) or {}
    earlier = last.pop("earlier", None)
    if isinstance(earlier, list):
        return [*earlier, last]
    path.replace(path.with_name(f"environment.unreadable-{time.time_ns()}.json"))
    return []


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name and its widest vectors, as Linux tells them; "" elsewhere.

    XLA sums along vectors: with wider ones a CPU rounds otherwise.
    """
    try:
        lines = info.read_text().splitlines()
    except OSError:
        return ""
    told = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    wide = [name for name in VECTORS if name in told.get("flags", "").split()]
    return ", ".join([name for name in (told.get("model name", ""), *wide[:1]) if name])


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions of packages; by default of those that a run's numbers may depend on."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def flags() -> dict[str, str]:
    """Flags and variables that are set and may change bits, without passwords and keys."""
    jax = sys.modules.get("jax")
    found = {name: jax.config.values[name] for name in JAX_FLAGS} if jax is not None else {}
    found |= {name: os.environ.get(name) for name in VARIABLES}
    return {name: redacted(str(value)) for name, value in found.items() if value}


def jax_device() -> str:
    """Kind and number of jax's devices, e.g. "cpu (1)"; empty where jax is not in use."""
    jax = sys.modules.get("jax")
    if jax is None:
        return ""
    devices = jax.devices()
    return f"{devices[0].device_kind} ({len(devices)})"


def code_state(source: Path) -> Code:
    """The state of the git checkout that tracks the file `source`.

    A package that was installed into some other project's checkout is not tracked by it, and has
    no commit of its own.
    """
    folder = source.parent
    if not _git(folder, "ls-files", "--", source.name):
        return Code()
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    found = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color", "--binary")
    diff = redacted(found.decode(errors="surrogateescape")).encode(errors="surrogateescape")
    if len(diff) > MAX_DIFF:
        diff = diff[:MAX_DIFF] + f"\n(cut here, of {len(diff)} bytes)\n".encode()
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", ":/")
    return Code(commit, diff, tuple(others.decode().splitlines()[:MAX_UNTRACKED]))


def _git(folder: Path, *arguments: str) -> bytes:
    """What a git command prints; empty when git or the checkout is not there."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout
