"""How well the health rules judge labelled runs: one command, all figures of docs/diagnosis.md.

    python benchmarks/diagnosis.py LOGS_DIR [--out FILE.json]

LOGS_DIR holds one CSV a run and `index.csv` with the columns `run, objective, label, onset_epoch`;
labels are `healthy`, `collapsed`, `never_trained` or `borderline` (which counts for nothing).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.labelled_runs import Run, count, load
from wgan_jax.health import losses
from wgan_jax.health.judge import Judge, Setup, judge
from wgan_jax.health.logs import runlog
from wgan_jax.health.past import LOSSES, Past
from wgan_jax.health.rules import RULES
from wgan_jax.health.windows import PLAIN
from wgan_jax.history import History

EVERY = 2000  # epochs between verdicts of an online judge
LATE = 0.05  # share of the run by which `failing` may come after the onset
BEGINNINGS = (30, 50, 100, 200, 500)  # rows of a run that has only begun
NAIVE = 0.01  # a naive rule for comparison: median of D's last tenth below this
# Rules on losses with a threshold to move: (sign, its threshold).
TUNED: dict[str, tuple[Callable[..., Any], float]] = {
    "critic_saturated": (losses.critic_saturated, losses.SATURATED),
    "critic_on_floor": (losses.critic_on_floor, losses.ONE_SIDED),
    "critic_dead": (losses.critic_dead, losses.VANISHED),
    "critic_at_rest": (losses.critic_at_rest, losses.RESTS),
    "gap_drowned": (losses.gap_drowned, losses.DROWNED),
    "gap_stands": (losses.gap_stands, losses.STANDS),
    "regime_change": (losses.regime_change, losses.REGIME),
    "critic_unsettled": (losses.critic_unsettled, losses.UNSETTLED),
    "losses_wild": (losses.losses_wild, losses.WILD),
}
MULTIPLIERS = tuple(2 ** (k / 4) for k in range(-8, 9))  # a quarter of the threshold to 4 times


def at_the_end(runs: Sequence[Run], bare: bool, guess: bool = False) -> dict[str, Any]:
    """Judged at the end of each run; `guess`: the objective is guessed, not given."""
    said = []
    for run in runs:
        history = run.bare if bare else run.full
        objective = runlog.guess_objective(history) if guess else run.objective
        said.append(judge(history, Setup(objective)).verdict == "failing")
    return count(runs, said)


def altered(
    runs: Sequence[Run], every: int = 1, scale: float = 1.0, offset: float = 0.0
) -> dict[str, Any]:
    """Losses thinned, or scaled and shifted, judged at the end.

    Scaled or shifted losses are judged without an objective, as those of an unknown one.
    """
    said = []
    for run in runs:
        history = History()
        columns = {key: scale * run.bare[key][::every] + offset for key in LOSSES}
        history.extend(run.bare.epochs[::every], columns)
        said.append(
            judge(history, Setup(run.objective if every > 1 else None)).verdict == "failing"
        )
    return count(runs, said)


def few(runs: Sequence[Run]) -> dict[str, Any]:
    """As few rows of each run as show a plain failure, evenly spread, judged at the end."""
    said = []
    for run in runs:
        kept = np.linspace(0, len(run.bare) - 1, PLAIN).astype(int)
        history = History()
        history.extend(run.bare.epochs[kept], {key: run.bare[key][kept] for key in LOSSES})
        said.append(judge(history, Setup(run.objective)).verdict == "failing")
    return count(runs, said)


def begun(runs: Sequence[Run], rows: int, bare: bool) -> dict[str, Any]:
    """Judged on the first so many rows of each run."""
    said = []
    for run in runs:
        history = run.bare if bare else run.full
        first = history.until(int(history.epochs[rows - 1]))
        said.append(judge(first, Setup(run.objective)).verdict == "failing")
    return count(runs, said)


def first_failing(run: Run, bare: bool) -> int | None:
    """Epoch at which a judge that goes along first says `failing`, in steps of `EVERY`."""
    whole = run.bare if bare else run.full
    judge_along = Judge(Setup(run.objective))
    for epoch in range(EVERY, int(whole.epochs[-1]) + EVERY, EVERY):
        if judge_along.update(whole.until(epoch)).verdict == "failing":
            return min(epoch, int(whole.epochs[-1]))
    return None


def online(runs: Sequence[Run], bare: bool) -> dict[str, Any]:
    """Judged along the way: in time where no later than the onset plus 5 % of the run."""
    first = {run.name: first_failing(run, bare) for run in runs}
    collapsed = [run for run in runs if run.label == "collapsed"]
    in_time = []
    for run in collapsed:
        epoch, onset = first[run.name], run.onset
        if epoch is not None and onset is not None:
            in_time += [run.name] * (epoch <= onset + LATE * float(run.full.epochs[-1]))
    accused = [run.name for run in runs if run.healthy and first[run.name] is not None]
    return {
        "in_time": len(in_time),
        "collapsed": len(collapsed),
        "late": [run.name for run in collapsed if run.name not in in_time],
        "false_alarms": len(accused),
        "accused": accused,
        "first_failing": first,
        "onset": {run.name: run.onset for run in collapsed},
    }


def naive(runs: Sequence[Run]) -> dict[str, Any]:
    """The rule that everybody thinks of first: D vanishes."""
    lasts = [run.bare["d_loss"][-len(run.bare) // 10 :] for run in runs]
    return count(runs, [abs(float(np.nanmedian(last))) < NAIVE for last in lasts])


def hits(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Rule -> whether it fires [multipliers, runs] on the losses alone, threshold multiplied."""
    pasts = []
    for run in runs:
        past = Past(Setup(run.objective))
        past.add(run.bare)
        pasts.append(past)
    return {
        name: np.array([[sign(p, line * m) is not None for p in pasts] for m in MULTIPLIERS])
        for name, (sign, line) in TUNED.items()
    }


