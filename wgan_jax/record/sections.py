"""The sections of a report that a run's files give by themselves, as rows of text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np

from wgan_jax.config import describe
from wgan_jax.history import History
from wgan_jax.keys import BY_KEY, METRICS, encoder_mark, meaning
from wgan_jax.record import stability
from wgan_jax.record.ledger import SETTINGS, cell
from wgan_jax.record.pages import Row, Section, show
from wgan_jax.record.workdir import RunFolder

EVENT_KEYS = ("time", "epoch", "event", "findings")  # shown apart, or in a section of their own


def facts(run: RunFolder) -> Iterator[tuple[str, str]]:
    """The few numbers at the top of the page."""
    history, total = run.history, run.config.get("epochs")
    done = history.played
    yield "Epochs", f"{done:,}" if total in (None, done) else f"{done:,} of {total:,}"
    for key in ("d_loss", "g_loss", "wasserstein_distance"):
        value = stability.at_the_end(history, key)
        if value is not None:
            yield f"{BY_KEY[key].symbol} (median)", show(key, value)
    _, fid = history.measured("fid_score")
    if len(fid):
        yield f"Best FID{encoder_mark(encoder_of(run))}", show("fid_score", float(fid.min()))
    for key in ("inception_score_mean", "pixel_variance"):
        _, values = history.measured(key)
        if len(values):
            yield BY_KEY[key].symbol, show(key, float(values[-1]))
    _, times = history.measured("epoch_time")
    if len(times):
        yield "s/epoch", f"{np.median(times):.3g}"


def encoder_of(run: RunFolder) -> str:
    """What the samples were last measured with; empty: they were not."""
    return str(run.latest.get("encoder", ""))


def indicators(history: History, objective: str | None = None) -> Section:
    words = {True: "passed", False: "failed", None: "not measured"}
    rows: list[Row] = [
        (i.name, words[i.passed], i.value, i.rule, i.meaning)
        for i in stability.indicators(history, objective)
    ]
    header = ("Indicator", "Result", "Value", "Rule", "What it means")
    return Section("Stability indicators", header, rows)


def phases(history: History) -> Section:
    def change(value: float) -> str:
        return f"{value:+.2e}"

    rows: list[Row] = [
        (
            p.name, f"{p.first:,}-{p.last:,}",
            show("d_loss", p.d_start), show("d_loss", p.d_end), change(p.d_change),
            show("g_loss", p.g_start), show("g_loss", p.g_end), change(p.g_change),
        )
        for p in stability.phases(history)
    ]  # fmt: skip
    header = (
        "Phase",
        "Epochs",
        "D start",
        "D end",
        "D per epoch",
        "G start",
        "G end",
        "G per epoch",
    )
    note = "Start and end are medians over the first and last twentieth of the phase."
    return Section("Phases", header, rows, note)


def classes(run: RunFolder) -> Section:
    """How the samples spread over the classes that the encoder knows."""
    found = run.latest.get("class_shares", {})
    row = tuple(f"{share:.1%}" for share in found.values())
    note = "Share of the generated samples that the encoder takes for each class."
    return Section("Classes", tuple(found), [row] if row else [], note)


def summary(run: RunFolder) -> Section:
    names = {
        "date": "Date", "status": "Status", "objective": "Objective", "data": "Data",
        "batch": "Batch", "critic_lr": "Learning rate, critic",
        "generator_lr": "Learning rate, generator", "n_critic": "n_critic", "clip": "Clip",
        "seed": "Seed", "wandb": "W&B", "notes": "Notes",
    }  # fmt: skip
    known = {column: run.config.get(name) for column, name in SETTINGS.items()} | run.summary
    rows: list[Row] = [
        (label, cell(known, name)) for name, label in names.items() if known.get(name) is not None
    ]
    rows = [row for row in rows if row[1] != "–"]
    _, times = run.history.measured("epoch_time")
    if len(times) and np.isfinite(times).all():
        rows.append(("Training time", duration(float(times.sum()))))
    if run.environment.get("device"):
        rows.append(("Device", str(run.environment["device"])))
    return Section("Run summary", ("What", "Value"), rows)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, e.g. `2 h 05 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def settings(run: RunFolder) -> Section:
    """Every setting; those that differ from the defaults first."""
    known = {name: (default, meaning) for name, default, meaning in describe()}
    rows: list[Row] = []
    for name, value in run.config.items():
        default, meaning = known.get(name, (None, ""))
        plain = list(default) if isinstance(default, tuple) else default
        changed = "" if plain == value else _text(default)
        rows.append((name, _text(value), changed, meaning))
    rows.sort(key=lambda row: row[2] == "")
    header = ("Setting", "Value", "Default, where another", "Meaning")
    return Section("Configuration", header, rows, long=True)


def _text(value: Any) -> str:
    """A value of the configuration or of an event in words."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def protocol(run: RunFolder) -> Section:
    """How each number came about."""
    how = {
        "losses": "every epoch, on the last critic batch (G: on the generator's batch)",
        "weights": "every epoch, over all trainable weights, after the round",
        "stability": "every epoch",
        "speed": "wall time of a chunk of epochs, over its epochs",
        "quality": _quality_protocol(run),
    }
    objective, unmeasured = run.config.get("objective"), "not measured"
    rows: list[Row] = [
        (metric.symbol, metric.key, meaning(metric.key, objective), how[metric.group] or unmeasured)
        for metric in METRICS
        if metric.key in run.history
    ]
    header = ("Symbol", "Key", "Definition", "Measured")
    return Section("Protocol of each number", header, rows, long=True)


def _quality_protocol(run: RunFolder) -> str:
    """The protocol of the last measurement in words."""
    parts = run.latest.get("protocol", "")
    words = ", ".join(f"{k} {v}" for k, v in parts.items()) if isinstance(parts, dict) else parts
    every = run.config.get("quality_every")
    when = f"every {every:,} epochs and after the last" if every else ""
    return "; ".join(filter(None, (when, words)))


def environment(run: RunFolder) -> Section:
    plain = (
        *("started", "seed", "device", "commit", "uncommitted", "python"),
        *("platform", "processor", "cpus"),
    )
    found = run.environment
    rows: list[Row] = [(name, str(found[name])) for name in plain if found.get(name)]
    if found.get("untracked"):
        rows.append(("untracked", ", ".join(map(str, found["untracked"]))))
    if found.get("command"):
        rows.append(("command", shlex.join(map(str, found["command"]))))
    for group in ("flags", "versions"):
        rows += [(name, str(value)) for name, value in found.get(group, {}).items()]
    return Section("Environment", ("What", "Value"), rows, long=True)


def events(run: RunFolder) -> Section:
    rows: list[Row] = []
    for event in run.events:
        rest = {k: v for k, v in event.items() if k not in EVENT_KEYS}
        evidence = ", ".join(f"{name}: {_text(value)}" for name, value in rest.items())
        what = (str(event.get("event", "–")), str(event.get("epoch", "–")))
        rows.append((*what, str(event.get("time", "–")), evidence[:300]))
    return Section("Events", ("Event", "Epoch", "Time", "Evidence"), rows, long=True)
