"""What other people call the quantities we know: column names to keys, and how to guess them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial

from wgan_jax.errors import UserError, shorten
from wgan_jax.health.past import KEYS, LOSSES
from wgan_jax.keys import BY_KEY, EXTRA_KEYS

COARSE = "coarse"  # key of the coarsest of several time axes; the finest is the epoch

D_WORDS = ("d", "dis", "disc", "discr", "discrim", "discriminator", "critic", "crit", "netd", "c")
G_WORDS = ("g", "gen", "generator", "netg")
LOSS_WORDS = ("loss", "losses", "err", "error", "cost")

# The game's part of a loss, where others are added (L1, cycle, classes): it goes before their sum.
_ADVERSARIAL = frozenset(("gan", "adv", "adversarial"))
# Say nothing about what is measured.
_NOISE = frozenset(
    ("train", "training", "avg", "average", "mean", "total", "scalar", "scalars", "value")
) | {"metric", "metrics", "results", "running", "of", *_ADVERSARIAL}
_NOISE_IN_IS = _NOISE | {"score"}
_GROUPS = frozenset(("losses", "charts", "stats"))  # TensorBoard's tags: losses/d_loss
_IN_PERCENT = frozenset(("percent", "pct"))
# Over what a value was averaged: Lightning's d_loss_step and d_loss_epoch, Keras's epoch_d_loss.
_SPANS = frozenset(("step", "batch", "epoch"))
_GRADIENT = ("grad", "gradient")
_ACCURACY = ("acc", "accuracy")
_BOUNDS = ("__MIN", "__MAX")  # of the values that one of a W&B chart stands for
# Samples are measured on held-out data, where a loss is another than that of training.
HELD_OUT = frozenset(("val", "valid", "validation", "eval", "evaluation", "test"))
OF_SAMPLES = frozenset(
    ("fid_score", "inception_score_mean", "inception_score_std", "pixel_variance", "recall")
)
_IN_UNITS = re.compile(r"\s*[\[(](?:nats?|bits?|it|iters?|steps?)[\])]\s*$")  # `d_loss [nats]`
_FLAG = re.compile(r"(?:.*/)?is_?(?:[Tt]rain(?:ing)?|[Vv]al(?:id(?:ation)?)?|[Ee]val|[Tt]est)")
# As the guide prints losses; one such letter alone may be anything.
_LETTERS = {"D": "d_loss", "G": "g_loss", "R": "d_loss_real", "F": "d_loss_fake", "GAN": "g_loss"}
# Of a network's name: which of its losses it is; of several pairs of networks the first is meant.
_BESIDE_D = {"": "d_loss", " a": "d_loss", " real": "d_loss_real", " fake": "d_loss_fake"}
_BESIDE_G = {"": "g_loss", " a": "g_loss"}
_TEACHERS = (
    frozenset(("l1", "pix", "pixel", "cycle", "cyc", "idt", "identity", "vgg", "feat", "fea"))
    | {"rec", "recon", "recons", "reconstruction", "content", "mel", "lpips"}
    | {"percep", "precep", "percept", "perceptual"}
)
# Words of what may be the column that a diagnosis lacks: said where it is not read.
_TELLING = re.compile(r"(fid|kid)\d*k?|loss|losses|scores?|inception")

# Words in any order, as they remain of a column's name without noise.
_PHRASES: dict[str, tuple[str, ...]] = {
    "epoch": (  # from fine to coarse
        *("global step", "trainer global step", "current step", "step", "steps"),
        *("iteration", "iterations", "cur iter", "n iter", "niter", "iter", "iters", "itr", "it"),
        *("batch", "batches", "num updates", "update", "updates"),
        *("nimg", "kimg", "kimgs", "progress kimg", "tick", "ticks"),
        *("epoch", "epochs", "epoch num"),
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
    # `clip` alone is the threshold, or another CLIP's score.
    "clip_ratio": ("clip ratio", "clip percent", "clip pct", "clip fraction"),
    "dg_ratio": ("dg ratio", "d g ratio"),
    "recall": ("recall",),
    "epoch_time": ("epoch time",),
    **{
        f"{ours}_accuracy": tuple(f"{word} {what}" for word in words for what in _ACCURACY)
        for ours, words in (("d", D_WORDS), ("g", G_WORDS))
    },
    **{
        f"{ours}_grad_norm": tuple(f"{word} {what} norm" for word in words for what in _GRADIENT)
        for ours, words in (("critic", D_WORDS), ("generator", G_WORDS))
    },
    **{
        f"{ours}_loss{suffix}": tuple(
            f"{word} {loss}{suffix.replace('_', ' ')}" for word in words for loss in LOSS_WORDS
        )
        for ours, words, suffixes in (("d", D_WORDS, ("", "_real", "_fake")), ("g", G_WORDS, ("",)))
        for suffix in suffixes
    },
}
# `l_d_real`; `l_c` may be a cycle's or a classifier's. And a pair of networks has its first: D_A.
for _ours, _all in (("d", D_WORDS), ("g", G_WORDS)):
    _own = tuple(word for word in _all if word != "c")
    for _suffix in ("", "_real", "_fake") if _ours == "d" else ("",):
        _of = _suffix.replace("_", " ")
        _PHRASES[f"{_ours}_loss{_suffix}"] += (
            *(f"l {word}{_of}" for word in _own),
            *(f"{word} a {loss}{_of}" for word in _own for loss in LOSS_WORDS),
        )
    _PHRASES[f"{_ours}_loss"] += tuple(f"{word} adv" for word in _own)
_PHRASES["g_loss"] += ("adv", "adv loss", "adversarial loss")
# As StarGAN, OpenMMLab and Keras's `gan` of a generator before a frozen critic call it.
_PHRASES["g_loss"] += ("g loss fake", "loss disc fake g", "gan loss")


def _words(name: str) -> list[str]:
    """A name's words: `Loss/D_real` -> [loss, d, real]; `lossD` -> [loss, d]; `errD` likewise."""
    parts = re.sub(
        r"([a-z0-9])([A-Z])", r"\1 \2", _IN_UNITS.sub("", name).replace("%", " percent ")
    )
    words = [word for word in re.split(r"[^a-z0-9]+", parts.lower()) if word]
    glued = {f"{w}{loss}": [w, loss] for w in (*D_WORDS, *G_WORDS) for loss in LOSS_WORDS}
    return [part for word in words for part in glued.get(word, [word])]


