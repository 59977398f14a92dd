"""What a training program prints: `[0/20][5/100] Loss_D: 1.26 Loss_G: 0.7` as rows of columns.

Read are `NAME: NUMBER` and `NAME=NUMBER`, and `NAME NUMBER` where we know the name; `[0/20][5/100]`
is an epoch and a batch. A line without an axis (a score, Keras's losses) belongs to the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from wgan_jax.health.cells import NOT_A_NUMBER
from wgan_jax.health.names import coarseness, guess, letters, measures

# `is 5` is a sentence's; the Inception Score is `IS 5` or `is: 5`.
_WORD = r"(?!(?:nan|inf)\b|(?-i:is)\s+[-+.\d])[A-Za-z][\w./()%-]{0,60}+"
_WHOLE = r"[1-9]\d{0,2}(?:,\d{3})+|\d+"  # `step 12,000` is no 12
_NUMBER = rf"{NOT_A_NUMBER}|[-+]?(?:(?:{_WHOLE})\.?\d*|\.\d+)(?:e[-+]?\d+)?%?|[-+]?inf"
_WRAP = r"(?:tensor|array|(?:np|numpy|jnp|torch)\.\w+)"  # `tensor(0.5)`
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_PAIR = re.compile(
    rf"(?<![\w.])(?P<name>{_WORD}(?:[ ]{_WORD}){{0,3}})(?P<mark>'?\s*[:=]\s*|\s+(?:(?-i:is)\s+)?)"
    rf"(?:{_WRAP}?[\[(]+)?\s*(?P<number>{_NUMBER})(?!\.?\w|,\d)|[\[(]\s*(?P<place>\d+)\s*/\s*\d+(?![\d/])",
    re.IGNORECASE,
)
# The guide's block names a network once, for both of its weights' mean and spread.
_WEIGHTS = re.compile(r"\b(Critic|Gen) μ:\s*\S+\s+σ:")
Row = dict[str, str]  # column -> the number as it is written


def names(text: str, given: Mapping[str, str]) -> list[str]:
    """The columns of a text, in the order of their first place."""
    mapped = tuple(given.values())
    return list(dict.fromkeys(name for line in text.splitlines() for name in _row(line, mapped)))


def read(lines: Iterable[str], given: Mapping[str, str]) -> tuple[list[Row], list[str]]:
    """(rows, columns): a row for each line that measures something.

    Args:
      given: key -> column, where names cannot be guessed.
    """
    rows: list[Row] = []
    columns: dict[str, None] = {}
    mapped, axes = tuple(given.values()), Row()
    for line in lines:
        row = _row(line, mapped)
        here = {name: number for name, number in row.items() if _is_axis(name, given)}
        if here:  # what is finer begins anew
            level = max(map(coarseness, here))
            axes = {name: axes[name] for name in axes if coarseness(name) > level} | here
        if len(row) == len(here):
            continue
        columns.update(dict.fromkeys([*axes, *row]))
        found = {name: row[name] for name in row if measures(name, given)}
        if found:
            rows.append({**axes, **found})
    return rows, list(columns)


def _is_axis(name: str, given: Mapping[str, str]) -> bool:
    return guess(name) == "epoch" if name not in given.values() else given.get("epoch") == name


def _row(line: str, mapped: tuple[str, ...]) -> Row:
    """The numbers of a line; of a name that comes twice, the first."""
    row: Row = {}
    places = []
    line = _COLOUR.sub("", line) if "\x1b" in line else line
    line = _WEIGHTS.sub(_spread_of, line) if "σ" in line else line
    for pair in _PAIR.finditer(line):
        if pair["place"]:
            places.append(pair["place"])
            continue
        name, known = _name(pair["name"], mapped)
        if known or pair["mark"].strip() not in ("", "is"):
            row.setdefault(name, pair["number"].replace(",", ""))
    ours = letters(set(row).difference(mapped))
    row = {ours.get(name, name): number for name, number in row.items()}
    free = ("epoch", "batch") if not {"epoch", "epochs"} & set(row) else ("batch",)
    return dict(zip(free, places, strict=False)) | row


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
