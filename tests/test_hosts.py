"""Two real processes of one run on the loopback: they train, one is lost, both go on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from tests.conftest import TINY
from wgan_jax import hosts
from wgan_jax.errors import Followed, Interrupted, RunFailed, UserError
from wgan_jax.recording import Follower, Recorder
from wgan_jax.settings import Settings
from wgan_jax.supervision import Rank, in_cluster, rank, supervise

ROOT = Path(__file__).parent.parent
EXPERIMENT = """
from ml_collections import ConfigDict
from wgan_jax import config as configs

def get_config():
    config = configs.base()
    config.update({tiny})
    return config
"""
EPOCHS = 300


class Pair:
    """Both processes of a run, started as a user would."""

    def __init__(self, experiment: Path, workdir: Path, *overrides: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, str(ROOT / "run.py"), "--config", str(experiment)]
        command += ["--workdir", str(workdir), *overrides]
        command += ["--coordinator", f"127.0.0.1:{port}", "--num_processes", "2", "--process_id"]
        self.workdir = workdir
        # jax looks at proxies in vain here, and warns of them.
        environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        self.processes = [
            subprocess.Popen(
                [*command, str(i)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for i in range(2)
        ]

    def end(self, patience: float = 180) -> list[tuple[int, str, str]]:
        """(exit code, stdout, stderr) of both."""
        found = []
        for process in self.processes:
            out, err = process.communicate(timeout=patience)
            found.append((process.returncode, out, err))
        return found

    def wait_for(self, epochs: int) -> None:
        """Until so many epochs are recorded and a checkpoint is whole."""
        metrics, begun = self.workdir / "metrics.jsonl", time.monotonic()

        def there() -> bool:
            saved = any(path.name.isdigit() for path in self.workdir.glob("checkpoints/*"))
            return saved and len(metrics.read_text().splitlines()) >= epochs

        while not there():
            assert time.monotonic() - begun < 180, "the run did not get on"
            assert all(process.poll() is None for process in self.processes), self.end()
            time.sleep(0.1)

    def child(self, number: int) -> int:
        """Process id of the one that trains, under its supervising parent."""
        parent = self.processes[number].pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return int(children[0])


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    content = TINY | {
        "epochs": EPOCHS,
        "log_every": 0,
        "checkpoint_every": 50,
        "sample_every": 0,
        "data": {"name": "digits", "held_out": 50},
        "quality_every": 150,
        "quality": {"encoder": "none", "n": 64, "batch_size": 32},
    }
    path.write_text(EXPERIMENT.format(tiny=content))
    return path


def last_digest(workdir: Path) -> str:
    """Of all arrays after the last epoch."""
    content = json.loads((workdir / "checkpoints" / str(EPOCHS) / "content/metadata").read_text())
    return str(content["blake2b"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_two_processes_train_lose_one_and_resume_bit_for_bit(
    experiment: Path, tmp_path: Path
) -> None:
    """The whole run has its images on the devices; the other streams them, each process its own."""
    whole = Pair(experiment, tmp_path / "whole").end()
    assert [code for code, _, _ in whole] == [0, 0], whole
    assert "Finished 300 epochs" in whole[0][1]
    assert "epoch" not in whole[1][1]  # the second says nothing
    assert [err for _, _, err in whole] == ["", ""]

    streamed = ("--config.data.stream=true", "--config.data.workers=0")
    cut = Pair(experiment, tmp_path / "cut", *streamed)
    cut.wait_for(60)
    os.kill(cut.child(1), signal.SIGKILL)
    begun = time.monotonic()
    (code, _, err), (_, _, own) = cut.end(60)
    assert time.monotonic() - begun < 60
    assert (code, err.count("\n")) == (1, 1), err
    assert "Another process of this run is gone" in err
    assert "crashed (SIGKILL" in own

    again = Pair(experiment, tmp_path / "cut", *streamed).end()
    assert [code for code, _, _ in again] == [0, 0], again
    assert "Resuming" in again[0][1]
    assert last_digest(tmp_path / "cut") == last_digest(tmp_path / "whole")
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    measured = [[json.loads(line) for line in text.splitlines()] for text in lines]
    for key in ("d_loss", "pixel_variance", "critic_overfit"):
        one, other = ([row.get(key) for row in rows] for rows in measured)
        assert one == other
    assert isinstance(measured[0][-1]["critic_overfit"], float)


@pytest.mark.parametrize(("recorder", "writes"), [(Recorder, True), (Follower, False)])
def test_only_the_first_process_mends_the_record(
    recorder: type[Recorder], writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "first", lambda: writes)
    path = tmp_path / "metrics.jsonl"
    whole = "".join(f'{{"epoch": {epoch}, "d_loss": 1.5}}\n' for epoch in range(3))
    path.write_text(whole + '{"epoch": 3, "d_lo')  # cut short by a crash
    record = recorder(Settings(), tmp_path, quiet=True)
    record.take_back_to(3)
    assert len(record.history) == 3
    assert (path.read_text() == whole) is writes
    assert (tmp_path / "metrics.dropped.jsonl").exists() is writes


def test_flags_say_which_process_this_is() -> None:
    assert rank("a:1", 2, 1, {}) == Rank("a:1", 2, 1)
    assert rank(None, None, None, {}) is None
    assert rank("a:1", 1, 0, {}) is None  # alone after all
    assert rank(None, None, None, {"SLURM_STEP_NUM_TASKS": "4"}) == Rank()
    assert rank(None, 1, None, {"SLURM_STEP_NUM_TASKS": "4"}) is None  # four runs of one process


def test_processes_that_were_given_different_things_are_told_both_remedies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosts, "_outcomes", lambda _: ["a", "a", "b"])
    with pytest.raises(UserError) as caught:
        hosts.check_same("The settings", "a")
    assert str(caught.value) == (
        "The settings of process 2 are not those of process 0: give all the same, or to each "
        "--num_processes=1 where they are runs of their own."
    )


def test_rounds_are_the_firsts_and_a_signal_is_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    first = [5, 0]
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda own: np.stack([first, own]))
    assert hosts.agreed(7, signal.SIGTERM) == (5, signal.SIGTERM)
    assert hosts.any_signal(signal.SIGTERM) == signal.SIGTERM
    assert hosts.any_signal(0) == 0


@pytest.mark.parametrize("ask", [hosts.by_first, hosts.together])
def test_what_fails_on_another_process_ends_this_one_too(
    ask: Callable[[Callable[[], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(hosts, "_gathered", lambda own: ['{"error": "No such folder."}', own])
    with pytest.raises(Followed, match=r"^No such folder\.$"):
        ask(lambda: None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("a:1", 2, None), "go together"),
        ((None, 2, None), "go together"),
        ((None, 2, 0), "go together"),
        (("a", 2, 0), "must be host:port"),
        (("a:port", 2, 0), "must be host:port"),
        (("a:1", 2, 2), "from 0 to --num_processes - 1 = 1"),
        (("a:1", 0, 0), "from 0 to"),
    ],
)
def test_flags_that_cannot_be_meant(
    given: tuple[str | None, int, int | None], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        rank(*given, {})


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8"}, False),  # the batch script itself, or a shell
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, True),
    ],
)
def test_a_cluster_is_known_by_its_environment(environment: dict[str, str], several: bool) -> None:
    assert in_cluster(environment) is several


NODES, SHARED = (
    {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": nodes, "CUDA_VISIBLE_DEVICES": "0,1"}
    for nodes in "21"
)


@pytest.mark.parametrize(
    ("environment", "own"),
    [
        (NODES, True),
        (SHARED, False),
        (SHARED | {"SLURM_GPUS_ON_NODE": "2"}, False),
        (SHARED | {"SLURM_GPUS_ON_NODE": "2", "CUDA_VISIBLE_DEVICES": "1"}, True),
        (SHARED | {"SLURM_GPUS_ON_NODE": "4", "CUDA_VISIBLE_DEVICES": "2,3"}, True),
        (NODES | {"JAX_LOCAL_DEVICE_IDS": "0"}, False),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, True),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, False),
        (NODES | {"OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, False),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "CUDA_VISIBLE_DEVICES": "1"}, True),
    ],
)
def test_a_process_that_shares_its_devices_with_none_takes_all_of_them(
    environment: dict[str, str], own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jax would give it one of them: that of its number on its host."""
    given = dict[str, object]()
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **flags: given.update(flags))
    hosts.join()
    assert given.get("local_device_ids") == ([] if own else None)


