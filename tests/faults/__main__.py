"""Runs that are killed, damaged and starved at random moments, and what is left of them.

    python -m tests.faults --tries 5 --kills 50 --out benchmarks/results/faults.json

Prints a table: fault, tries, survived (it was met as promised, and the run came to its end), bits
equal (to the run that none befell). `--docs` renders what `--out` holds into a page. Exits 1 if
anything was lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401  a CPU, and no services
from tests.faults.harness import Bench, Result, can_mount
from tests.faults.table import faults

BEGIN, END = "<!-- made by `make faults` -->", "<!-- end -->"
Row = Mapping[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=5, help="tries of each fault")
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs in one run")
    parser.add_argument("--minutes", type=float, default=25, help="then one try of each is enough")
    parser.add_argument("--only", default="", help="only faults with this in their name")
    parser.add_argument("--out", type=Path, help="keep the table as JSON; others' rows stay in it")
    parser.add_argument("--docs", type=Path, help="a page to write the table into")
    options = parser.parse_args()
    names = [name for name in faults(options.kills) if options.only in name]
    lost = False
    for row in _tried(names, options):
        lost |= min(row["survived"], row["equal"]) < row["tries"]
        if options.out:  # after each: what was tried is kept, however this ends
            rows = kept(options.out, row, list(faults(options.kills)))
            options.out.write_text(json.dumps(rows, indent=2) + "\n")
            if options.docs:
                options.docs.write_text(rendered(options.docs.read_text(), rows))
    return int(lost)


def _tried(names: Sequence[str], options: argparse.Namespace) -> Iterator[Row]:
    deadline = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        mounts = can_mount(bench.place)
        print(f"{'fault':<34} {'tries':>5} {'survived':>9} {'bits equal':>11}")
        for name in names:
            fault = faults(options.kills)[name]
            if name.startswith("disk full") and not mounts:
                print(f"{name:<34} not tried: it takes the right to mount a small disk")
                continue
            results: list[Result] = []
            for seed in range(1 if "in one run" in name else options.tries):
                if not results or time.monotonic() < deadline:
                    results.append(fault(bench, seed))
            survived, equal = (sum(result[i] for result in results) for i in (0, 1))
            row = {"fault": name, "tries": len(results), "survived": survived, "equal": equal}
            print(f"{name:<34} {row['tries']:>5} {survived:>9} {equal:>11}", flush=True)
            yield row


def kept(out: Path, row: Row, order: Sequence[str]) -> list[Row]:
    """The rows of a file with this one in it, in the table's order."""
    rows = {
        other["fault"]: other for other in json.loads(out.read_text() if out.exists() else "[]")
    }
    rows[row["fault"]] = row
    return [rows[name] for name in order if name in rows]


def rendered(page: str, rows: Sequence[Row]) -> str:
    """The page with the table in its place."""
    head, rest = page.split(BEGIN)
    lines = ["| fault | tries | survived | bits equal |", "|---|---|---|---|"]
    lines += [f"| {r['fault']} | {r['tries']} | {r['survived']} | {r['equal']} |" for r in rows]
    return "\n".join([head + BEGIN, "", *lines, "", END + rest.split(END)[1]])


if __name__ == "__main__":
    sys.exit(main())
