"""What other people call the quantities we know: column names to keys, and how to guess them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from wgan_jax.errors import UserError, printable
from wgan_jax.health.past import KEYS

D_WORDS = ("d", "dis", "disc", "discriminator", "critic", "netd", "c")
G_WORDS = ("g", "gen", "generator", "netg")
LOSS_WORDS = ("loss", "err", "error", "cost")

# Say nothing about what is measured.
_NOISE = frozenset(
    "train training avg average mean total scalars scalar value metrics metric".split()  # noqa: SIM905
)
_NOISE_IN_IS = _NOISE | {"score"}

# Words in any order, as they remain of a column's name without noise.
_PHRASES: dict[str, tuple[str, ...]] = {
    "epoch": (
        "step",
        "steps",
        "global step",
        "iteration",
        "iterations",
        "iter",
        "iters",
        "it",
        "batch",
        "batches",
        "update",
        "kimg",
        "progress kimg",
        "tick",
        "epoch",
        "epochs",
    ),
    "fid_score": (
        "fid",
        "fid score",
        "frechet inception distance",
        "fid50k",
        "fid50k full",
        "fid10k",
    ),
    "inception_score_mean": ("is", "inception", "inception score", "is50k", "is score"),
    "inception_score_std": ("is std", "inception score std"),
    "wasserstein_distance": ("wasserstein distance", "w dist", "w distance", "wdist", "emd"),
    "pixel_variance": ("pixel variance", "pix var", "pixvar"),
    "clip_ratio": ("clip ratio", "clip"),
    "dg_ratio": ("dg ratio", "d g ratio"),
    "recall": ("recall",),
    "epoch_time": ("epoch time",),
    **{
        f"{ours}_{kind}": tuple(f"{word} {phrase}" for word in words for phrase in phrases)
        for ours, words in (("d", D_WORDS), ("g", G_WORDS))
        for kind, phrases in (("accuracy", ("accuracy", "acc")),)
    },
    **{
        f"{ours}_{kind}": tuple(f"{word} {phrase}" for word in words for phrase in phrases)
        for ours, words in (("critic", D_WORDS), ("generator", G_WORDS))
        for kind, phrases in (("grad_norm", ("grad norm", "gradient norm")),)
    },
    **{
        f"{ours}_loss{suffix}": tuple(
            f"{word} {loss}{suffix.replace('_', ' ')}" for word in words for loss in LOSS_WORDS
        )
        for ours, words, suffixes in (("d", D_WORDS, ("", "_real", "_fake")), ("g", G_WORDS, ("",)))
        for suffix in suffixes
    },
}


def _words(name: str) -> list[str]:
    """A name's words: `Loss/D_real` -> [loss, d, real]; `lossD` -> [loss, d]; `errD` likewise."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    words = [word for word in re.split(r"[^a-z0-9]+", parts.lower()) if word]
    glued = {f"{w}{loss}": [w, loss] for w in (*D_WORDS, *G_WORDS) for loss in LOSS_WORDS}
    return [part for word in words for part in glued.get(word, [word])]


_LOOKUP: dict[frozenset[str], str] = {
    frozenset(phrase.split()): key for key, phrases in _PHRASES.items() for phrase in phrases
}
KNOWN = frozenset((*_PHRASES, *KEYS))


def guess(column: str) -> str | None:
    """The key that a column's name means; None if it is none that we know."""
    if column in KNOWN:
        return column
    words = frozenset(_words(column))
    return _LOOKUP.get(words) or _LOOKUP.get(words - _NOISE) or _LOOKUP.get(words - _NOISE_IN_IS)


def columns_of(names: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Key -> the column that holds it.

    Args:
      names: all columns of a log, in order.
      given: key -> column, said by the user; goes before any guess.

    Raises:
      UserError: a given column does not exist.
    """
    names = list(names)
    for wanted, column in given.items():
        if column not in names:
            lower = {name.lower(): name for name in names}
            near = difflib.get_close_matches(column.lower(), lower, n=1)
            hint = f" Did you mean {lower[near[0]]}?" if near else f" It has: {shorten(names)}."
            raise UserError(f"--map {wanted}={column}: there is no column {column!r}.{hint}")
    chosen: dict[str, str] = {}
    rank: dict[str, int] = {}
    steps = _PHRASES["epoch"]
    for name in names:
        if name in given.values() or (key := guess(name)) is None:
            continue
        words = " ".join(w for w in _words(name) if w not in _NOISE)
        # Of several time axes the finest counts: iterations before epochs.
        place = steps.index(words) if key == "epoch" and words in steps else 0
        if key not in chosen or place < rank[key]:
            chosen[key], rank[key] = name, place
    return {**chosen, **given}


def parse_map(text: str) -> dict[str, str]:
    """`d_loss=loss/D,g_loss=loss/G` as key -> column.

    Raises:
      UserError: a part without `=`, or a key that we do not know.
    """
    given = {}
    for part in filter(None, text.split(",")):
        key, equals, column = part.partition("=")
        if not equals or not column:
            raise UserError(f"--map takes KEY=COLUMN,..., not {part!r}.")
        if key not in KNOWN:
            near = difflib.get_close_matches(key, sorted(KNOWN), n=1)
            hint = f" Did you mean {near[0]}?" if near else " For instance d_loss, g_loss, epoch."
            raise UserError(f"--map knows no {key!r}.{hint}")
        given[key] = column
    return given


def shorten(names: Iterable[str], room: int = 90) -> str:
    """Names in one line of at most `room` characters."""
    line = ", ".join(map(printable, names)) or "none"
    return line if len(line) <= room else line[: room - 3] + "..."
