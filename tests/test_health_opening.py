"""A run's first updates: what sound games do there is said of none, nor compared with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import run
from tests.made_up_losses import Floats, history, noise
from tests.test_health_thresholds import CASES, ROWS, WAIT, Columns, loud
from wgan_jax.health.judge import Setup, judge
from wgan_jax.health.logs.runlog import RunLog, read

OPENS = WAIT | {"critic_saturated", "critic_on_floor", "critic_dead", "regime_change"}


def log_of(tmp_path: Path, text: str) -> RunLog:
    (tmp_path / "train.log").write_text(text, encoding="utf-8")
    return read(tmp_path / "train.log")


def table(columns: str, *rows: str) -> str:
    return "\n".join([f"{columns},d_loss,g_loss", *(f"{row},1,1" for row in rows)]) + "\n"


def lines(form: str, *places: tuple[int, int]) -> str:
    return "".join(f"{form.format(*place)} D_loss: 1.0 G_loss: 1.5\n" for place in places)


def every(batches: int, epochs: list[int], apart: int = 1) -> list[tuple[int, int]]:
    return [(epoch, batch) for epoch in epochs for batch in range(0, batches, apart)]


# (log, how many of its epochs the opening takes)
LOGS: dict[str, tuple[str, int]] = {
    "iterations": (table("iteration", "1", "2", "3"), 1000),
    "global steps": (table("trainer/global_step", "1", "2", "3"), 1000),
    "steps, of what is not known": (table("step", "1", "2", "3"), 0),
    "epochs": (table("epoch", "1", "2", "3"), 0),
    "nothing counted": ("d_loss,g_loss\n1,1\n1,1\n", 0),
    "three steps an epoch": (table("epoch,step", "0,1", "0,2", "0,3", "1,4", "1,5", "1,6"), 1000),
    "two steps an epoch": (table("epoch,step", "0,1", "0,2", "1,3", "1,4"), 0),
    "a long plan": (lines("step {1}/4000", *every(3, [0])), 1000),
    "a short plan may be one of epochs": (lines("step {1}/3999", *every(3, [0])), 0),
    "a quarter of a plan": (lines("iter {1} of 1200", *every(3, [0])), 300),
    "the first epoch": (lines("[{}/9][{}/782]", *every(5, [0])), 1000),
    "a quarter of 10 epochs of 110": (lines("[{}/10][{}/110]", *every(110, [0, 1])), 275),
    "every 50th, two epochs": (lines("[{}/5][{}/1583]", *every(1583, [0, 1], 50)), 20),
    "from the first epoch on": (lines("Epoch {}/99 batch {}/500", *every(5, [1])), 1000),
    "from a later one on": (lines("Epoch {}/99 batch {}/500", *every(5, [2])), 0),
    "Keras-GAN": ("".join(f"{i} [D loss: 1.0, acc.: 50%] [G loss: 1.5]\n" for i in (5, 6)), 1000),
}


# Of a long log only the beginning is asked, which may end within a number.
LOGS["a plan said twice"] = (lines("iter {1}/1200", (0, 0)) + lines("iter {1}/12", (0, 1)), 300)


@pytest.mark.parametrize("case", LOGS)
def test_updates_are_told_from_epochs_and_plans_are_read(tmp_path: Path, case: str) -> None:
    text, opening = LOGS[case]
    assert log_of(tmp_path, text).setup.opening == opening


def test_the_count_that_keras_gan_prints_is_the_time_axis(tmp_path: Path) -> None:
    text = "".join(f"{200 * i} [D loss: 0.5, acc.: 50%] [G loss: 1.5]\n" for i in range(3))
    log = log_of(tmp_path, text)
    assert (log.unit, log.history.epochs.tolist()) == ("iteration", [0, 200, 400])


@pytest.mark.parametrize("case", CASES)
def test_what_runs_do_in_their_opening_is_said_of_none(case: str) -> None:
    name, objective, columns, side = CASES[case]
    made = history(**columns(1.1 if side == "above" else 0.9))
    rules = {f.rule for f in judge(made, Setup(objective, opening=ROWS + 1)).findings}
    assert (name in rules) is (name not in OPENS)


@pytest.mark.parametrize("case", ["D of nsgan", "tails", "gap"])
def test_the_opening_ends_with_its_last_update(case: str) -> None:
    name, objective, columns, side = CASES[case]
    made = history(**columns(1.1 if side == "above" else 0.9))
    for opening, opens in ((ROWS, False), (ROWS + 1, True)):
        verdict = judge(made, Setup(objective, opening=opening))
        assert (name in {f.rule for f in verdict.findings}) is not opens
        assert verdict.word == ("not judged" if opens else "failing")


# (rule, columns that are quiet at first, the opening in which too much of that lies): windows are
# 50 rows; the first two rules take the mean of three for quiet, the last the median of five.
QUIET: dict[str, tuple[Columns, int]] = {
    "critic_unsettled": ({"d_loss": 9 + loud((5, 0.4), (15, 1))}, 150),
    "losses_wild": ({"d_loss": 9 + loud((8, 0.05), (12, 1))}, 300),
    "regime_change": ({"d_loss": 9 + loud((10, 0.1), (10, 1))}, 400),
}


@pytest.mark.parametrize("name", QUIET)
def test_an_opening_is_no_past_to_compare_with(name: str) -> None:
    columns, enough = QUIET[name]
    for opening in (enough - 1, enough):
        rules = {f.rule for f in judge(history(**columns), Setup(opening=opening)).findings}
        assert (name in rules) is (opening < enough)


def blend(start: float, first: float, later: float, t: Floats) -> Floats:
    """From a start within ten updates to a level, and after 300 to another."""
    back = 1 / (1 + np.exp((300 - t) / 40))
    return start * np.exp(-t / 10) + (1 - np.exp(-t / 10)) * (first + (later - first) * back)


# Game -> (D, G) at the start, in the first 300 updates and after them, as sound games open.
SOUND: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "nsgan": ((1.5, 0.02, 0.6), (1.5, 10.0, 3.0)),  # DCGAN, terms summed
    "hinge": ((2.0, 0.03, 1.2), (0.0, 2.0, 0.6)),
    "lsgan": ((0.5, 0.01, 0.15), (0.5, 0.48, 0.35)),
    "wgan": ((-1e-6, -1e-3, -1.0), (0.0, 1e-3, 0.3)),  # clipped: tiny at first
}


@pytest.mark.parametrize("objective", SOUND)
def test_sound_games_are_called_failing_at_no_time(objective: str) -> None:
    t = np.arange(3000.0)
    d, g = (
        blend(*levels, t) * np.exp(0.25 * noise(len(t), seed))
        for seed, levels in enumerate(SOUND[objective])
    )
    said = {
        opening: {
            judge(
                history(d_loss=d[:rows], g_loss=g[:rows]), Setup(objective, opening=opening)
            ).verdict
            for rows in (30, 50, 100, 200, 300, 400, 500, 700, 999, 1000, 1500, 2000, 3000)
        }
        for opening in (0, 1000)
    }
    assert "failing" in said[0]
    assert "failing" not in said[1000]


def test_what_cannot_pass_is_said_at_once(tmp_path: Path) -> None:
    lost = lines("iter {1}", *every(40, [0])) + "iter 40 D_loss: nan G_loss: nan\n"
    log = log_of(tmp_path, lost)
    assert judge(log.history, Setup("nsgan", opening=log.setup.opening)).causes == ("divergence",)
    still = {"d_loss": np.full(100, 0.69314718), "g_loss": 1 + 0.1 * np.sin(np.arange(100))}
    for rows, moved, causes in ((100, 0, ("dead critic",)), (99, 0, ()), (100, 1e-4, ())):
        columns = {key: values[:rows].copy() for key, values in still.items()}
        columns["d_loss"][90:] += moved
        assert judge(history(**columns), Setup("nsgan", opening=1000)).causes == causes


def test_a_run_that_has_only_begun_is_told_what_to_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed every iteration: the critic wins at once, as in sound runs of DCGAN."""
    d = 0.02 * np.exp(0.5 * noise(1000))
    for rows, said in ((999, "not judged"), (1000, "failing")):
        text = "".join(f"iter {i}: D_loss {d[i]:.4f} G_loss 8.5\n" for i in range(rows))
        (tmp_path / "train.log").write_text(text)
        run.main(["diagnose", str(tmp_path / "train.log"), "--objective", "nsgan", "--json"])
        line = json.loads(capsys.readouterr().out)
        assert line["verdict"] == said
        assert any("before iter 1000" in note for note in line["notes"]) is (rows < 1000)
