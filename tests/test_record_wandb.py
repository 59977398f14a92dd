"""W&B: the 23 charts with the right values, read back from the run's own file, and every fault of
the server, the process, the network and the disk, none of which may hold training back.

Each case runs in a process of its own, as a training run does, with warnings as errors.
"""

from __future__ import annotations

import http.server
import json
import math
import os
import shlex
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wgan_jax.errors import UserError
from wgan_jax.keys import METRICS
from wgan_jax.record import wandb as ours

ROOT = Path(__file__).parent.parent
HEADER = """
import os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
from wgan_jax.record import wandb as ours
ours.INIT_SECONDS, ours.FINISH_SECONDS, ours.SPARE_SECONDS = 3, 3, 3

def log(mirror, first, last):
    epochs = np.arange(first, last + 1)
    for part in np.array_split(epochs, 10):
        mirror.write_chunk(part, {"d_loss": part / 2, "kid_mean": part * 1.0}, {})

def begun():
    while not Path("run", ours.RUN_FILE).exists():
        time.sleep(0.01)

start = time.monotonic()
mirror = ours.wandb_mirror(ours.WandbSettings(MODE), Path("run"))
"""
FOOTER = """
written = time.monotonic() - start
mirror.close()
print("WRITTEN", written)
"""


def environment(**more: str) -> dict[str, str]:
    """This process's, without W&B's settings and the process of its that others here began."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return kept | more


def play(folder: Path, mode: str, body: str, launcher: tuple[str, ...] = (), **env: str) -> Any:
    """Run a script around `body` in `folder`; its result has `seconds` spent before `close`."""
    script = f"MODE = {mode!r}\n{HEADER}\n{body}\n{FOOTER}"
    paths = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "NETRC": str(folder / "none")}
    done = subprocess.run(
        [*launcher, sys.executable, "-W", "error", "-c", script],
        cwd=folder,
        env=environment(**paths, **env),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    done.seconds = float(done.stdout.split("WRITTEN")[1])
    return done


def records(path: Path) -> Iterator[Any]:
    """The protobuf records of a `.wandb` file, which is a LevelDB log with a 7-byte file header."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        parts.append(data[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record


def run_file(folder: Path) -> list[Any]:
    (path,) = folder.glob("run/wandb/offline-run-*/run-*.wandb")
    return list(records(path))


def history(found: list[Any]) -> list[dict[str, Any]]:
    rows = [r.history.item for r in found if r.WhichOneof("record_type") == "history"]
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in row}
        for row in rows
    ]


def test_an_offline_run_holds_the_23_charts_every_epoch_and_the_summary(tmp_path: Path) -> None:
    body = """
mirror.write_hparams({"clip": 0.01, "data.name": "digits"})
log(mirror, 0, 499)
mirror.write_chunk(np.array([500]), {"d_loss": np.array([np.nan])}, {500: {"fid_score": 33.5}})
mirror.write_images(500, {"generated_images": np.zeros((8, 8, 3), np.uint8)})
begun()
Path("run/report.md").write_text("fine")
mirror.write_summary({"verdict": "stable", "report": Path("run/report.md")})
"""
    done = play(tmp_path, "offline", body)
    assert done.stderr == ""
    found = run_file(tmp_path)

    defined = [r.metric for r in found if r.WhichOneof("record_type") == "metric"]
    charts = {m.name: m for m in defined if m.name and m.name != "epoch"}
    assert list(charts) == [metric.key for metric in METRICS]
    assert len(charts) == 23
    for metric in METRICS:
        chart = charts[metric.key]
        assert chart.step_metric == "epoch"
        kinds = ("min", "max", "last")
        assert [kind for kind in kinds if getattr(chart.summary, kind)] == [metric.summary]

    rows = history(found)
    epochs = [row for row in rows if "d_loss" in row]
    assert [row["epoch"] for row in epochs] == list(range(501))
    assert all(row["d_loss"] == row["epoch"] / 2 for row in epochs[:-1])
    assert all(row["extra/kid_mean"] == row["epoch"] for row in epochs[:-1])
    assert math.isnan(epochs[-1]["d_loss"])
    assert epochs[-1]["fid_score"] == 33.5
    (image,) = [row for row in rows if any(key.startswith("generated_images") for key in row)]
    assert image["epoch"] == 500

    text = str(found)
    assert '"stable"' in text.replace("\\", "")
    assert "report.md" in text