def refit(fires: dict[str, np.ndarray], name: str, lost: np.ndarray, healthy: np.ndarray) -> int:
    """The multiplier of one rule that some runs give, the other rules as they are.

    The middle of the widest stretch in which all rules together judge these runs best: most found,
    a false alarm costing three.
    """
    middle = MULTIPLIERS.index(1.0)
    rest = np.any([f[middle] for other, f in fires.items() if other != name], axis=0)
    score = ((fires[name] | rest) & lost).sum(1) - 3 * ((fires[name] | rest) & healthy).sum(1)
    best = np.flatnonzero(score == score.max())
    stretches = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(stretches, key=len)
    return int(widest[len(widest) // 2])


def leave_one_out(runs: Sequence[Run], fires: dict[str, np.ndarray]) -> dict[str, Any]:
    """Each run judged by thresholds that the others gave, losses alone."""
    lost = np.array([run.lost for run in runs])
    healthy = np.array([run.healthy for run in runs])
    said = []
    for i in range(len(runs)):
        others = np.arange(len(runs)) != i
        chosen = {name: refit(fires, name, lost & others, healthy & others) for name in fires}
        said.append(bool(any(fires[name][k, i] for name, k in chosen.items())))
    return count(runs, said)


def margins(runs: Sequence[Run], fires: dict[str, np.ndarray]) -> dict[str, Any]:
    """For each rule: what it finds, what is found without it, how far its threshold may move."""
    middle = MULTIPLIERS.index(1.0)
    now = {name: f[middle] for name, f in fires.items()}
    whole = count(runs, list(np.any(list(now.values()), axis=0)))
    table = {}
    for name, f in fires.items():
        rest = np.any([fired for other, fired in now.items() if other != name], axis=0)
        same = [
            (c["found"], c["false_alarms"]) == (whole["found"], whole["false_alarms"])
            for c in (count(runs, list(rest | row)) for row in f)
        ]
        low, high = middle, middle
        while low > 0 and same[low - 1]:
            low -= 1
        while high < len(same) - 1 and same[high + 1]:
            high += 1
        table[name] = {
            "threshold": TUNED[name][1],
            "finds": [r.name for r, hit in zip(runs, now[name], strict=True) if r.lost and hit],
            "found_without": count(runs, list(rest))["found"],
            "may_move": [MULTIPLIERS[low], MULTIPLIERS[high]],
        }
    return table


def measure(runs: Sequence[Run]) -> dict[str, Any]:
    """All figures."""
    fires = hits(runs)
    return {
        "runs": len(runs),
        "with_fid": {
            "end": at_the_end(runs, False),
            "online": online(runs, False),
            "begun": {rows: begun(runs, rows, False) for rows in BEGINNINGS},
        },
        "losses_alone": {
            "end": at_the_end(runs, True),
            "end_objective_guessed": at_the_end(runs, True, guess=True),
            "leave_one_out": leave_one_out(runs, fires),
            "online": online(runs, True),
            "begun": {rows: begun(runs, rows, True) for rows in BEGINNINGS},
            "every_second_row": altered(runs, every=2),
            "every_fifth_row": altered(runs, every=5),
            "few_rows": few(runs),
            "objective_unknown": altered(runs),
            "tenfold_and_unknown": altered(runs, scale=10.0),
            "plus_five_and_unknown": altered(runs, offset=5.0),
            "rules": margins(runs, fires),
        },
        "naive": naive(runs),
        "rules": len(RULES),
    }


def said(name: str, c: dict[str, Any], names: bool = True) -> str:
    """One line of a count; `names`: with those missed."""
    words = ("missed", "accused") if names else ("accused",)
    extra = "".join(f"; {word} {', '.join(c[word])}" for word in words if c.get(word))
    return (
        f"  {name:<34}{c['found']} of {c['lost']} found, {c['false_alarms']} of {c['healthy']} "
        f"healthy accused{extra}"
    )


def along(name: str, o: dict[str, Any]) -> str:
    """One line of an online count."""
    extra = "".join(f"; {word} {', '.join(o[word])}" for word in ("late", "accused") if o[word])
    return (
        f"  {name:<34}{o['in_time']} of {o['collapsed']} collapses in time, {o['false_alarms']} "
        f"healthy accused{extra}"
    )


def text(figures: dict[str, Any]) -> str:
    """The figures, for people."""
    full, bare = figures["with_fid"], figures["losses_alone"]
    lines = [
        f"{figures['runs']} runs",
        "with FID and IS",
        said("at the end", full["end"]),
        along(f"online, every {EVERY}", full["online"]),
        *(said(f"the first {rows} rows", c, names=False) for rows, c in full["begun"].items()),
        "losses alone",
        said("at the end", bare["end"]),
        said("at the end, objective guessed", bare["end_objective_guessed"]),
        said("at the end, leave one out", bare["leave_one_out"]),
        along(f"online, every {EVERY}", bare["online"]),
        *(said(f"the first {rows} rows", c, names=False) for rows, c in bare["begun"].items()),
        said("every second row only", bare["every_second_row"]),
        said("every fifth row only", bare["every_fifth_row"]),
        said(f"{PLAIN} rows only", bare["few_rows"]),
        said("objective unknown", bare["objective_unknown"]),
        said("objective unknown, losses x 10", bare["tenfold_and_unknown"]),
        said("objective unknown, losses + 5", bare["plus_five_and_unknown"]),
        said("a naive rule: D below 0.01", figures["naive"]),
        "rules on losses alone: threshold; may move by; found without it; finds",
    ]
    for name, row in bare["rules"].items():
        low, high = row["may_move"]
        open_low, open_high = math.isclose(low, MULTIPLIERS[0]), math.isclose(high, MULTIPLIERS[-1])
        span = f"x{low:.2f}{'-' * open_low} .. x{high:.2f}{'+' * open_high}"
        lines.append(
            f"  {name:<18}{row['threshold']:<7g}{span:<18}{row['found_without']}  "
            f"{' '.join(row['finds'])}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("logs", type=Path, metavar="LOGS_DIR")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args(argv)
    figures = measure(load(options.logs))
    print(text(figures))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
