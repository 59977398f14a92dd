"""What a training program prints: `[0/20][5/100] Loss_D: 1.26 Loss_G: 0.7` as rows of columns.

Read are `NAME: NUMBER` and `NAME=NUMBER`, `NAME NUMBER` where we know the name, and `D (NUMBER` or
`g[NUMBER` of a network; `[0/20][5/100]` is an epoch and a batch. A line without an axis (a score,
Keras's losses) belongs to the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from wgan_jax.health.logs.cells import NOT_A_NUMBER
from wgan_jax.health.logs.names import (
    HELD_OUT,
    OF_SAMPLES,
    bare,
    coarseness,
    guess,
    measures,
    of_networks,
)

# `is 5` is a sentence's; the Inception Score is `IS 5` or `is: 5`.
_WORD = r"(?!(?:nan|inf)\b|(?-i:is)\s+[-+.\d])[A-Za-z][\w./()%-]{0,60}+"
_WHOLE = r"[1-9]\d{0,2}(?:,\d{3})+|\d+"  # `step 12,000` is no 12
_NUMBER = rf"{NOT_A_NUMBER}|[-+]?(?:(?:{_WHOLE})\.?\d*|\.\d+)(?:e[-+]?\d+)?%?|[-+]?inf"
_WRAP = r"(?:tensor|array|(?:np|numpy|jnp|torch|tf)\.\w+)"  # `tensor(0.5)`
_EAGER = re.compile(r"<tf\.Tensor: [^<>]*?numpy=([^<>]*)>")
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_PAIR = re.compile(
    rf"(?<![\w.])(?P<name>{_WORD}(?:[ ]{_WORD}){{0,3}})"
    rf"(?P<mark>['\"]?\s*[:=：]\s*|\s+(?:(?-i:is)\s+)?|(?=[\[(]))(?P<open>{_WRAP}?[\[(]+)?"
    rf"\s*(?P<number>{_NUMBER})(?!\.?\w|,\d)(?=(?:\s*(?:/|of)\s*(?P<end>\d{{1,15}})(?![\d.,/]))?)"
    r"|[\[(]\s*(?P<place>\d+)\s*/\s*(?P<last>\d{1,15})(?![\d/])",
    re.IGNORECASE,
)
# What a line, or the rest of it, is of: `Valid: D_loss 1`, `train d_loss 1 | val d_loss 2`; but a
# program may be called `mi-test`.
_PART = re.compile(
    rf"(?:(?<=[\s\[(|,;>:-])(?<!\w-)|^)(?:(?P<held>{'|'.join(HELD_OUT)})|train|training)(?=\s*[\])|:>=]|\s+[a-z])",
    re.IGNORECASE,
)
# The guide's block names a network once, for both of its weights' mean and spread.
_WEIGHTS = re.compile(r"\b(Critic|Gen) μ:\s*\S+\s+σ:")
# Keras-GAN's lines begin with a number, which it calls an epoch, and is an update.
_COUNT = re.compile(r"\s*(?P<count>\d+)\s*:?\s*\[D\b")
Row = dict[str, str]  # column -> the number as it is written


def names(text: str, given: Mapping[str, str]) -> list[str]:
    """The columns of a text, in the order of their first place."""
    mapped = tuple(given.values())
    return list(dict.fromkeys(name for line in text.splitlines() for name in _row(line, mapped)[0]))


def plan(text: str, given: Mapping[str, str]) -> dict[str, int]:
    """Where time axes end, as is said first: `[0/25][5/782]`, `iter 5/1000`. A text may be cut."""
    mapped = tuple(given.values())
    ends = (end for line in reversed(text.splitlines()) for end in _row(line, mapped)[1].items())
    return {name: end for name, end in ends if _is_axis(name, given)}


def read(lines: Iterable[str], given: Mapping[str, str]) -> tuple[list[Row], list[str]]:
    """(rows, columns): a row for each line that measures something.

    An axis that no row has (`niter=25` among the settings) is no column.

    Args:
      given: key -> column, where names cannot be guessed.
    """
    rows: list[Row] = []
    columns: dict[str, None] = {}
    mapped, axes = tuple(given.values()), Row()
    for line in lines:
        row, _ = _row(line, mapped)
        here = {name: number for name, number in row.items() if _is_axis(name, given)}
        if here:  # what is finer begins anew
            level = max(map(coarseness, here))
            axes = {name: axes[name] for name in axes if coarseness(name) > level} | here
        if len(row) == len(here):
            continue
        columns.update(dict.fromkeys([*axes, *row]))
        found = {name: row[name] for name in row if measures(name, given) or bare(name)}
        if found:
            rows.append({**axes, **found})
    losses = of_networks(set(columns).difference(mapped))
    rows = [row for row in rows if any(measures(n, given) or n in losses for n in row)]
    counted = {name for row in rows for name in row} or set(columns)
    return rows, [name for name in columns if name in counted or not _is_axis(name, given)]


def _is_axis(name: str, given: Mapping[str, str]) -> bool:
    return guess(name) == "epoch" if name not in given.values() else given.get("epoch") == name


def _row(line: str, mapped: tuple[str, ...]) -> tuple[Row, dict[str, int]]:
    """The numbers of a line, of a name that comes twice the first, and what they go up to."""
    row: Row = {}
    ends: dict[str, int] = {}
    places = []
    line = _COLOUR.sub("", line) if "\x1b" in line else line
    line = _WEIGHTS.sub(_spread_of, line) if "σ" in line else line
    line = _EAGER.sub(r"\1", line) if "<tf." in line else line
    parts = [(part.start(), part["held"]) for part in _PART.finditer(line)]
    for pair in _PAIR.finditer(line):
        if pair["place"]:
            places.append((pair["place"], int(pair["last"])))
            continue
        name, known = _name(pair["name"], mapped)
        if not known and pair["mark"].strip() in ("", "is"):
            name = name.split(" ")[-1]
            if not pair["open"] or bare(name) is None:
                continue
        if name in mapped or not _is_held_out(name, pair, parts):
            row.setdefault(name, pair["number"].replace(",", ""))
            ends |= {name: int(pair["end"])} if pair["end"] else {}
    free = ("epoch", "batch") if not {"epoch", "epochs"} & set(row) else ("batch",)
    found = dict(zip(free, places, strict=False))
    ends = {name: last for name, (_, last) in found.items()} | ends
    count = _COUNT.match(line)
    counted = {"iteration": count["count"]} if count else {}
    return counted | {name: place for name, (place, _) in found.items()} | row, ends


def _is_held_out(name: str, pair: re.Match[str], parts: list[tuple[int, str | None]]) -> bool:
    """Whether a loss is of data that is not trained on, by the last word before it that says."""
    held = [word for start, word in parts if start < pair.start("number")]
    if not held or not held[-1]:
        return False
    key = guess(name) or bare(name)
    return key is not None and key not in OF_SAMPLES | {"epoch"}


def _spread_of(whose: re.Match[str]) -> str:
    return {"Critic": "critic_weight_std:", "Gen": "generator_weight_std:"}[whose[1]]


@lru_cache(maxsize=1024)
def _name(phrase: str, mapped: tuple[str, ...]) -> tuple[str, bool]:
    """(the column that a phrase ends in, whether we know it): `at the end of epoch` -> epoch."""
    for name in _endings(phrase):
        if name in mapped:
            return name, True
        key = guess(name)
        if key is not None:
            return name.split(" ")[-1].lower() if key == "epoch" else name, True
    return phrase, False


def _endings(phrase: str) -> Iterator[str]:
    words = phrase.split(" ")
    return (" ".join(words[i:]) for i in range(len(words)))
