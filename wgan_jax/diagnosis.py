"""The verb `diagnose`: what a run's log says of its health, for any GAN's log."""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from wgan_jax.errors import UserError, apart, printable, shorten
from wgan_jax.files import expanded
from wgan_jax.health.judge import NOT_JUDGED, Setup, Verdict, judge
from wgan_jax.health.logs import runlog
from wgan_jax.health.logs.names import KNOWN, OF_SAMPLES
from wgan_jax.health.logs.runlog import (
    SUFFIXES,
    TEXTS,
    RunLog,
    guess_objective,
    is_run,
    is_workdir,
)
from wgan_jax.health.past import OBJECTIVES
from wgan_jax.health.windows import COUNT, FINE, LEAST, LEAST_SCORES, PLAIN
from wgan_jax.history import History
from wgan_jax.record import ledger, workdir

WIDTH = 80
BESIDE_RUNS = (ledger.TABLE, ledger.CONCLUSION)  # tables of our own, and no run's log


def diagnose(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    objective: str | None = None,
    until: int | None = None,
    as_json: bool = False,
) -> None:
    """Print the diagnosis of a log, a run folder, or a folder of either.

    Args:
      columns: key -> column, where names cannot be guessed.
      objective: the runs' objective; None: as the log says, or guessed.
      until: judge as if the run had only come to this epoch; None: all of it.
      as_json: one JSON object a line instead of text.

    Raises:
      UserError: nothing there can be read as a run's log.
    """
    if objective is not None and objective not in OBJECTIVES:
        raise UserError(f"--objective {objective} is none of {', '.join(OBJECTIVES)}.")
    if not path.is_dir() or is_run(path):
        log = _up_to(until, read_log(path, columns=columns, objective=objective))
        verdict = judge(log.history, log.setup)
        print(as_line(log, verdict) if as_json else as_text(log, verdict))
        return
    found = list(_examine_all(path, columns, objective, until))
    if not found:
        raise UserError(
            f"{path} holds no run's log: it needs {', '.join(SUFFIXES)}, TensorBoard's events or "
            "run folders."
        )
    if as_json:
        print("\n".join(as_line(log, verdict) for log, verdict in found))
    else:
        print(as_table(found))


def read_log(
    path: str | Path, *, columns: Mapping[str, str] | None = None, objective: str | None = None
) -> RunLog:
    """The log of a run of this project, from its folder, or of any other; arguments as above.

    Raises:
      UserError: there is no such log, or nothing in it can be judged.
    """
    path = expanded(path)
    if not is_workdir(path):
        return runlog.read(path, columns=columns, objective=objective)
    run = workdir.read(path)
    history = History()
    kept = KNOWN.intersection(run.history.keys())
    history.extend(run.history.epochs, {key: run.history[key] for key in sorted(kept)})
    setup = setup_of(run)
    said = objective or setup.objective
    return RunLog(
        path,
        history,
        columns={},
        setup=replace(setup, objective=said or guess_objective(history)),
        guessed=said is None,
        notes=tuple(run.faults),
    )


def setup_of(run: workdir.RunFolder) -> Setup:
    """What a run's folder tells the judge."""
    config = run.config
    objective = config.get("objective")
    return Setup(
        objective if objective in OBJECTIVES else None,
        run.latest.get("encoder"),
        config.get("clip"),
        config.get("epochs"),
    )


def _up_to(until: int | None, log: RunLog) -> RunLog:
    """The log, as if its run had only come to this epoch.

    Raises:
      UserError: nothing was recorded up to there.
    """
    if until is None:
        return log
    history = log.history.until(until)
    if len(history) == 0:
        first = log.history.epochs[0]
        raise UserError(
            f"{log.path} begins at {log.unit} {first}: --until {until} must be that or more."
        )
    return replace(log, history=history)


def _examine_all(
    folder: Path, columns: Mapping[str, str] | None, objective: str | None, until: int | None
) -> Iterator[tuple[RunLog, Verdict]]:
    """Logs and run folders directly in a folder; a table that is none is named on stderr."""
    for path in sorted(folder.iterdir()):
        is_log = path.suffix.lower() in SUFFIXES and path.name not in BESIDE_RUNS
        if not (is_run(path) if path.is_dir() else is_log):
            continue
        try:
            log = _up_to(until, read_log(path, columns=columns, objective=objective))
            yield log, judge(log.history, log.setup)
        except UserError as error:
            if path.suffix.lower() not in TEXTS:
                print(f"skipped: {error}", file=sys.stderr)


def as_line(log: RunLog, verdict: Verdict) -> str:
    """The diagnosis as one JSON object on one line."""
    seen = ("rule", "cause", "verdict", "evidence", "onset_epoch")
    said = {
        "file": str(log.path),
        "verdict": verdict.word,
        "onset_epoch": verdict.onset_epoch,
        "causes": list(verdict.causes),
        "advice": list(verdict.advice),
        "objective": log.setup.objective,
        "guessed": log.guessed,
        "rows": len(log.history),
        "first_epoch": int(log.history.epochs[0]),
        "last_epoch": int(log.history.epochs[-1]),
        "columns": {key: printable(column) for key, column in log.columns.items()},
        "findings": [{key: getattr(found, key) for key in seen} for found in verdict.findings],
        "notes": [*log.notes, *_limits(log)],
    }
    return json.dumps(said, ensure_ascii=False)


