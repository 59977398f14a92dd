"""A run's files -> `report.md`, `report.html`, `dashboard.png`. Reads files only, without jax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wgan_jax.bands import ALIKE, alike_below, band, may_be_wasserstein, may_clip
from wgan_jax.diagnosis import setup_of
from wgan_jax.files import replace_text
from wgan_jax.health.judge import Verdict, judge
from wgan_jax.health.windows import LEAST, LEAST_SCORES
from wgan_jax.history import History
from wgan_jax.keys import (
    BY_KEY,
    QUALITY_EXTRAS,
    QUALITY_KEYS,
    ROUND_EXTRAS,
    ROUND_KEYS,
    encoder_mark,
)
from wgan_jax.record import curves, sections, stability
from wgan_jax.record.figures import dashboard
from wgan_jax.record.pages import Page, Row, Section, markdown, show
from wgan_jax.record.samples import REALS, grid_paths
from wgan_jax.record.webpage import webpage
from wgan_jax.record.workdir import RunFolder, read

MEANINGS = {
    "stable": "{} behave as those of a run that learns",
    "unstable": "something is off, though the run may still learn",
    "collapsed": "the run no longer learns",
    "not judged": f"losses are judged from {LEAST} epochs on, samples from {LEAST_SCORES} FIDs on",
}


def report(workdir: Path, ending: Mapping[str, Any] | None = None) -> tuple[Path, ...]:
    """Write the report of a run, finished or not, into its folder; returns the files' paths.

    Args:
      workdir: the run's folder.
      ending: an event that will be written when the report is, and is shown among the others.

    Raises:
      UserError: the folder holds no run, or cannot be written.
    """
    run = read(workdir)
    run.events.extend([dict(ending)] if ending else [])
    page = build(run)
    encoder, objective = sections.encoder_of(run), run.config.get("objective")
    paths = tuple(workdir / name for name in ("report.html", "report.md", "dashboard.png"))
    charts = curves.charts(run.history, encoder, objective)
    grids = grid_paths(workdir / "samples", run.history.played)
    reals = workdir / "samples" / REALS
    html = webpage(page, charts, grids, reals if reals.exists() else None)
    replace_text(paths[0], html)
    replace_text(paths[1], markdown(page))
    dashboard(run.history, paths[2], run.name, page.verdict, page.reason, encoder, objective)
    return paths


def build(run: RunFolder) -> Page:
    """The report's content, with the judge's verdict on what was measured."""
    setup = setup_of(run)
    verdict, objective = judge(run.history, setup), setup.objective
    overall = stability.overall(verdict.word, run.history, objective)
    reason = _reason(overall, run.history, objective)
    if verdict.findings:
        reason += f" Foremost: {verdict.causes[0]}, since epoch {verdict.onset_epoch:,}."
    tables = [
        sections.summary(run),
        _findings(verdict),
        sections.indicators(run.history, objective),
        sections.phases(run.history),
        _last_epochs(run),
        _quality(run),
        sections.classes(run),
        sections.settings(run),
        sections.protocol(run),
        sections.environment(run),
        sections.events(run),
    ]
    kept = [table for table in tables if table.rows]
    return Page(run.name, overall, reason, list(sections.facts(run)), kept, list(_notes(run)))


def _reason(word: str, history: History, objective: str | None) -> str:
    """What the word rests on; a run is said to learn where all that was measured passed."""
    passed, measured = stability.score(stability.indicators(history, objective))
    score = f"{passed} of {measured} stability indicators passed"
    if word == "stable" and passed < measured:
        return f"{score}."
    samples = any(len(history.measured(key)[0]) for key in ("pixel_variance", "fid_score"))
    parts = "losses, gradients and samples" if samples else "losses and gradients"
    return f"{score}; {MEANINGS[word].format(parts)}."


def _findings(verdict: Verdict) -> Section:
    rows: list[Row] = [
        (f.cause, f.verdict, f"{f.onset_epoch:,}", f.evidence, f.advice, f.source)
        for f in verdict.findings
    ]
    header = ("Finding", "Level", "Since epoch", "Evidence", "What to do", "Source")
    return Section("Findings", header, rows, early=True)


def _last_epochs(run: RunFolder) -> Section:
    objective = run.config.get("objective")
    rows: list[Row] = []
    for key in (*ROUND_KEYS, *ROUND_EXTRAS):
        values = run.history.measured(key)[1][-stability.WINDOW :]
        if len(values) == 0 or (key == "clip_ratio" and not may_clip(objective)):
            continue
        middle = float(np.median(values))
        named = band(key, middle, objective=objective)
        shown = (show(key, middle), show(key, float(values[-1])))
        rows.append((_symbol(key), *shown, named.name if named else "–"))
    note = (
        f"Medians over the last {stability.WINDOW} epochs. The guide names single values; the "
        "verdict rests on what is seen over time. A D/G ratio near 0 is also that of a critic "
        "whose two terms cancel out."
    )
    return Section("The last epochs", ("Metric", "Median", "Last", "Band"), rows, note)


def _quality(run: RunFolder) -> Section:
    objective, encoder = run.config.get("objective"), sections.encoder_of(run)
    rows: list[Row] = []
    real = run.history.measured("real_pixel_variance")[1].tolist()
    for key in (*QUALITY_KEYS, *QUALITY_EXTRAS):
        epochs, values = run.history.measured(key)
        if len(values) == 0:
            continue
        best = ""
        if key in BY_KEY and BY_KEY[key].summary != "last":
            at = int(np.argmin(values) if BY_KEY[key].summary == "min" else np.argmax(values))
            best = f"{show(key, float(values[at]))} at {epochs[at]:,}"
        named = band(key, float(values[-1]), objective=objective, encoder=encoder)
        if key == "pixel_variance" and alike_below(real) < ALIKE:
            named = None  # the band is that of natural images, and the data are none
        last = show(key, float(values[-1]))
        rows.append(
            (_symbol(key), last, f"{epochs[-1]:,}", best or "–", named.name if named else "–")
        )
    note = ""
    if rows and encoder_mark(encoder):
        note = f"FID and IS are measured with the {encoder} encoder: they compare runs with each "
        note += "other, not with published numbers, and Inception's bands do not hold."
    header = ("Metric", "Last", "Measured at epoch", "Best", "Band")
    return Section("Final quality", header, rows, note)


def _symbol(key: str) -> str:
    return BY_KEY[key].symbol if key in BY_KEY else key


def _notes(run: RunFolder) -> Iterator[str]:
    yield from run.faults
    if run.environment.get("earlier"):
        yield f"The run was started {len(run.environment['earlier']) + 1} times; the last is shown."
    n = run.config.get("quality.n")
    if n and n < 2048 and "fid_score" in run.history and sections.encoder_of(run) == "inception":
        yield f"FID from {n:,} samples: below 2,048 the covariance is singular and FID biased up."
    yield f"D, G and W-dist at the top are medians over the last {stability.WINDOW} epochs."
    if may_be_wasserstein(run.config.get("objective")):
        yield "W-dist is the critic's estimate, up to its unknown slope."
    else:
        yield "W-dist is the gap of the critic's scores, a distance for Wasserstein losses only."