@pytest.mark.slow
def test_a_run_sends_the_last_of_each_few_epochs_where_asked_to(
    tmp_path: Path, tiny: dict[str, Any]
) -> None:
    config = tiny | {"epochs": 10, "mirror_every": 4, "wandb": {"mode": "offline"}}
    code = f"""
from wgan_jax import train
train({config!r}, "run", quiet=True)
"""
    env = environment(PYTHONPATH=str(ROOT))
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=env)
    assert [row["epoch"] for row in history(run_file(tmp_path)) if "d_loss" in row] == [3, 7]


def test_the_run_lies_in_its_workdir_though_wandb_was_started_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    code = """
import os, wandb
from wgan_jax.record import wandb as ours
os.chdir("elsewhere")
wandb.setup()
os.chdir("..")
run = ours.init_wandb("digits", mode="offline", workdir="run")
run.log({"d_loss": 1.0, "epoch": 0})
run.finish()
"""
    env = environment(PYTHONPATH=str(ROOT))
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=env)
    assert [row["epoch"] for row in history(run_file(tmp_path))] == [0]


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_run_of_the_programs_own_is_left_alone(tmp_path: Path, mode: str) -> None:
    """Also where no server takes ours."""
    code = f"""
import wandb
from pathlib import Path
import numpy as np
from wgan_jax.record import wandb as ours
ours.INIT_SECONDS, ours.FINISH_SECONDS, ours.SPARE_SECONDS = 3, 3, 3
Path("own").mkdir()
silent = wandb.Settings(silent=True, console="off")
own = wandb.init(project="own", dir="own", mode="offline", settings=silent)
mirror = ours.wandb_mirror(ours.WandbSettings({mode!r}), Path("run"))
mirror.write_chunk(np.arange(3), {{"d_loss": np.arange(3.0)}}, {{}})
mirror.close()
assert wandb.run is own
own.log({{"mine": 1}})
own.finish()
"""
    nobody = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40}
    env = environment(PYTHONPATH=str(ROOT), HOME=str(tmp_path), **nobody)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=env)
    assert [row["epoch"] for row in history(run_file(tmp_path))] == [0, 1, 2]
    (path,) = tmp_path.glob("own/wandb/offline-run-*/run-*.wandb")
    assert [row["mine"] for row in history(list(records(path)))] == [1]


def test_a_copied_folder_is_another_run_and_a_moved_one_the_same(tmp_path: Path) -> None:
    code = """
import shutil
from wgan_jax.record import wandb as ours

def begun(place):
    run = ours.init_wandb("digits", mode="offline", workdir=place)
    run.finish()
    return run.id

first = begun("run")
shutil.copytree("run", "copy")
copy = begun("copy")
assert begun("run") == first
shutil.move("run", "moved")
print(first, copy, begun("copy"), begun("moved"))
"""
    env = environment(PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, env=env, stdout=subprocess.PIPE
    )
    first, copy, copy_again, moved = done.stdout.split()
    assert copy != first
    assert (copy_again, moved) == (copy, first)


def test_without_a_workdir_every_call_is_a_run_of_its_own(tmp_path: Path) -> None:
    """As a notebook has it, where the next experiment begins in the same folder."""
    code = """
from wgan_jax.record import wandb as ours
for name in ("wgan_001", "wgan_002"):
    run = ours.init_wandb(name, mode="offline")
    print(run.id)
    run.finish()
"""
    env = environment(PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, env=env, stdout=subprocess.PIPE
    )
    first, second = done.stdout.split()
    assert first != second
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
    assert not (tmp_path / ours.RUN_FILE).exists()


