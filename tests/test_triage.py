"""The verb `triage`: the grid is run once, goes on where it was, and ends in what to try."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import run
from tests.made_up_losses import healthy_wgan, sparse
from wgan_jax import devices, experiment, grid, triage
from wgan_jax.config import to_dict
from wgan_jax.errors import Interrupted, RunFailed, UserError
from wgan_jax.health.conclusion import Outcome, conclude
from wgan_jax.settings import Settings

EXPERIMENT = """
from wgan_jax import config as configs

def get_config():
    config = configs.base()
    config.data.name = "digits"
    config.epochs = 1000
    config.critic.dropout = 0.2
    return config
"""


class Made:
    """A trainer that writes the run folder of a run that worked, or that collapsed."""

    def __init__(self, works: object) -> None:
        self.works, self.trained = works, []  # type: ignore[var-annotated]

    def __call__(self, settings: Settings, workdir: Path) -> None:
        self.trained.append((settings.seed, settings.batch_size))
        n = settings.epochs
        columns = healthy_wgan(n, seed=settings.seed)
        good = self.works(settings.seed, settings.batch_size)  # type: ignore[operator]
        variance = np.linspace(0.1, 0.3, 10) if good else np.full(10, 1e-6)
        columns["pixel_variance"] = sparse(n, n // 10, variance)
        columns["fid_score"] = sparse(n, n // 10, np.linspace(90, 10 if good else 80, 10))
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / "config.json").write_text(json.dumps(to_dict(settings)))
        rows = [
            {"epoch": i, **{k: float(v[i]) for k, v in columns.items() if not np.isnan(v[i])}}
            for i in range(n)
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        event = {"time": 0, "epoch": n - 1, "event": "finished" if good else "failed"}
        (workdir / "events.jsonl").write_text(json.dumps(event) + "\n")
        if not good:
            raise RunFailed("collapsed")


@pytest.fixture
def plan(tmp_path: Path) -> grid.Plan:
    config = tmp_path / "digits.py"
    config.write_text(EXPERIMENT)
    return grid.Plan(config, ("--config.n_critic=3",), (0, 1, 2, 3), (16, 64), tmp_path / "grid")


def test_a_batch_size_failure_is_found_and_the_fixes_are_exact_commands(plan: grid.Plan) -> None:
    said: list[str] = []
    made = Made(lambda _, size: size < 64)
    conclusion = triage.triage(plan, train=made, say=said.append)
    assert (conclusion.cause, conclusion.good_batch) == ("batch size", 16)
    assert conclusion.sure
    assert sorted(made.trained) == sorted(plan.cells())
    rows = [line.split() for line in said[2:10]]
    assert [row[:3] for row in rows[:2]] == [["16", "0", "healthy"], ["64", "0", "failing"]]
    text = said[-1]
    order = ["smaller batch: 16", "x 2", "lower learning", "larger n_critic", "dropout", "another"]
    places = [text.index(word, text.index("To try")) for word in order]
    assert places == sorted(places)
    assert re.search(r"Most often it is \w[\w ]+ \(4 of 4 failing runs\): \w", text)
    commands = [line.strip() for line in text.splitlines() if line.startswith("    python")]
    assert commands[0] == (
        f"python run.py --config {plan.config} --config.n_critic=3 --config.seed=0 "
        f"--config.batch_size=16 --workdir {plan.out / 'fix_smaller_batch'}"
    )
    assert "--config.critic_optimizer.learning_rate=0.0001" in commands[1]
    assert "--config.critic_optimizer.learning_rate=2.5e-05" in commands[2]
    assert "--config.n_critic=6" in commands[3]
    assert "--config.n_critic=3" not in commands[3]
    assert "--config.critic.dropout=0.1" in commands[4]
    assert "0 of 4 work (95 % interval 0%-60%)" in text


def test_a_seed_failure_is_found_and_a_known_good_seed_comes_first(plan: grid.Plan) -> None:
    said: list[str] = []
    conclusion = triage.triage(plan, train=Made(lambda seed, _: seed in (1, 3)), say=said.append)
    assert (conclusion.cause, conclusion.good_seeds) == ("seed", (1, 3))
    first = next(line for line in said[-1].splitlines() if line.startswith("    python"))
    assert "--config.seed=1" in first
    assert "run more seeds" in said[-1]


def test_a_fix_replaces_an_override_however_it_was_written(plan: grid.Plan) -> None:
    two_words = dataclasses.replace(plan, overrides=("--config.n_critic", "3", "--config.ema=0.9"))
    command = two_words.command("n_critic", "n_critic=6")
    assert "--config.n_critic=6 --config.ema=0.9 --workdir" in command
    assert " 3 " not in command


@pytest.mark.parametrize("override", ["--config.seed=3", "--config.batch_size"])
def test_what_the_grid_varies_is_no_override(plan: grid.Plan, override: str) -> None:
    with pytest.raises(UserError, match="is what the grid varies: give --"):
        dataclasses.replace(plan, overrides=(override, "8"))


def test_it_is_said_which_run_trains_and_which_was_stopped(
    plan: grid.Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise Interrupted("stopped after 2 of 9 epochs; all is saved.", 15)

    with pytest.raises(Interrupted, match=r"^batch 16, seed 0 stopped after 2 of 9 epochs"):
        triage.triage(plan, train=stopped, say=lambda _: None)
    assert capsys.readouterr().err == "training batch 16, seed 0: run 1 of 8\n"


def test_where_smaller_batches_fail_one_that_works_is_tried_first(plan: grid.Plan) -> None:
    said: list[str] = []
    triage.triage(plan, train=Made(lambda _, size: size == 64), say=said.append)
    tries = said[-1].partition("To try, in this order:")[2].splitlines()
    assert tries[1] == "  a batch that works: 64"
    assert "--config.batch_size=64 " in tries[2]


def test_a_grid_that_works_needs_no_fix(plan: grid.Plan) -> None:
    said: list[str] = []
    assert triage.triage(plan, train=Made(lambda *_: True), say=said.append).cause == "nothing"
    assert "To try" not in said[-1]


def failing(plan: grid.Plan, cells: Iterable[grid.Cell]) -> list[Outcome]:
    """The grid's outcomes, of which these failed."""
    dead = set(cells)
    return [
        Outcome(*cell, cell not in dead, "dead critic" * (cell in dead), "Stop.")
        for cell in plan.cells()
    ]


