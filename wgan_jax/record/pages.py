"""A report as content: a title, facts, and sections of rows; and the same as Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from wgan_jax.keys import BY_KEY

Row = tuple[str, ...]

# The words of `stability.overall`: the sign before each in text, and the tone of its colour.
SIGNS = {"stable": "✅", "unstable": "⚠️", "collapsed": "❌", "not judged": "–"}
TONES = {"stable": "good", "unstable": "warn", "collapsed": "bad", "not judged": "quiet"}


@dataclass(frozen=True)
class Section:
    """One table of a report.

    Attributes:
      title: its heading.
      header: names of the columns.
      rows: cells, as many in each as in the header.
      note: what a reader needs to know of it, one paragraph; empty: nothing.
      long: whether it is reference material, folded away on the page.
      early: whether it comes before the page's charts.
    """

    title: str
    header: Row
    rows: list[Row]
    note: str = ""
    long: bool = False
    early: bool = False


@dataclass(frozen=True)
class Page:
    """A run's report.

    Attributes:
      name: the run's name.
      verdict: stable, unstable, collapsed or not judged.
      reason: one line: what the verdict rests on.
      facts: (name, value) of the numbers that stand for the run, for the top of the page.
      sections: its tables, in order.
      notes: lines to end on: caveats, damaged files.
    """

    name: str
    verdict: str
    reason: str
    facts: list[tuple[str, str]]
    sections: list[Section]
    notes: list[str] = field(default_factory=list)


def show(key: str, value: float | None) -> str:
    """A value as reports print it: in the metric's format, or in 3 digits if it shows under 2."""
    if value is None or math.isnan(value):
        return "–"
    spec = BY_KEY[key].format if key in BY_KEY else ".4f"
    text = format(value, spec)
    digits = text.rstrip("%").lstrip("-0.").replace(".", "")
    if value == 0 or len(digits) >= 2:
        return text
    return f"{100 * value:.3g}%" if spec.endswith("%") else format(value, ".3g")


def markdown(page: Page) -> str:
    """The page as Markdown with pipe tables; cells are escaped."""
    sign = SIGNS.get(page.verdict, "❌")
    parts = [f"# {_cell(page.name)}", f"**{sign} {page.verdict}**: {_cell(page.reason)}"]
    for section in page.sections:
        parts.append(f"## {section.title}")
        if section.note:
            parts.append(section.note)
        parts.append(table(section.header, section.rows))
    if page.notes:
        parts += ["## Notes", "\n".join(f"- {_cell(note)}" for note in page.notes)]
    return "\n\n".join(parts) + "\n"


def table(header: Row, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Text that neither ends a cell nor begins markup."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    for sign in "|<*`":
        plain = plain.replace(sign, "\\" + sign)
    return plain
