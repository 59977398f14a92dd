"""All plants over seeds, as a table: python -m tests.failures [--seeds 5] [--out FILE.json]."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from tests.failures.planted import PLANTS, Result, play


def line(result: Result) -> str:
    """One row of the table."""
    label = "failed" if result.failed else "worked"
    mark = "" if result.right else "  WRONG"
    causes = ", ".join(result.causes)
    return (
        f"{result.plant:<14}{result.seed:>4}  {result.classes:>2}/10  {result.fid:>6.1f}  {label}  "
        f"{result.verdict:<8}{causes}{mark}"
    )


def main() -> int:
    """Play every plant with every seed; exit code 1 if the judge was wrong anywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plants", nargs="*", choices=list(PLANTS), default=list(PLANTS))
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    options = parser.parse_args()
    print("plant         seed  classes  FID  label   verdict and causes", flush=True)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for plant in options.plants:
            for seed in range(options.seeds):
                result = play(plant, seed, Path(folder, f"{plant}_{seed}"))
                results.append(result)
                print(line(result), flush=True)
    wrong = sum(not result.right for result in results)
    print(f"{len(results)} runs, {sum(r.failed for r in results)} failed; judged wrongly: {wrong}")
    if options.out:
        rows = [dataclasses.asdict(result) for result in results]
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