def test_fixes_start_from_the_smallest_run_that_failed(plan: grid.Plan) -> None:
    found = failing(plan, ((2, 64), (1, 64), (3, 16)))
    tries = dict(triage.fixes(plan, conclude(found), found))
    lower = tries["lower learning rates: a half"]
    assert "--config.seed=3 --config.batch_size=16 " in lower
    for player in ("critic", "generator"):
        assert f"--config.{player}_optimizer.learning_rate=2.5e-05" in lower
    assert "--config.batch_size=8 " in tries["smaller batch: 8"]


def test_of_a_batch_of_one_there_is_no_smaller(plan: grid.Plan) -> None:
    """Its command would be that of the run that failed."""
    single = dataclasses.replace(plan, batch_sizes=(1,))
    found = failing(single, single.cells())
    tries = dict(triage.fixes(single, conclude(found), found))
    assert next(iter(tries)) == "lower learning rates: a half"
    assert not any("smaller batch" in what for what in tries)


def test_another_seed_is_none_of_the_grid_and_no_dropout_is_not_halved(plan: grid.Plan) -> None:
    without = dataclasses.replace(plan, overrides=("--config.critic.dropout=0.0",))
    found = failing(without, without.cells())
    tries = dict(triage.fixes(without, conclude(found), found))
    assert "--config.seed=4 " in tries["another seed: 4"]
    assert not any("dropout" in what for what in tries)
    text = triage.as_text(without, conclude(found), found)
    assert "How sure" not in text  # nothing to be of
    assert "Depends on: neither. All 8 runs fail" in text


def test_what_is_wrong_most_often_is_said_of_runs_that_failed(plan: grid.Plan) -> None:
    found = [Outcome(seed, 16, True, "critic strong", "Watch FID.") for seed in range(4)]
    found += [
        Outcome(seed, 64, False, "collapse" if seed else "dead critic", "Stop.")
        for seed in range(4)
    ]
    text = triage.as_text(plan, conclude(found), found)
    assert "Most often it is collapse (3 of 4 failing runs): Stop." in text


