"""Runs that are killed and damaged at random moments, and what is left of them.

    python -m tests.faults --tries 10 --kills 50 --out benchmarks/results/faults.json

Prints a table: fault, tries, survived (the run came to its end), bits equal (to the run that none
befell). Exits 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.faults.harness import FAULTS, Bench


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=10, help="tries of each fault")
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs in one run")
    parser.add_argument("--out", type=Path, help="write the table as JSON too")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        print(f"{'fault':<34} {'tries':>5} {'survived':>9} {'bits equal':>11}")
        for name, fault in FAULTS.items():
            tries = 1 if name == "SIGKILL, many in one run" else options.tries
            results = [fault(bench, seed, options.kills) for seed in range(tries)]
            survived, equal = (sum(r[i] for r in results) for i in (0, 1))
            rows.append({"fault": name, "tries": tries, "survived": survived, "equal": equal})
            print(f"{name:<34} {tries:>5} {survived:>9} {equal:>11}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any(row["equal"] < row["tries"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
