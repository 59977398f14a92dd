"""The command line as a person uses it: real experiments, shrunk, and ways to go wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import run

WATCHED = [
    "--config.quality_every=0",
    "--config.sample_every=1",
    "--config.log_every=1",
    "--config.wandb.mode=disabled",
]
SHRUNK = ["--config.epochs=2", "--config.batch_size=4", "--config.n_critic=1", *WATCHED]
KINDS = ("cifar_wgan", "cifar_wgan_gp", "cifar_wgan_gp_resnet", "lsun_dcgan64", "folder_wgan")
SMALL = {  # networks of a few filters, with all their layers
    "critic.filters=(2,2,4,4)": KINDS,
    "data.workers=0": ("lsun_dcgan64",),
    "generator.base_filters=4": KINDS,
    "generator.filters=(4,4,2)": KINDS,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(6):
        noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(place / f"{i}.png")
    return place


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_experiment_trains_on_pictures(
    name: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--config.{field}" for field, names in SMALL.items() if name in names]
    schedule = ["--config.n_critic_schedule.long=2"] if name == "lsun_dcgan64" else []
    code = run.main(
        [
            *("--config", f"experiments/{name}.py", f"--workdir={tmp_path / 'run'}"),
            *(f"--config.data.name=folder:{pictures}", *SHRUNK, *flags, *schedule),
        ]
    )
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "Epoch 1/2 [" in printed.out
    assert len(list((tmp_path / "run" / "samples").glob("epoch_*.png"))) == 3
    for file in ("report.html", "report.md", "dashboard.png", "summary.json", "metrics.jsonl"):
        assert (tmp_path / "run" / file).stat().st_size > 0
    assert "| run |" in (tmp_path / "EXPERIMENTS.md").read_text()


def test_the_workdir_is_named_after_the_experiment_or_as_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Path("experiments/digits_wgan.py").resolve()
    monkeypatch.chdir(tmp_path)
    seen: list[Path] = []
    monkeypatch.setattr("wgan_jax.training.train", lambda _, place, **_how: seen.append(place))
    assert run.main(["--config", str(experiment)]) == 0
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run.main(["--config", str(experiment), "--workdir=~/x"]) == 0
    assert seen == [Path("runs/digits_wgan"), tmp_path / "x"]


@pytest.mark.slow
def test_dry_run_shows_everything_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = Path("experiments/digits_wgan.py").resolve()
    monkeypatch.chdir(tmp_path)
    arguments = ["--config", str(experiment), "--dry_run", "--config.seed=7"]
    arguments.append("--config.epochs=100000")
    memory = {}
    for stream, place in (
        ("false", "all images (resident), 0.1 MB"),
        ("true", "two blocks of 1024 batches (streamed), 4.2 MB each"),
    ):
        assert run.main([*arguments, f"--config.data.stream={stream}"]) == 0
        out = capsys.readouterr().out
        for part in (
            "seed = 7",
            "Conv_1/kernel",
            "Total: 19,073",
            "GFLOP",
            place,
            "1,797 images of 8x8x1",
            "3,561.5 in 100,000 epochs",
        ):
            assert part in out
        found = re.search(r"Device memory +(\d+) MB \(with the images there\)", out)
        assert found
        memory[stream] = int(found[1])
    assert memory["true"] - memory["false"] == pytest.approx(2 * 4.2 - 0.1, abs=1)
    assert list(tmp_path.iterdir()) == []


def test_help_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(["--help"])
    assert ended.value.code == 0
    assert "experiments/cifar_wgan.py" in capsys.readouterr().out
    assert run.main(["--fields"]) == 0
    assert "--config.n_critic=5\n    critic updates per epoch" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["", *sorted(run.VERBS)])
def test_every_line_of_help_fits_a_terminal_of_80_columns(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run.main([*verb.split(), "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("verb", sorted(run.VERBS))
def test_every_command_has_help_with_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"python run.py {verb}" in capsys.readouterr().out


DIGITS = ["--config", "experiments/digits_wgan.py"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "--config is missing"),
        (["experiments/digits_wgan.py"], "To train by it: run.py --config experiments/digits_wgan"),
        (["trian"], "'trian' is not a command. Did you mean train? Training has no name"),
        (["train"], "'train' is not a command. Training has no name: run.py --config FILE."),
        (["evaluat"], "Did you mean evaluate?"),
        (["--config", "nope.py"], "is not a file"),
        (["--config"], "expected one argument"),
        ([*DIGITS, "--config.batchsize=3"], "Did you mean config.batch_size?"),
        ([*DIGITS, "--config.lr=0.1"], "run.py --fields lists"),
        ([*DIGITS, "--batch_size=3"], "--batch_size is not a flag"),
        ([*DIGITS, "--config.clip=0"], "must be above 0"),
        ([*DIGITS, "--config.n_critic=0"], "must be at least 1"),
        ([*DIGITS, "--config.objective=gan"], "is not one of"),
        ([*DIGITS, "--config.data.name=cifar"], "is not a source"),
        ([*DIGITS, "--config.batch_size=1798"], "Set it to that or less"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    argv: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = [f"--workdir={tmp_path / 'run'}"] if "--config" in argv[:1] and argv[1:] else []
    assert run.main([*argv, *workdir]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.splitlines()) == 1
    assert len(err) <= 210
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_what_is_true_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wgan_jax.training.train", stopped)
    assert run.main([*DIGITS, f"--workdir={tmp_path / 'run'}"]) == 130
    assert capsys.readouterr().err == (
        "run.py: stopped before the first chunk; nothing was trained.\n"
    )
    monkeypatch.setattr("wgan_jax.report.report", stopped)
    assert run.main(["report", f"--workdir={tmp_path / 'run'}"]) == 130
    assert capsys.readouterr().err == "run.py: report was stopped before its end.\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_run_whose_output_nobody_reads_to_its_end_comes_to_its_own(
    encoding: str, tmp_path: Path
) -> None:
    """`run.py ... | head -1`, with signs that the reader's encoding has, or has not."""
    command = [sys.executable, "run.py", *DIGITS, f"--workdir={tmp_path / 'run'}", *WATCHED]
    with subprocess.Popen(
        [*command, "--config.epochs=20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    ) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert '"finished"' in (tmp_path / "run" / "summary.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_say_how_to_resume_and_exit_by_their_number(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    command = [sys.executable, "run.py", *DIGITS, f"--workdir={tmp_path / 'run'}"]
    command += ["--config.wandb.mode=disabled", "--config.quality_every=0"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "all is saved. The same command goes on from there." in err
    assert len(err.splitlines()) == 1
    saved = [int(p.name) for p in (tmp_path / "run" / "checkpoints").iterdir() if p.name.isdigit()]
    assert max(saved) == len(metrics.read_text().splitlines())