def test_a_run_that_is_warned_of_works_and_its_best_fid_is_shown(plan: grid.Plan) -> None:
    made, said = Made(lambda *_: True), list[str]()
    single = dataclasses.replace(plan, seeds=(0,), batch_sizes=(16,))
    triage.triage(single, train=made, say=lambda _: None)
    path = single.workdir(grid.Cell(0, 16)) / "metrics.jsonl"
    rows = [json.loads(line) | {"clip_ratio": 0.7} for line in path.read_text().splitlines()]
    rows[-101]["fid_score"], rows[-1]["fid_score"] = 9.0, 12.5
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    triage.triage(single, train=made, say=said.append)
    assert said[2].split()[2:4] == ["warning", "9.0"]
    assert "Depends on: nothing" in said[-1]


@pytest.mark.parametrize(
    ("event", "epoch", "ended"),
    [("finished", 999, True), ("finished", 998, False), ("failed", 998, True)],
)
def test_a_run_has_ended_with_its_last_epoch_or_where_it_failed(
    plan: grid.Plan, event: str, epoch: int, ended: bool
) -> None:
    made, single = Made(lambda *_: True), dataclasses.replace(plan, seeds=(0,), batch_sizes=(16,))
    triage.triage(single, train=made, say=lambda _: None)
    line = {"time": 0, "epoch": epoch, "event": event}
    (single.workdir(grid.Cell(0, 16)) / "events.jsonl").write_text(json.dumps(line) + "\n")
    triage.triage(single, train=made, say=lambda _: None)
    assert len(made.trained) == (1 if ended else 2)


def test_images_must_suffice_for_the_largest_batch(plan: grid.Plan) -> None:
    too_large = dataclasses.replace(plan, batch_sizes=(16, 1798))
    with pytest.raises(UserError, match="1798 is larger than the dataset: digits has 1797"):
        triage._prepared(too_large)


def of(plan: grid.Plan, epochs: int) -> grid.Plan:
    """The same grid, of runs of so many epochs."""
    return dataclasses.replace(plan, overrides=(*plan.overrides, f"--config.epochs={epochs}"))


def test_runs_too_short_to_be_judged_are_said_so_and_not_counted_as_working(
    plan: grid.Plan,
) -> None:
    said: list[str] = []
    made = Made(lambda *_: True)
    found = triage.triage(of(plan, 60), train=made, say=said.append)
    assert (found.cause, found.sure, found.good_seeds, found.good_batch) == (
        "unclear", False, (), None,
    )  # fmt: skip
    assert all("  not judged  " in row for row in said[2:10])
    assert "0 of 4 work, 4 not judged (95 % interval 0%-100%)" in said[-1]
    assert "8 of 8 runs were not judged" in said[-1]
    assert "fewer than 100 values of d_loss" in said[-1]
    assert "To try" not in said[-1]
    assert triage.triage(of(plan, 100), train=made, say=said.append).cause == "nothing"
    assert len(made.trained) == 16  # the same folders, with more epochs


def test_what_failed_among_runs_that_were_not_judged_is_no_pattern(plan: grid.Plan) -> None:
    said: list[str] = []
    made = Made(lambda seed, _: seed != 2)
    found = triage.triage(of(plan, 60), train=made, say=said.append)
    assert found.cause == "unclear"
    assert "6 of 8 runs were not judged" in said[-1]
    first = next(line for line in said[-1].splitlines() if line.startswith("    python"))
    assert "--config.seed=2" in first


def test_the_best_fid_is_headed_by_the_encoder_that_measured_it(plan: grid.Plan) -> None:
    other = ("--config.quality.encoder=inception",)
    for overrides, title in ((), "best FID[digits]"), (other, "best FID"):
        said: list[str] = []
        own = {"overrides": (*plan.overrides, *overrides), "out": plan.out / title}
        chosen = dataclasses.replace(plan, **own)
        triage.triage(chosen, train=Made(lambda *_: True), say=said.append)
        assert said[1].split("  ")[-2].strip() == title
        assert said[2].index("10.0") + len("10.0") == said[1].index(title) + len(title)