_LOOKUP: dict[frozenset[str], str] = {
    frozenset(phrase.split()): key for key, phrases in _PHRASES.items() for phrase in phrases
}
KNOWN = frozenset((*_PHRASES, *KEYS))
_UPDATES = _PHRASES["epoch"].index("updates")  # the last axis that counts them
_BARE: dict[frozenset[str], str] = {
    frozenset((word + beside).split()): key
    for words, besides in ((D_WORDS[:-1], _BESIDE_D), (G_WORDS, _BESIDE_G))
    for word in words
    for beside, key in besides.items()
} | {
    frozenset((word,)): f"d_loss_{what}"
    for what, words in (("real", ("d1", "c1")), ("fake", ("d2", "c2")))
    for word in words
}


@lru_cache(maxsize=4096)  # printed lines repeat their names
def guess(column: str) -> str | None:
    """The key that a column's name means; None if it is none that we know."""
    if column in KNOWN:
        return column
    run, of_run, name = column.rpartition(" - ")
    if of_run:  # as W&B exports charts
        key = guess(name) if not HELD_OUT & set(_words(run)) else None
        return None if key == "epoch" else key
    if _FLAG.fullmatch(column):
        return None
    words = frozenset(_words(column))
    beside = _NOISE | _IN_PERCENT | _GROUPS
    for noise in (frozenset[str](), _NOISE, beside, _NOISE_IN_IS, _NOISE_IN_IS | _SPANS):
        # `adversarial` says nothing in `D_adversarial_loss`, and all in `train/adversarial_loss`.
        key = _LOOKUP.get(words - (noise - _ADVERSARIAL)) or _LOOKUP.get(words - noise)
        if key:
            return key
    of_samples = _LOOKUP.get(words - _NOISE_IN_IS - HELD_OUT)
    return of_samples if of_samples in OF_SAMPLES else None


@lru_cache(maxsize=4096)
def bare(name: str) -> str | None:
    """The loss that a network's name alone may mean: `D`, `Discriminator`, `D_real`, `G_GAN`."""
    return _LETTERS.get(name) or _BARE.get(frozenset(_words(name)).difference(_NOISE))


def of_networks(names: Iterable[str]) -> dict[str, str]:
    """Name -> the loss it is, of a log that has both networks' and no loss by another name."""
    names = list(names)
    found = {name: key for name in names if (key := bare(name))}
    keys = set(found.values())
    both = "g_loss" in keys and ("d_loss" in keys or {"d_loss_real", "d_loss_fake"} <= keys)
    named = any((guess(name) or "").startswith(LOSSES) for name in names)
    return found if both and not named else {}


def measures(column: str, given: Mapping[str, str]) -> bool:
    """Whether a column holds what a run is judged by, as its name or the user says."""
    return column in given.values() or guess(column) not in (None, "epoch")


