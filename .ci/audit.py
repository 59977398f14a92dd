"""Says which installed packages have known vulnerabilities; one line where that cannot be known.

    .venv/bin/python .ci/audit.py

Never fails: a vulnerability that became known since yesterday is no fault of today's change. It is
said at the end of CI, where it is seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

PATIENCE = 300  # seconds for all of it


def audited(place: Path) -> list[dict[str, Any]]:
    """pip-audit's word on each package of this environment; empty where it has none."""
    names = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    names.pop("wgan-jax", None)
    versions = place / "versions.txt"
    versions.write_text("".join(f"{name}=={version}\n" for name, version in names.items()))
    venv.create(place / "venv", with_pip=True)
    tool = place / "venv" / "bin"
    quiet = {"capture_output": True, "text": True, "timeout": PATIENCE}
    subprocess.run([tool / "pip", "install", "pip-audit"], check=True, **quiet)
    command = [tool / "pip-audit", "--requirement", versions, "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--timeout", "15", "--format", "json"]
    done = subprocess.run(command, check=False, **quiet)
    found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return found


def main() -> int:
    try:
        with tempfile.TemporaryDirectory() as place:
            packages = [p for p in audited(Path(place)) if "vulns" in p]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        packages = []
    if not packages:
        print("pip-audit reaches no data here: known vulnerabilities are not looked for.")
        return 0
    bad = [(p, v) for p in packages for v in p["vulns"]]
    for package, vulnerability in bad:
        mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        which = f"{package['name']} {package['version']}: {vulnerability['id']}"
        print(f"VULNERABLE {which}, mended in {mended}")
    print(f"pip-audit looked at {len(packages)} packages: {len(bad)} known vulnerabilities.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