def child(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_supervised_process_is_passed_through(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    says = "import sys; print('out'); print('run.py: a line', file=sys.stderr); sys.exit(2)"
    assert supervise(child(says), tmp_path) == 2
    assert capfd.readouterr() == ("out\n", "run.py: a line\n")
    assert not list(tmp_path.iterdir())


def test_a_crash_is_one_line_and_its_report_is_kept(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunFailed, match=r"crashed \(exit code 1: ValueError: broken\)"):
        supervise(child("raise ValueError('broken')"), tmp_path)
    assert capfd.readouterr().err == ""
    (report,) = tmp_path.iterdir()
    assert "Traceback" in report.read_text()


def test_a_run_that_failed_in_our_words_is_passed_through(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without what C++ said beside them."""
    noise = "I1127 05:32:32.1 7 x.cc] noise\\nrun.py: collapsed"
    assert (
        supervise(child(f"import sys; sys.stderr.write('{noise}\\n'); sys.exit(1)"), tmp_path) == 1
    )
    assert capfd.readouterr().err == "run.py: collapsed\n"


def test_a_run_that_is_done_has_not_crashed_whatever_one_of_its_threads_did(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    thread = "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
    assert supervise(child(thread), tmp_path) == 0
    (report,) = tmp_path.iterdir()
    assert "ZeroDivisionError" in report.read_text()
    said = f"run.py: The run is done, though something in it failed. Details: {report}.\n"
    assert capfd.readouterr().err.endswith(said)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.write(2, b'E1127 05:32:32.1 7 x.cc] NCCL error'); os.abort()", "run is gone, so this"),
        ("os.kill(os.getpid(), 9)", "crashed (SIGKILL: no report)"),
    ],
)
def test_what_became_of_a_process_that_was_ended_is_said(
    end: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match=re.escape(said)):
        supervise(child(f"import os; {end}"), tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_ends_a_process_before_it_trains_is_no_crash(
    number: signal.Signals, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    end = f"import os, signal; signal.signal({number:d}, signal.SIG_DFL); os.kill(os.getpid(), "
    with pytest.raises(Interrupted, match=r"stopped at once\. What was saved is") as caught:
        supervise(child(f"{end}{number:d})"), tmp_path)
    assert caught.value.signum == number
    assert capfd.readouterr().err == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_process_that_trains(number: signal.Signals) -> None:
    """And its exit code is the parent's own."""
    code = 128 + number
    waits = (
        f"import signal, sys, time; signal.signal({number:d}, lambda *_: sys.exit({code}));"
        "print(1, file=sys.stderr, flush=True); time.sleep(60)"
    )
    script = (
        "import sys; from pathlib import Path; from wgan_jax.supervision import supervise;"
        f"sys.exit(supervise([sys.executable, '-c', {waits!r}], Path('.')))"
    )
    parent = subprocess.Popen(child(script), cwd=ROOT, stderr=subprocess.PIPE)
    assert parent.stderr is not None
    with parent.stderr as said:
        assert said.readline() == b"1\n"  # it waits
        parent.send_signal(number)
        assert parent.wait(20) == code