def test_a_resumed_run_is_the_same_run(tmp_path: Path) -> None:
    for first in (0, 10):
        play(tmp_path, "offline", f"log(mirror, {first}, {first + 9})")
    files = sorted(tmp_path.glob("run/wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({path.name for path in files}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("server", [(10**9, "never")], indirect=True)
def test_what_was_resumed_offline_is_uploaded_as_one_run(server: Any, tmp_path: Path) -> None:
    for first in (0, 10, 20):
        play(tmp_path, "offline", f"log(mirror, {first}, {first + 9})")
    upload(["wandb", "sync", "--yes", str(tmp_path / "run/wandb")], server, tmp_path)
    assert [(row["_step"], row["epoch"]) for row in kept(server)] == [(n, n) for n in range(30)]


class FakeServer(http.server.BaseHTTPRequestHandler):
    """A W&B server that takes a run, and fails or hangs after so many requests as its plan says."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1  # type: ignore[attr-defined]
        after, fault = self.server.plan  # type: ignore[attr-defined]
        if self.server.requests > after:  # type: ignore[attr-defined]
            if fault == "hang":
                self.server.over.wait()  # type: ignore[attr-defined]
                return
            self._answer(500, {})
            return
        self.server.bodies.append((self.path, body))  # type: ignore[attr-defined]
        if self.path.endswith("file_stream"):
            self._keep(json.loads(body).get("files", {}).get("wandb-history.jsonl"))
        self._answer(200, {"data": self._data(body) if self.path == "/graphql" else {}})

    do_PUT = do_POST

    def _keep(self, chunk: Any) -> None:
        """As W&B does: lines overwrite those at their places."""
        if chunk:
            at, lines = chunk["offset"], chunk["content"]
            self.server.lines[at : at + len(lines)] = lines  # type: ignore[attr-defined]

    def _data(self, body: bytes) -> dict[str, Any]:
        """What W&B's client asks of a run that goes well."""
        variables = json.loads(body)["variables"]
        project = {"name": "wgan-jax", "entity": {"name": "me"}}
        name = variables.get("name")
        bucket = {"id": "x", "name": name, "displayName": "digits", "project": project}
        target = f"http://127.0.0.1:{self.server.server_port}/upload"  # type: ignore[attr-defined]
        files = [{"name": file, "uploadUrl": target} for file in variables.get("files") or []]
        lines = self.server.lines  # type: ignore[attr-defined]
        known = {
            "name": name,
            "historyLineCount": len(lines),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps(lines[-1:]),
            "eventsTail": "[]",
            "summaryMetrics": "{}",
            "config": "{}",
            "tags": [],
            "wandbConfig": '{"t": 1}',
        }
        return {
            "model": {"bucket": known if lines else None},
            "upsertBucket": {"bucket": bucket, "inserted": True},
            "createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files},
        }

    def _answer(self, code: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    fake = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeServer)
    fake.daemon_threads, fake.block_on_close = True, False
    fake.plan, fake.requests, fake.bodies, fake.lines = request.param, 0, [], []
    fake.over = threading.Event()
    thread = threading.Thread(target=fake.serve_forever, daemon=True)
    thread.start()
    yield fake
    fake.over.set()
    fake.shutdown()
    fake.server_close()
    thread.join()


def address(server: Any) -> dict[str, str]:
    return {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": "a" * 40}


def kept(server: Any) -> list[dict[str, Any]]:
    """The rows that the server has of the run."""
    return [json.loads(line) for line in server.lines]


def upload(command: list[str], server: Any, home: Path) -> None:
    """A command of `wandb`, as a user gives it later."""
    subprocess.run(
        [sys.executable, "-m", *command],
        check=True,
        cwd=home,  # it writes a log there
        env=environment(**address(server), HOME=str(home)),
        stdout=subprocess.PIPE,
        timeout=100,
    )


@pytest.mark.slow
@pytest.mark.parametrize("server", [(10**9, "never")], indirect=True)
def test_an_online_run_sends_every_epoch_and_goes_on_as_the_same_run(
    server: Any, tmp_path: Path
) -> None:
    for first in (0, 300):
        done = play(tmp_path, "online", f"log(mirror, {first}, {first + 299})", **address(server))
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("W&B: http://127.0.0.1")
    sent: list[dict[str, Any]] = []
    for path, body in server.bodies:
        if path.endswith("file_stream"):
            chunk = json.loads(body).get("files", {}).get("wandb-history.jsonl", {})
            sent += map(json.loads, chunk.get("content", []))
    epochs = [row["epoch"] for row in sent]
    assert epochs == list(range(600))
    assert all(row["d_loss"] == row["epoch"] / 2 for row in sent)
    streams = {path for path, _ in server.bodies if path.endswith("file_stream")}
    assert len(streams) == 1, "one run, one address"


@pytest.mark.slow
@pytest.mark.parametrize("server", [(0, "500"), (0, "hang")], indirect=True)
def test_a_server_that_never_takes_the_run_leaves_it_whole_offline(
    server: Any, tmp_path: Path
) -> None:
    done = play(tmp_path, "online", "log(mirror, 0, 499)", **address(server))
    assert server.requests > 0
    assert done.seconds < 1
    assert len(done.stderr.splitlines()) == 1
    assert "logging it offline" in done.stderr
    assert [row["epoch"] for row in history(run_file(tmp_path))] == list(range(500))


@pytest.mark.slow
@pytest.mark.parametrize("server", [(2, "500"), (2, "hang")], indirect=True)
def test_a_server_that_fails_later_is_said_once_with_the_remedy(
    server: Any, tmp_path: Path
) -> None:
    began = time.monotonic()
    done = play(tmp_path, "online", "log(mirror, 0, 499)", **address(server))
    assert time.monotonic() - began < 30
    assert done.seconds < 1
    url, lost = done.stderr.splitlines()
    assert url.startswith("W&B: http://127.0.0.1")
    assert lost.startswith("W&B failed and training goes on without it")
    command = shlex.split(lost.split("`")[1])
    (path,) = Path(command[-1]).glob("run-*.wandb")
    assert [row["epoch"] for row in history(list(records(path)))] == list(range(500))

    server.plan = 10**9, "never"
    upload(command, server, tmp_path)
    assert [row["epoch"] for row in kept(server)] == list(range(500))


def test_without_a_network_the_run_is_logged_offline(tmp_path: Path) -> None:
    nobody = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40}
    done = play(tmp_path, "online", "log(mirror, 0, 99)", **nobody)
    assert len(done.stderr.splitlines()) == 1
    assert "logging it offline" in done.stderr
    assert len(history(run_file(tmp_path))) == 100


KILL = """
begun()
log(mirror, 0, 99)
found = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(os.getpid())],
                       capture_output=True, text=True).stdout
(core,) = [int(line.split()[0]) for line in found.splitlines() if "wandb-core" in line]
os.kill(core, signal.SIG{how})
time.sleep(0.5)
again = time.monotonic()
for i in range(1, 100):
    log(mirror, 100 * i, 100 * i + 99)
assert time.monotonic() - again < 2
"""


@pytest.mark.skipif(not shutil.which("ps"), reason="ps finds W&B's process")
def test_a_killed_process_is_said_once(tmp_path: Path) -> None:
    done = play(tmp_path, "offline", KILL.format(how="KILL"))
    (line,) = done.stderr.splitlines()
    assert line.startswith("W&B failed and training goes on without it")
    assert "`wandb sync " in line


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ps"), reason="ps finds W&B's process")
def test_a_stopped_process_holds_nothing_back(tmp_path: Path) -> None:
    end = "\nimport atexit; atexit.register(os.kill, core, signal.SIGKILL)"
    done = play(tmp_path, "offline", KILL.format(how="STOP") + end)
    (line,) = done.stderr.splitlines()
    assert "no answer for 9 s" in line


def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    shell = 'mount -t tmpfs -o size=500k tmpfs . && cd . && exec "$0" "$@"'
    launcher = ("unshare", "-rm", "sh", "-c", shell)
    able = subprocess.run([*launcher[:-1], shell, "true"], cwd=tmp_path, capture_output=True)
    if able.returncode:
        pytest.skip("no right to mount a small disk")
    body = "for i in range(30):\n    log(mirror, 1000 * i, 1000 * i + 999)\n    time.sleep(0.1)"
    done = play(tmp_path, "offline", body, launcher)
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line


def test_wandb_s_own_log_is_no_matter_of_the_user_s(tmp_path: Path) -> None:
    """On a full disk Python's logging would print a traceback for each of its lines."""
    body = """
import logging
class Full:
    def write(self, text): raise OSError(28, "No space left on device")
    def flush(self): pass
begun()
files = [h for h in logging.getLogger("wandb").handlers if isinstance(h, logging.FileHandler)]
assert files
for handler in files:
    handler.close()
    handler.stream = Full()
logging.getLogger("wandb").error("something")
log(mirror, 0, 99)
"""
    assert play(tmp_path, "offline", body).stderr == ""


def test_the_mode_is_online_where_logged_in_and_else_offline_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    said: list[str] = []
    assert ours.choose_mode("", said.append) == "offline"
    assert len(said) == 1
    assert "wandb login" in said[0]
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {'b' * 40}\n")
    assert ours.choose_mode("", said.append) == "online"
    assert ours.choose_mode("disabled", said.append) == "disabled"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert ours.choose_mode("", said.append) == "disabled"
    assert len(said) == 1
    with pytest.raises(UserError, match="not one of"):
        ours.choose_mode("of", said.append)


def test_disabled_makes_no_mirror_and_imports_nothing(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from wgan_jax import define_wgan_charts, init_wandb
from wgan_jax.record.wandb import wandb_mirror
from wgan_jax.settings import WandbSettings
assert wandb_mirror(WandbSettings("disabled"), Path("run")) is None
assert not {"wandb", "tensorflow", "jax"} & set(sys.modules)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=env)
    assert list(tmp_path.iterdir()) == []


def test_charts_without_a_run_say_what_to_call_first(tmp_path: Path) -> None:
    code = "from wgan_jax import define_wgan_charts as d; d()"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert "call init_wandb(...) before define_wgan_charts()" in done.stderr