def have_gradient_penalty(names: Iterable[str]) -> bool:
    """Whether a column is the penalty of WGAN-GP, `gp` or `d/gradient_penalty`; R1 is another."""
    found = (set(_words(name)) for name in names)
    return any(
        "r1" not in words
        and ("gp" in words or ("penalty" in words and not words.isdisjoint(_GRADIENT)))
        for words in found
    )


def teachers(names: Iterable[str]) -> list[str]:
    """Columns of what teaches a generator beside its critic: L1, cycle, perceptual, classes."""
    return [
        name
        for name in names
        if guess(name) is None
        and not _TEACHERS.isdisjoint(_words(name))
        and HELD_OUT.isdisjoint(_words(name))
    ]


def unread(names: Iterable[str], chosen: Mapping[str, str]) -> list[str]:
    """Columns that might have been read, and are not: by name losses, or measures of samples."""
    return [
        name
        for name in names
        if name not in chosen.values()
        and (name in KNOWN or not (name in BY_KEY or name in EXTRA_KEYS))
        and not name.endswith(_BOUNDS)
        and (measures(name, {}) or any(map(_TELLING.fullmatch, _words(name))))
    ]


def columns_of(names: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Key -> the column that holds it.

    Of several time axes the finest is `epoch`, iterations before epochs, and the coarsest `COARSE`,
    unless it counts updates: then nothing begins anew with it, but it with epochs.
    Of several columns that mean the same, one that is called as its key counts; else the first, one
    of steps before one of epochs, and `c_loss` last.

    Args:
      names: all columns of a log, in order.
      given: key -> column, said by the user; goes before any guess.

    Raises:
      UserError: a given column does not exist.
    """
    names = list(names)
    losses = of_networks(names)
    for wanted, column in given.items():
        if column not in names:
            lower = {name.lower(): name for name in names}
            near = difflib.get_close_matches(column.lower(), lower, n=1)
            hint = f" Did you mean {lower[near[0]]}?" if near else f" It has: {shorten(names)}."
            raise UserError(f"--map {wanted}={column}: there is no column {column!r}.{hint}")
    found: dict[str, list[str]] = {}
    axes = [given["epoch"]] if "epoch" in given else []
    for name in names:
        key = guess(name) or losses.get(name)
        if name in given.values() or key is None:
            continue
        if key == "epoch":
            axes.append(name)
        else:
            found.setdefault(key, []).append(name)
    chosen = {key: min(alike, key=partial(_doubt, key)) for key, alike in found.items()}
    if axes:
        finest = given.get("epoch", min(axes, key=coarseness))
        coarsest = max(axes, key=coarseness)
        chosen["epoch"] = finest
        if coarseness(coarsest) > max(coarseness(finest), _UPDATES):
            chosen[COARSE] = coarsest
    return {**chosen, **given}


def _doubt(key: str, name: str) -> tuple[bool, bool, bool, bool, bool]:
    """How doubtful it is that a column is the one meant by a key, to compare with others.

    C may be the critic or a classifier; averages over epochs tell less than steps. A generator's
    whole loss may hold more than the game, and `gan_loss` both networks'.
    """
    words = _words(name)
    whole = key == "g_loss" and set(words).isdisjoint(_ADVERSARIAL)
    both = key == "g_loss" and "gan" in words and set(words).isdisjoint(G_WORDS)
    return both, whole, name != key, "c" in words, "epoch" in words


@lru_cache(maxsize=4096)
def coarseness(axis: str) -> int:
    """Place of a time axis among all that we know, from iterations to epochs, which are last."""
    words = " ".join(word for word in _words(axis) if word not in _NOISE)
    known = _PHRASES["epoch"]
    if words.startswith("epoch"):
        words = "epoch"
    return known.index(words) if words in known else 0


def counts_updates(axis: str) -> bool:
    """Whether a time axis counts the networks' updates, as its name says: `step` may be anything.

    TensorBoard, W&B and MLflow call `step` whatever a program counts, epochs too.
    """
    words = " ".join(word for word in _words(axis) if word not in _NOISE)
    known = _PHRASES["epoch"][: _UPDATES + 1]
    return words in known and words not in ("step", "steps")


def unit_of(axis: str) -> str:
    """What a time axis counts, in a word of its own: `trainer/global_step` counts steps."""
    forms = (w.removesuffix(end) for w in reversed(_words(axis)) for end in ("es", "s"))
    singular = (form for form in forms if form in _PHRASES["epoch"] and not form.endswith("s"))
    return next(singular, "epoch")


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
