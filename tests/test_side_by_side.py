"""Runs side by side: a process and a device each, and none that outlives the grid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from wgan_jax import grid, side_by_side
from wgan_jax.errors import Interrupted

ROOT = Path(__file__).parent.parent

# In the place of run.py: a run that lasts as long as its batch is large, and saves at SIGTERM.
STANDIN = """
import os, pathlib, signal, sys, time
sys.path.insert(0, {root!r})
from wgan_jax.supervision import supervised
workdir = pathlib.Path(sys.argv[sys.argv.index("--workdir") + 1])
size, = [int(a.partition("=")[2]) for a in sys.argv if a.startswith("--config.batch_size=")]

def save(*_):
    (workdir / "saved").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
workdir.mkdir()
assert supervised()
(workdir / "device").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
print("trained", *sys.argv[1:])
time.sleep(size)
"""


@pytest.fixture
def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., grid.Plan]:
    """A grid of four seeds, of runs of so many seconds."""
    standin = tmp_path / "standin.py"
    standin.write_text(STANDIN.format(root=str(ROOT)))
    monkeypatch.setattr(side_by_side, "RUN", standin)
    (tmp_path / "grid").mkdir()

    def plan(seconds: int) -> grid.Plan:
        config = tmp_path / "experiment.py"
        return grid.Plan(config, ("--config.clip=2",), (0, 1, 2, 3), (seconds,), tmp_path / "grid")

    return plan


def devices_of(plan: grid.Plan) -> list[str]:
    """The devices of the runs that began."""
    return sorted(path.read_text() for path in plan.out.glob("*/device"))


@pytest.mark.parametrize(
    ("visible", "seen"),
    [(None, {"0", "1"}), ("4,GPU-7", {"4", "GPU-7"}), ("", {""})],
)
def test_runs_are_spread_over_the_devices_there_are(
    visible: str | None,
    seen: set[str],
    plan_of: Callable[..., grid.Plan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    plan = plan_of(0)
    ended = [(cell, 0) for cell in plan.cells()]
    assert sorted(side_by_side.side_by_side(plan, plan.cells(), 2)) == ended
    assert len(devices_of(plan)) == 4
    assert set(devices_of(plan)) == seen
    log = side_by_side.log_of(plan, grid.Cell(3, 0))
    assert log == plan.out / "batch_0_seed_3.log"
    workdir = plan.out / "batch_0_seed_3"
    assert log.read_text() == (
        f"trained --config {plan.config} --config.clip=2 --config.seed=3 --config.batch_size=0 "
        f"--config.devices=1 --num_processes=1 --workdir {workdir}\n"
    )


def begun(plan: grid.Plan, runs: int) -> bool:
    """Whether so many runs have begun; waits for them."""
    deadline = time.monotonic() + 30
    while len(devices_of(plan)) < runs and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(devices_of(plan)) == runs


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_runs_and_begins_no_other(
    number: signal.Signals, plan_of: Callable[..., grid.Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both that are at work save; the two that wait never begin."""
    plan = plan_of(60)

    def look(_: float) -> None:
        assert begun(plan, 2)
        signal.raise_signal(number)

    monkeypatch.setattr(side_by_side, "time", SimpleNamespace(sleep=look))
    with pytest.raises(Interrupted, match=r"trained is saved\. The same command goes") as caught:
        list(side_by_side.side_by_side(plan, plan.cells(), 2))
    assert caught.value.signum == number
    assert sorted(path.name for path in plan.out.glob("batch*/")) == [
        *("batch_60_seed_0", "batch_60_seed_1")
    ]
    assert len(list(plan.out.glob("*/saved"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_a_signal_that_the_runs_have_met_themselves_ends_the_grid_too(
    plan_of: Callable[..., grid.Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a cluster sends it to every process."""
    plan = plan_of(60)

    def look(_: float) -> None:
        assert begun(plan, 1)
        child = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[-1])
        os.kill(child, signal.SIGTERM)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(side_by_side, "time", SimpleNamespace(sleep=look))
    with pytest.raises(Interrupted):
        list(side_by_side.side_by_side(plan, [grid.Cell(0, 60)], 2))


def test_who_takes_no_more_of_it_leaves_no_process(plan_of: Callable[..., grid.Plan]) -> None:
    plan = plan_of(60)
    runs = side_by_side.side_by_side(plan, [grid.Cell(0, 0), *plan.cells()], 2)
    assert next(runs) == ((0, 0), 0)
    assert begun(plan, 2)
    runs.close()
    assert len(list(plan.out.glob("*/saved"))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_runs_end_with_a_grid_that_is_killed(plan_of: Callable[..., grid.Plan]) -> None:
    plan = plan_of(60)
    script = (
        "from pathlib import Path; from wgan_jax import grid, side_by_side;"
        f"side_by_side.RUN = Path({str(side_by_side.RUN)!r});"
        f"plan = grid.Plan(Path('x.py'), (), (0, 1), (60,), Path({str(plan.out)!r}));"
        "list(side_by_side.side_by_side(plan, plan.cells(), 2))"
    )
    killed = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    assert begun(plan, 2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    deadline = time.monotonic() + 20
    while len(list(plan.out.glob("*/saved"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(plan.out.glob("*/saved"))) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_run_whose_grid_is_killed_before_the_run_looks_for_it_ends_too() -> None:
    """A process takes a second or more from its start to that look, on a busy machine many."""
    late = (
        "import os, time; parent = os.environ['WGAN_JAX_SUPERVISED'];\n"
        "while str(os.getppid()) == parent: time.sleep(0.01)\n"
        "from wgan_jax.supervision import supervised; supervised(); print('trains on')"
    )
    script = (
        "import os, signal, subprocess, sys; from wgan_jax.supervision import for_a_child;"
        f"subprocess.Popen([sys.executable, '-c', {late!r}], env=for_a_child());"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", script]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.stdout == ""
    assert "Interrupted: What started this run has ended" in killed.stderr