def as_text(log: RunLog, verdict: Verdict) -> str:
    """The diagnosis of one run, for people."""
    history = log.history
    keys = filter(lambda key: np.isfinite(history[key]).any(), history.keys())
    ordered = sorted(keys, key=lambda key: key not in OF_SAMPLES)  # what decides most comes first
    measured = (_with_its_column(key, log.columns.get(key, key)) for key in ordered)
    objective = log.setup.objective or "unknown"
    guessed = " (guessed)" if log.guessed and log.setup.objective else ""
    since = f" since {log.unit} {verdict.onset_epoch}" if verdict.findings else ""
    lines = [
        f"{printable(log.path.name)}: {verdict.word}{since}",
        f"  from {log.unit} {history.epochs[0]} to {history.epochs[-1]}, {len(history)} rows; "
        f"objective {objective}{guessed}; measured: {shorten(measured, 160)}",
    ]
    # Findings of one cause and advice are one paragraph, in the order of the verdict.
    alike = dict.fromkeys((f.verdict, f.cause, f.advice) for f in verdict.findings)
    for level, cause, advice in alike:
        same = [
            f for f in verdict.findings if (f.verdict, f.cause, f.advice) == (level, cause, advice)
        ]
        onset = min(f.onset_epoch for f in same)
        lines += ["", f"  {level}: {cause}, from {log.unit} {onset}"]
        lines += [f"    evidence  {f.evidence} ({f.rule})" for f in same]
        lines += [f"    advice    {advice}"]
        lines += [f"    source    {source}" for source in dict.fromkeys(f.source for f in same)]
    notes = [*log.notes, *_limits(log)]
    lines += [""] * bool(notes) + [f"  note: {note}" for note in notes]
    return "\n".join(_wrap(line) for line in lines)


def _with_its_column(key: str, column: str) -> str:
    """A key, and the column it was read from where that has another name."""
    return key if column == key else f"{key} (from {column})"


def _limits(log: RunLog) -> list[str]:
    """What could not be judged, and why."""
    rows = len(log.history.measured("d_loss")[0])
    if rows == 0:
        return [
            "There are no losses of D: judged by the samples alone, FID from "
            f"{LEAST_SCORES} values on."
        ]
    limits = []
    if not log.setup.objective:
        limits.append(
            "The losses fit no objective we know: the rules of one are not applied, unless "
            f"--objective names it ({', '.join(OBJECTIVES)})."
        )
    if log.opens:
        limits.append(
            f"The run has only begun: before {log.unit} {log.setup.opening} a sound game may "
            "look lost, as the critic wins at first. Until then losses are called failing only "
            "where they are no numbers or never move. Judge again later: D should have left 0, and "
            "G rise no more."
        )
    if rows < LEAST:
        limits.append(
            f"{rows} values of d_loss: the losses are judged from {LEAST} values on; of fewer, "
            f"from {PLAIN} on, only plain failures are seen."
        )
    elif rows < FINE * COUNT:
        limits.append(
            f"{rows} values of d_loss: its noise is judged from {FINE * COUNT} values on."
        )
    return limits


def _wrap(line: str) -> str:
    """A line at most `WIDTH` wide; what goes over continues under its text."""
    indent = len(line) - len(line.lstrip())
    if line.startswith("    "):
        indent += 10
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * (indent + 2 * (indent < 10)))


def _names(paths: list[Path]) -> list[str]:
    """What runs in a folder are called: of files the suffix only where it tells them apart."""
    plain = [path.name if path.is_dir() else path.stem for path in paths]
    times = Counter(plain)
    return [
        printable(path.name if times[name] > 1 else name)
        for path, name in zip(paths, plain, strict=True)
    ]


def as_table(found: list[tuple[RunLog, Verdict]]) -> str:
    """One line a run, at most `WIDTH` wide, and a last line that counts them."""
    names = _names([log.path for log, _ in found])
    wide = min(max(map(len, names)), 24)
    lines = [f"{'run':<{wide}}  {'verdict':<10}  {'onset':>7}  cause and evidence", "─" * WIDTH]
    words = [verdict.word for _, verdict in found]
    for name, said, (_, verdict) in zip(apart(names, wide), words, found, strict=True):
        onset = "" if verdict.onset_epoch is None else str(verdict.onset_epoch)
        why = ""
        if verdict.findings:
            why = f"{verdict.findings[0].cause}: {verdict.findings[0].evidence}"
        room = WIDTH - wide - 23
        why = why if len(why) <= room else why[: room - 1] + "…"
        lines.append(f"{name:<{wide}}  {said:<10}  {onset:>7}  {why}".rstrip())
    counts = [f"{words.count(level)} {level}" for level in ("failing", "warning", "healthy")]
    counts += [f"{words.count(NOT_JUDGED)} {NOT_JUDGED}"] * (NOT_JUDGED in words)
    return "\n".join([*lines, "─" * WIDTH, f"{len(found)} runs: {', '.join(counts)}"])