def test_a_grid_goes_on_where_it_was_and_keeps_its_conclusion(plan: grid.Plan) -> None:
    made = Made(lambda *_: True)
    made(plan.settings(grid.Cell(0, 16)), plan.workdir(grid.Cell(0, 16)))
    made.trained.clear()
    triage.triage(plan, train=made, say=lambda _: None)
    assert (0, 16) not in made.trained
    assert len(made.trained) == 7
    made.trained.clear()
    triage.triage(plan, train=made, say=lambda _: None)
    assert made.trained == []
    assert json.loads((plan.out / "triage.json").read_text())["cause"] == "nothing"
    assert (plan.out / "triage.txt").read_text().strip()


def test_a_folder_with_another_grid_is_refused(plan: grid.Plan) -> None:
    made = Made(lambda *_: True)
    triage.triage(plan, train=made, say=lambda _: None)
    other = grid.Plan(plan.config, (), plan.seeds, plan.batch_sizes, plan.out)
    with pytest.raises(UserError, match=r"config.n_critic = 3, not 5: take another --out"):
        triage.triage(other, train=made, say=lambda _: None)


def spread(
    monkeypatch: pytest.MonkeyPatch, made: Made, refused: tuple[grid.Cell, ...] = ()
) -> None:
    """Two devices, and processes that train with `made`, or end with exit code 2."""

    def side_by_side(
        plan: grid.Plan, cells: list[grid.Cell], devices: int
    ) -> Iterator[tuple[grid.Cell, int]]:
        assert devices == 2
        for cell in reversed(cells):
            if cell not in refused:
                made(plan.settings(cell), plan.workdir(cell))
            yield cell, 2 if cell in refused else 0

    monkeypatch.setattr("jax.local_device_count", lambda: 2)
    monkeypatch.setattr(triage, "side_by_side", side_by_side)


