"""Games of every objective, sound and in trouble, judged by their record and by their losses alone.

    python -m tests.failures.games [--seeds 1] [--drawn 35] [--runs FOLDER] [--out FILE.json]

Each trouble is given to each objective's sound game; besides, games whose settings are drawn at
random are played. All train on the digits, and are labelled by their samples.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.failures.planted import COVERED, POOR, SOUND, played
from wgan_jax.health.judge import Setup, judge
from wgan_jax.health.logs.runlog import guess_objective
from wgan_jax.health.past import LOSSES
from wgan_jax.history import Floats, History

Changes = dict[str, Any]

BAD = 60.0  # FID[digits] of a game that has failed, unless it is on its way down
FALLING = 0.7  # share of the FID at half time below which it is
RATES = ("critic_optimizer.learning_rate", "generator_optimizer.learning_rate")


def _adam(rate: float) -> Changes:
    players = ("critic_optimizer", "generator_optimizer")
    one = {"name": "adam", "b1": 0.5, "b2": 0.9, "learning_rate": rate}
    return {f"{player}.{key}": value for player in players for key, value in one.items()}


GAMES: dict[str, Changes] = {
    "wgan": {"objective": "wgan"},
    "wgan_gp": {"objective": "wgan_gp", "n_critic": 3, **_adam(1e-3)},
    "nsgan": {"objective": "nsgan", "n_critic": 1, "epochs": 1200, **_adam(1e-3)},
    "hinge": {"objective": "hinge", "n_critic": 1, "epochs": 1200, **_adam(1e-3)},
}


def _rates(critic: float, generator: float) -> Callable[[Changes], Changes]:
    """The rates of a game, multiplied."""

    def change(game: Changes) -> Changes:
        return {key: game[key] * by for key, by in zip(RATES, (critic, generator), strict=True)}

    return change


TROUBLES: dict[str, Callable[[Changes], Changes]] = {
    "sound": lambda _: {},
    "small_batch": lambda _: {"batch_size": 8},
    "weak_critic": lambda _: {"critic.filters": (2, 2)},
    "slow": _rates(0.1, 0.1),
    "fast_20": _rates(20, 20),
    "fast_100": _rates(100, 100),
    "critic_100": _rates(100, 1),
    "generator_100": _rates(1, 100),
    "generator_20_no_bn": lambda game: _rates(1, 20)(game) | {"generator.normalization": "none"},
    "critic_wins": lambda game: _rates(1, 0.01)(game) | {"n_critic": 20},
    "critic_rests": _rates(1e-3, 1),
    "one_image": lambda _: {
        "generator.init_std": 1e-8,
        "generator_optimizer.learning_rate": 1e-12,
    },
}


def drawn(i: int) -> Changes:
    """The i-th game with settings drawn at random; half of them are WGANs with clipping."""
    random = np.random.default_rng(1000 + i)

    def between(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    def one_of(*values: Any) -> Any:
        return random.choice(values).item()

    objective = ("wgan", "wgan_gp", "wgan", "nsgan", "wgan", "wgan_gp", "hinge", "wgan")[i % 8]
    wasserstein = objective.startswith("wgan")
    game: Changes = {
        "objective": objective,
        "seed": int(random.integers(1000)),
        "batch_size": one_of(8, 16, 64, 128),
        "n_critic": one_of(1, 2, 5, 10) if wasserstein else one_of(1, 1, 2, 5),
        "epochs": one_of(300, 600, 1200),
        "clip": between(1e-3, 1.0),
    }
    name, rate = one_of("rmsprop", "adam"), between(1e-4, 3e-2)
    for player in ("critic", "generator"):
        game[f"{player}_optimizer.name"] = name
        game[f"{player}_optimizer.b1"] = one_of(0.0, 0.5)
        game[f"{player}_optimizer.learning_rate"] = rate * between(0.1, 10)
    first = one_of(4, 16, 32)
    game["critic.filters"] = (first, 2 * first)
    game["critic.normalization"] = "none"
    if objective != "wgan_gp":
        game["critic.normalization"] = one_of("none", "none", "none", "batch")
    last = one_of(8, 16, 32)
    game |= {"generator.filters": (last,), "generator.base_filters": 2 * last}
    game["generator.normalization"] = one_of("batch", "batch", "none")
    game["quality_every"] = game["epochs"] // 12
    if random.random() < 0.1:
        game["generator.init_std"] = one_of(1e-8, 1.5)
    return game


@dataclass(frozen=True)
class Judged:
    """A game: what its samples are worth, and what the judge said.

    Attributes:
      name: which.
      classes: classes covered by 1,000 samples, of ten.
      fid: FID[digits] of them.
      label: `worked`, `failed`, or `between`, which counts for nothing.
      record: the verdict on all that was measured.
      losses: the verdict on D's and G's loss alone.
      guessed: the same, with the objective guessed.
      rules: of the losses' verdict, those that call it failing.
    """

    name: str
    classes: int
    fid: float
    label: str
    record: str
    losses: str
    guessed: str
    rules: tuple[str, ...]


def label(classes: int, fid: float, fids: Floats) -> str:
    """What a game has come to; `fids`: measured on the way."""
    half, last = (
        float(np.median(fids[at : at + 3])) if len(fids) > 5 else np.inf
        for at in (len(fids) // 2 - 1, len(fids) - 3)
    )
    if (classes < COVERED or not fid <= BAD) and not last < FALLING * half:
        return "failed"
    return "worked" if classes >= COVERED and fid <= POOR else "between"


def play(name: str, changes: Changes, workdir: Path) -> Judged:
    """Train a game in a folder, or take it as it lies there, and judge it."""
    classes, fid, log = played(changes, workdir)
    losses = History()
    losses.extend(log.history.epochs, {key: log.history[key] for key in LOSSES})
    known = judge(losses, Setup(log.setup.objective))
    return Judged(
        name,
        classes,
        fid,
        label(classes, fid, log.history.measured("fid_score")[1]),
        judge(log.history, log.setup).word,
        known.word,
        judge(losses, Setup(guess_objective(losses))).word,
        tuple(finding.rule for finding in known.findings if finding.verdict == "failing"),
    )


def games(seeds: int, draws: int) -> Iterator[tuple[str, Changes]]:
    """Name and changes of every game, seed after seed."""
    for seed in range(seeds):
        for objective, game in GAMES.items():
            for trouble, change in TROUBLES.items():
                name = f"{objective}-{trouble}-{seed}"
                yield name, {**game, **change({**SOUND, **game}), "seed": seed}
    for i in range(draws):
        yield f"drawn-{i:03d}", drawn(i)


def line(game: Judged) -> str:
    """One row of the table; what the judge got wrong is marked."""
    said = [
        word + "*" * (game.label != "between" and (game.label == "failed") != (word == "failing"))
        for word in (game.record, game.losses, game.guessed)
    ]
    words = "".join(f"{word:<12}" for word in said)
    return (
        f"{game.name:<30}{game.classes:>3}/10{game.fid:>8.1f}  {game.label:<9}{words}"
        f"{', '.join(game.rules)}"
    ).rstrip()


def summary(judged: Sequence[Judged]) -> list[str]:
    """For each way of judging: how many of the failed were found, of the sound accused."""
    lines = []
    for drawn_ones in (False, True):
        chosen = [game for game in judged if game.name.startswith("drawn") is drawn_ones]
        for way in ("record", "losses", "guessed") if chosen else ():
            said = {
                label: [getattr(game, way) == "failing" for game in chosen if game.label == label]
                for label in ("failed", "worked")
            }
            found, accused = (f"{sum(words)} of {len(words)}" for words in said.values())
            which = "drawn" if drawn_ones else "troubles"
            lines.append(f"{which:<10}{way:<10}{found} failed found, {accused} sound accused")
    return lines


def main() -> None:
    """Play and judge all, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--drawn", type=int, default=35, help="games with settings at random")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and take those that are")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    options = parser.parse_args()
    judged = []
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in games(options.seeds, options.drawn):
            judged.append(play(name, changes, (options.runs or Path(folder)) / name))
            print(line(judged[-1]), flush=True)
    print(*summary(judged), sep="\n")
    if options.out:
        rows = [dataclasses.asdict(game) for game in judged]
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
