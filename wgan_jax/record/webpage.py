"""A report as one self-contained HTML file: no network, light and dark, everything escaped."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from wgan_jax.record.pages import TONES, Page, Section
from wgan_jax.record.samples import epochs_in_name, evenly

PARTS = Path(__file__).parent / "html"
MAX_GRIDS = 40
MAX_GRID_BYTES = 6_000_000  # of all embedded grids together


def webpage(
    page: Page, charts: dict[str, Any], grids: Sequence[Path], reals: Path | None = None
) -> str:
    """The HTML of a report.

    Args:
      page: its texts and tables.
      charts: what `record.curves.charts` gives.
      grids: sample grids by epoch, of which evenly spaced ones are embedded.
      reals: a grid of real images, to compare them with.
    """
    chosen = choose(grids)
    pictures = [{"epoch": epochs_in_name(path), "src": _data_uri(path)} for path in chosen]
    values = {
        "title": escape(page.name),
        "verdict": escape(page.verdict),
        "tone": TONES.get(page.verdict, "bad"),
        "reason": escape(page.reason),
        "facts": "".join(_fact(name, value) for name, value in page.facts),
        "samples": _samples(pictures, len(grids), reals is not None),
        "first": "".join(_section(s) for s in page.sections[:1]),
        "early": "".join(_section(s) for s in page.sections[1:] if s.early),
        "sections": "".join(_section(s) for s in page.sections[1:] if not s.early),
        "notes": _notes(page.notes),
        "style": _part("report.css"),
        "script": _part("report.js"),
        "data": _json({"charts": charts, "grids": pictures, "reals": reals and _data_uri(reals)}),
    }
    return re.sub("{{(.+?)}}", lambda name: values[name[1].strip()], _part("report.html"))


def choose(grids: Sequence[Path]) -> list[Path]:
    """The grids to embed: evenly spaced, the first and last among them, within both limits."""
    if not grids:
        return []
    size = sum(path.stat().st_size for path in grids) / len(grids)
    return evenly(grids, max(2, min(MAX_GRIDS, int(MAX_GRID_BYTES / max(size, 1)))))


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON for a script element: no sign in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _samples(pictures: list[dict[str, Any]], total: int, with_reals: bool) -> str:
    if not pictures:
        return ""
    last, top = pictures[-1], len(pictures) - 1
    words = f"after {last['epoch']:,} epochs"
    shown = f" ({len(pictures)} of {total} grids)" if len(pictures) < total else ""
    real = '<button id="real" type="button" aria-pressed="false">real images</button>' * with_reals
    return f"""<section id="samples"><h2>Samples</h2>
<p class="note">Drawn from the same latents at every epoch{shown}.</p>
<figure><img id="grid" src="{last["src"]}" alt="Grid of samples {words}">
<figcaption><button id="play" type="button" aria-label="Play">▶</button>
<input id="slider" type="range" min="0" max="{top}" value="{top}" aria-label="Epoch of the samples">
<output id="epoch" for="slider">{words}</output>{real}
</figcaption></figure></section>"""


def _section(section: Section) -> str:
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in section.header)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in section.rows)
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    table = f'<div class="scroll"><table>{rows}</table></div>'
    if section.long:
        return (
            f"<details><summary><h2>{escape(section.title)}</h2></summary>{note}{table}</details>"
        )
    return f"<section><h2>{escape(section.title)}</h2>{note}{table}</section>"


MARKS = {"passed": "good", "failed": "bad", "failing": "bad", "warning": "warn"}


def _cell(text: str) -> str:
    """A table cell: numbers do not wrap, addresses become links, marks get their colour."""
    if text in MARKS:
        return f'<td><span class="mark {MARKS[text]}">{text}</span></td>'
    if text.startswith(("https://", "http://")):
        return f'<td><a href="{escape(text)}">{escape(text)}</a></td>'
    number = text.lstrip("+-−")[:1].isdigit() and not any(
        c.isalpha() for c in text.replace("e", "")
    )
    return f"<td{' class=number' * number}>{escape(text)}</td>"


def _notes(notes: list[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<section><h2>Notes</h2><ul>{items}</ul></section>"