def test_a_grid_is_run_side_by_side_where_there_are_several_devices(
    plan: grid.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, said = Made(lambda *_: True), list[str]()
    spread(monkeypatch, made)
    assert triage.triage(plan, say=said.append).cause == "nothing"
    assert made.trained == plan.cells()[::-1]
    assert said[2].split()[:3] == ["64", "3", "healthy"]  # as they end


def test_runs_that_do_not_come_to_their_end_are_named_and_keep_no_other_from_it(
    plan: grid.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    spread(monkeypatch, Made(lambda *_: True), refused=((1, 64), (3, 64)))
    with pytest.raises(UserError, match=r"^2 of 8 runs have not come to their end, as their lines"):
        triage.triage(plan, say=said.append)
    assert said[2].split()[:2] == ["64", "3"]
    log = plan.out / "batch_64_seed_3.log"
    assert said[2].partition("not ended")[2].split(maxsplit=1) == ["-", f"exit code 2: see {log}"]
    assert sum("  healthy  " in row for row in said[2:10]) == 6
    assert "2 of 4 work, 2 not judged" in said[-1]
    assert "Depends on: unclear. 2 of 8 runs were not judged" in said[-1]
    assert json.loads((plan.out / "triage.json").read_text())["cause"] == "unclear"


def test_a_run_that_is_refused_here_is_named_with_the_reason(plan: grid.Plan) -> None:
    made, said = Made(lambda *_: True), list[str]()

    def train(settings: Settings, workdir: Path) -> None:
        if settings.batch_size == 64:
            raise UserError("Memory does not suffice.")
        made(settings, workdir)

    with pytest.raises(UserError, match="4 of 8 runs have not"):
        triage.triage(plan, train=train, say=said.append)
    assert said[3].endswith("-  Memory does not suffice.")
    assert made.trained == [(seed, 16) for seed in plan.seeds]
    assert triage.triage(plan, train=made, say=said.append).cause == "nothing"  # goes on with them


def test_a_batch_that_no_run_can_share_is_refused_before_any_begins(
    plan: grid.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs side by side have a device each; others have all, or as many as they are given."""
    monkeypatch.setattr("jax.local_device_count", lambda: 8)
    monkeypatch.setattr(devices, "mesh", lambda count=0: SimpleNamespace(size=count or 8))
    monkeypatch.setattr(devices, "memory", lambda _: None)
    odd = dataclasses.replace(plan, batch_sizes=(64, 60))
    assert triage._prepared(odd) == 8
    assert triage._prepared(dataclasses.replace(odd, overrides=("--config.devices=2",))) == 1
    given = dataclasses.replace(odd, overrides=("--config.devices=8",))
    alone = dataclasses.replace(odd, seeds=(0,), batch_sizes=(60,))
    for refused in (given, alone):
        with pytest.raises(UserError, match="60 does not divide over 8 devices: use 56 or 64"):
            triage.triage(refused)
    monkeypatch.setattr("jax.default_backend", lambda: "tpu")
    with pytest.raises(UserError, match="60 does not divide over 8 devices"):
        triage.triage(odd)
    assert not plan.out.exists()


def test_a_shell_takes_the_commands_as_they_are_printed(tmp_path: Path) -> None:
    filters = "--config.critic.filters=(4,8)"
    plan = grid.Plan(tmp_path / "my file.py", (filters,), (0,), (16,), tmp_path / "a grid")
    words = ["python", "run.py", "--config", str(plan.config), filters, "--config.seed=3"]
    workdir = str(plan.out / "fix_seed")
    assert shlex.split(plan.command("seed", "seed=3")) == [*words, "--workdir", workdir]


def test_the_experiment_file_runs_once_for_all_cells(
    plan: grid.Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.config.write_text(f"print('read')\n{EXPERIMENT}")
    found = [plan.settings(cell) for cell in plan.cells()]
    assert [(settings.seed, settings.batch_size) for settings in found] == plan.cells()
    assert capsys.readouterr().out == "read\n"


@pytest.mark.parametrize(
    ("text", "numbers"), [("0:3", (0, 1, 2)), ("64,256", (64, 256)), ("7", (7,)), ("1,1", (1,))]
)
def test_sides_of_a_grid(text: str, numbers: tuple[int, ...]) -> None:
    assert grid.whole_numbers(text, "--seeds") == numbers


@pytest.mark.parametrize("text", ["", "a", "3:1", "1:2:3", "-1", "1.5"])
def test_sides_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        grid.whole_numbers(text, "--seeds")


def test_the_sweep_for_wandb_is_the_same_grid(
    plan: grid.Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    yaml = pytest.importorskip("yaml")
    arguments = ["--config", str(plan.config), *plan.overrides, "--out", str(plan.out)]
    sides = ["--seeds", "0:4", "--batch_sizes", "16,64", "--launcher", "wandb"]
    assert run.main(["triage", *arguments, *sides]) == 0
    assert f"wandb sweep {plan.out / 'sweep.yaml'}" in capsys.readouterr().out
    sweep = yaml.safe_load((plan.out / "sweep.yaml").read_text())
    assert sweep["method"] == "grid"
    assert sweep["parameters"] == {
        "seeds": {"values": [0, 1, 2, 3]},
        "batch_sizes": {"values": [16, 64]},
    }
    assert sweep["command"][2:4] == ["${program}", "triage"]
    assert "--config.n_critic=3" in sweep["command"]
    assert sweep["command"][-1] == "${args}"


def test_a_job_array_for_slurm_trains_each_run_of_the_grid(
    plan: grid.Plan, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Bash plays each of its jobs, as SLURM would; `srun` only says what it is given."""
    odd = tmp_path / "a grid 100%"
    arguments = ["--config", str(plan.config), *plan.overrides, "--config.critic.filters=(4,8,8,8)"]
    sides = ["--out", str(odd), "--seeds", "0:2", "--batch_sizes", "16,64,32"]
    assert run.main(["triage", *arguments, *sides, "--launcher", "slurm"]) == 0
    start, conclude = map(shlex.split, capsys.readouterr().out.splitlines()[1:])
    assert start == ["sbatch", "--gpus=1", str(odd / "grid.sbatch")]
    script = odd / "grid.sbatch"
    head = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
    flags = dict(flag.partition("=")[::2] for line in head for flag in shlex.split(line)[1:])
    assert flags["--array"] == "0-5"
    assert flags["--chdir"] == str(Path.cwd())
    assert flags["--output"] == f"{str(odd).replace('%', '%%')}/slurm_%A_%a.log"
    (tmp_path / "srun").write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    (tmp_path / "srun").chmod(0o755)
    played = []
    for task in range(6):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": str(task)}
        env |= {"SLURM_CPUS_PER_TASK": "4"} if task else {}
        done = subprocess.run(["bash", script], env=env, capture_output=True, text=True, check=True)
        assert not done.stderr
        whose, *words = done.stdout.splitlines()
        assert whose == words[-1]  # its log says which run's it is
        cpus = ["--cpus-per-task=4"] if task else []  # since 22.05 srun does not see it by itself
        program = str(Path(run.__file__).resolve())  # also where the grid was called elsewhere
        assert words[: len(cpus) + 3] == ["--ntasks=1", *cpus, sys.executable, program]
        assert "--num_processes=1" in words  # each by itself, however many are started
        given = [word for word in words if word.startswith("--config.")]
        settings = experiment.read(Path(words[words.index("--config") + 1]), given)
        assert settings.n_critic == 3
        assert settings.critic.filters == (4, 8, 8, 8)
        played.append((settings, Path(words[-1])))
    env = {"PATH": os.environ["PATH"], "SLURM_ARRAY_TASK_ID": "6"}
    none = subprocess.run(["bash", script], env=env, capture_output=True, text=True)
    assert none.returncode
    assert "6 is no run of this grid" in none.stderr
    grown = grid.Plan(plan.config, tuple(arguments[2:]), (0, 1), (16, 64, 32), odd)
    assert played == [(grown.settings(cell), grown.workdir(cell)) for cell in grown.cells()]
    assert conclude[:3] == ["python", "run.py", "triage"]
    capsys.readouterr()
    assert run.main(conclude[2:]) == 2  # nothing has begun
    said = capsys.readouterr().err
    assert "6 of 6 runs have not come to their end: they wait, train, were stopped or were" in said


def test_a_grid_that_others_train_is_read_and_not_trained(
    plan: grid.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_training(*_: object) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr(triage, "_train", no_training)
    monkeypatch.setattr(triage, "_prepared", no_training)
    made = Made(lambda _, size: size == 16)
    for cell in plan.cells()[:6]:
        with contextlib.suppress(RunFailed):
            made(plan.settings(cell), plan.workdir(cell))
    running = plan.workdir(plan.cells()[1])
    (running / "events.jsonl").write_text("")
    said = list[str]()
    with pytest.raises(UserError, match=r"^3 of 8 runs have not come to their end"):
        triage.triage(plan, here=False, say=said.append)
    assert [line.split()[:2] for line in said[2:10]] == [
        *(["16", "0"], ["16", "1"], ["64", "1"], ["16", "2"], ["64", "2"]),  # these have ended
        *(["64", "0"], ["16", "3"], ["64", "3"]),
    ]
    assert [line.split(maxsplit=5)[-1] for line in said[7:10]] == [
        *("trained up to epoch 999", "no epoch yet", "no epoch yet"),
    ]
    for cell in plan.cells():
        with contextlib.suppress(RunFailed):
            made(plan.settings(cell), plan.workdir(cell))
    assert triage.triage(plan, here=False, say=said.append).cause == "batch size"


@pytest.mark.parametrize("launcher", ["slurm", "wandb"])
def test_settings_that_do_not_fit_are_refused_before_others_start_them(
    plan: grid.Plan, launcher: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(plan.config), "--out", str(plan.out), "--seeds", "0"]
    sizes = ["--batch_sizes", "16,0", "--launcher", launcher]
    assert run.main(["triage", *arguments, *sizes]) == 2
    assert "config.batch_size = 0 must be at least 1" in capsys.readouterr().err
    assert not plan.out.exists()


@pytest.mark.parametrize(
    ("launcher", "flags", "reason"),
    [
        ("slurm", ["--config.wandb.project=a\ntouch b"], "has a line break"),
        ("wandb", ["--config.wandb.project=a\ntouch b"], "has a line break"),
        ("slurm", ["--out", "a\nb"], "has a line break"),
        ("slurm", ["--out", "a\\b"], "SLURM writes no log into"),
    ],
)
def test_names_that_a_file_for_others_cannot_hold_are_refused(
    plan: grid.Plan,
    launcher: str,
    flags: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--config", str(plan.config), "--out", str(plan.out), *flags]
    assert run.main(["triage", *arguments, "--seeds", "0", "--launcher", launcher]) == 2
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [plan.config.name]
