"""The writers: every epoch arrives once, nothing saved is lost, and no error goes unsaid."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wgan_jax.errors import UserError
from wgan_jax.files import append_line, read_object, replace_bytes, replace_object
from wgan_jax.history import History
from wgan_jax.record.background import InBackground, Mirror
from wgan_jax.record.writers import JsonLinesWriter, MultiWriter, rows, to_json


def write(writer: Any, first: int, last: int, **columns: Any) -> None:
    """Epochs first..last as one chunk, with d_loss = epoch / 2."""
    epochs = np.arange(first, last + 1)
    writer.write_chunk(epochs, {"d_loss": epochs / 2, **columns}, {})


def lines(path: Path) -> list[dict[str, Any]]:
    """The file's lines, by a reader that knows no NaN."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_a_chunk_becomes_one_line_per_epoch(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    JsonLinesWriter(path).write_chunk(
        np.array([4, 5]),
        {"g_loss": np.array([1.5, -2.0], np.float32), "verdict": ["healthy", "unstable"]},
        {5: {"fid_score": 333.1, "protocol": "tf1"}},
    )
    assert lines(path) == [
        {"epoch": 4, "g_loss": 1.5, "verdict": "healthy"},
        {"epoch": 5, "g_loss": -2.0, "verdict": "unstable", "fid_score": 333.1, "protocol": "tf1"},
    ]


def test_mirrors_may_get_the_last_of_each_few_epochs_and_those_with_more_to_say() -> None:
    epochs, columns = np.arange(5, 13), {"d_loss": np.arange(8.0)}
    found = rows(epochs, columns, {7: {"fid": 3.0}}, every=5)
    assert found == [{"epoch": 7, "d_loss": 2.0, "fid": 3.0}, {"epoch": 9, "d_loss": 4.0}]
    assert len(rows(epochs, columns, {})) == 8


def test_a_name_that_is_not_utf8_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Of the folder that the images are in, say: it stands in the protocol of each measurement."""
    path, name = tmp_path / "metrics.jsonl", os.fsdecode(b"folder:caf\xe9")
    extras = {0: {"fid_score": 9.0, "protocol": {"real": name}}}
    JsonLinesWriter(path).write_chunk(np.array([0]), {"d_loss": np.ones(1)}, extras)
    assert lines(path)[0]["protocol"] == {"real": name}
    append_line(tmp_path / "quality.jsonl", to_json({"real": name}))
    assert lines(tmp_path / "quality.jsonl") == [{"real": name}]
    replace_object(tmp_path / "config.json", {"name": name, "note": "é"})
    assert read_object(tmp_path / "config.json") == {"name": name, "note": "é"}


def test_the_history_reads_back_the_very_floats(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=300).astype(np.float32)
    writer = JsonLinesWriter(tmp_path / "metrics.jsonl")
    writer.write_chunk(np.arange(300), {"g_loss": values}, {})
    history = History.read(writer.path)
    np.testing.assert_array_equal(history["g_loss"].astype(np.float32), values)
    assert history.epochs.tolist() == list(range(300))


def test_numbers_that_json_lacks_are_texts(tmp_path: Path) -> None:
    writer = JsonLinesWriter(tmp_path / "metrics.jsonl")
    bad = np.array([np.nan, np.inf, -np.inf])
    writer.write_chunk(np.arange(3), {"d_loss": bad, "g_loss": np.zeros(3)}, {})
    assert [row["d_loss"] for row in lines(writer.path)] == ["NaN", "Infinity", "-Infinity"]
    history = History.read(writer.path)
    assert not np.isfinite(history.get("d_loss")).any()
    assert history["g_loss"].tolist() == [0, 0, 0]


def test_a_line_cut_by_a_crash_is_healed_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(JsonLinesWriter(path), 0, 2)
    with path.open("a") as file:
        file.write('{"epoch": 3, "d_lo')
    writer = JsonLinesWriter(path)
    write(writer, 3, 4)
    assert [row["epoch"] for row in lines(path)] == [0, 1, 2, 3, 4]
    assert writer.dropped.read_text() == '{"epoch": 3, "d_lo\n'


def test_resuming_takes_back_later_epochs_into_the_side_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(JsonLinesWriter(path), 0, 9)
    writer = JsonLinesWriter(path)
    writer.truncate_after(5)
    write(writer, 6, 7)
    assert [row["epoch"] for row in lines(path)] == list(range(8))
    assert [row["epoch"] for row in lines(writer.dropped)] == [6, 7, 8, 9]


def test_damage_in_the_middle_costs_only_that_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"epoch": 0}\n\x00\x00garbage\n[1]\n{"epoch": 1}\n{"epoch": 1}\n{"epoch": 2}\n'
    )
    JsonLinesWriter(path).truncate_after(None)
    assert [row["epoch"] for row in lines(path)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("damaged", "left"),
    [
        (b"", [0, 1, 2, 4, 5, 6]),
        (b"\xff\x00garbage\n", [0, 1, 2, 4, 5, 6]),
        (b'{"epoch": 13}\n', [0, 1, 2, 4, 5, 6]),
        (b'{"epoch": 5}\n', [0, 1, 2, 4, 5, 6]),
        (b'{"epoch": 1}\n', [0, 1, 2, 4, 5, 6]),
        (b'{"epoch": true}\n', [0, 1, 2, 4, 5, 6]),
        (b'{"epoch": 1' + b"0" * 30 + b"}\n", [0, 1, 2, 4, 5, 6]),
        (b'{"epoch": 3, "verdict": "\xed\xa0\x80"}\n', [0, 1, 2, 4, 5, 6]),
        (b"[" * 100_000 + b"\n", [0, 1, 2, 4, 5, 6]),
        (b'\xef\xbb\xbf{"epoch": 3}\n', [0, 1, 2, 3, 4, 5, 6]),
        (b'{"epoch": 3, "d_loss": 1' + b"0" * 400 + b"}\n", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_what_is_kept_can_be_read(tmp_path: Path, damaged: bytes, left: list[int]) -> None:
    """And one damaged line costs itself alone."""
    path = tmp_path / "metrics.jsonl"
    write(JsonLinesWriter(path), 0, 6)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:3], damaged, *whole[4:]]))
    writer = JsonLinesWriter(path)
    writer.truncate_after(6)
    write(writer, 7, 8)
    history = History.read(path)
    assert history.epochs.tolist() == [*left, 7, 8]
    assert history["d_loss"][[0, -1]].tolist() == [0, 4]


def test_a_deleted_file_is_begun_anew(tmp_path: Path) -> None:
    writer = JsonLinesWriter(tmp_path / "metrics.jsonl")
    assert len(History.read(writer.path)) == 0
    write(writer, 7, 8)
    assert History.read(writer.path).epochs.tolist() == [7, 8]


def test_epochs_never_go_back(tmp_path: Path) -> None:
    writer = JsonLinesWriter(tmp_path / "metrics.jsonl")
    write(writer, 0, 5)
    with pytest.raises(ValueError, match="begin above 5"):
        write(writer, 5, 6)


def test_a_full_disk_is_one_clear_line_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JsonLinesWriter(tmp_path / "metrics.jsonl")
    write(writer, 0, 2)
    before = writer.path.read_bytes()
    real, calls = os.write, []

    def half_then_full(file: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(UserError, match="No space left on device"):
        write(writer, 3, 4)
    assert writer.path.read_bytes() == before


class Recorder:
    """A writer that notes its calls, and fails from the `fail_at`-th on."""

    def __init__(self, fail_at: int = 10**9) -> None:
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.fail_at = fail_at

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any) -> None:
            self.calls.append(name)
            self.threads.add(threading.get_ident())
            if len(self.calls) > self.fail_at:
                raise RuntimeError(f"call {len(self.calls)}")

        return call


def test_a_file_is_synced_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    replace_bytes(path, b"old")
    seen: list[tuple[int, bytes]] = []
    sync = os.fsync

    def noting(file: int) -> None:
        sync(file)
        seen.append((os.fstat(file).st_size, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", noting)
    replace_bytes(path, b"a newer one")
    assert seen == [(11, b"old")]
    assert path.read_bytes() == b"a newer one"


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    replace_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="x cannot be written"):
        replace_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_a_file_at_once_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though both are process 1, each of its own container on a shared disk."""
    path, sync = tmp_path / "x", os.fsync

    def with_another(file: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        replace_bytes(path, b"another's")
        sync(file)

    monkeypatch.setattr(os, "fsync", with_another)
    replace_bytes(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_are_all_called_though_the_first_fails() -> None:
    bad, good = Recorder(fail_at=0), Recorder()
    both = MultiWriter([bad, good])
    with pytest.raises(RuntimeError, match="call 1"):
        write(both, 0, 1)
    with pytest.raises(RuntimeError, match="call 2"):
        both.close()
    assert good.calls == ["write_chunk", "close"]


def test_the_background_keeps_the_order_on_one_other_thread() -> None:
    inner = Recorder()
    writer = InBackground(lambda: inner)
    writer.write_hparams({"clip": 0.01})
    write(writer, 0, 1)
    writer.write_images(1, {})
    writer.write_summary({})
    writer.close()
    assert inner.calls == ["write_hparams", "write_chunk", "write_images", "write_summary", "close"]
    assert len(inner.threads) == 1
    assert threading.get_ident() not in inner.threads


def test_flush_waits_until_the_lines_are_in_the_file(tmp_path: Path) -> None:
    writer = InBackground(lambda: JsonLinesWriter(tmp_path / "metrics.jsonl"))
    for first in range(0, 1000, 10):
        write(writer, first, first + 9)
    writer.flush()
    assert len(lines(tmp_path / "metrics.jsonl")) == 1000
    writer.close()


def test_an_error_in_the_background_is_raised_exactly_once() -> None:
    writer = InBackground(lambda: Recorder(fail_at=1))
    write(writer, 0, 1)
    with pytest.raises(RuntimeError, match="call 2"):
        writer.flush()
    write(writer, 2, 3)
    writer.close()


def test_an_error_while_making_the_writer_is_raised_too() -> None:
    def make() -> Recorder:
        raise UserError("no room")

    with pytest.raises(UserError, match="no room"):
        InBackground(make).flush()


def test_a_failing_mirror_is_told_once_and_left_alone() -> None:
    inner, told = Recorder(fail_at=1), list[Exception]()
    mirror = Mirror(lambda: inner, told.append)
    for epoch in range(5):
        write(mirror, epoch, epoch)
        mirror.flush()
    mirror.close()
    assert [str(error) for error in told] == ["call 2"]
    assert len(inner.calls) == 2


def test_a_hanging_mirror_costs_its_patience_and_no_more() -> None:
    release, told = threading.Event(), list[Exception]()

    class Hanging(Recorder):
        def write_chunk(self, *_: Any) -> None:
            release.wait()

    mirror = Mirror(Hanging, told.append, patience=0.1, capacity=3)
    for epoch in range(10):
        write(mirror, epoch, epoch)
    mirror.close()
    release.set()
    assert len(told) == 1
    assert isinstance(told[0], TimeoutError)


def test_a_tensorboard_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
sys.modules["clu"] = None  # as where it is not installed
from wgan_jax.record.tensorboard import tensorboard_mirror
mirror = tensorboard_mirror(Path("."), print)
for epoch in range(9):
    mirror.write_chunk(np.array([epoch]), {}, {})
mirror.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("TensorBoard failed and training goes on without it")
    assert done.stdout.count("\n") == 1


@pytest.mark.slow
def test_tensorboard_holds_the_same_keys_and_values(tmp_path: Path) -> None:
    import warnings

    from wgan_jax.record.tensorboard import TensorBoardWriter

    writer = InBackground(lambda: TensorBoardWriter(tmp_path))
    writer.write_hparams({"clip": 0.01, "critic.filters": (32, 64)})
    writer.write_chunk(
        np.array([0, 1]),
        {"d_loss": np.array([0.5, 0.25]), "verdict": ["a", "b"]},
        {1: {"fid_score": 7.0}},
    )
    writer.write_images(1, {"generated_images": np.zeros((8, 8, 3), np.uint8)})
    writer.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray

        events = EventAccumulator(str(tmp_path))
        events.Reload()
        tensor = {
            tag: [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
            for tag in ("d_loss", "fid_score")
        }
        assert tensor == {"d_loss": [(0, 0.5), (1, 0.25)], "fid_score": [(1, 7.0)]}
        assert [e.step for e in events.Tensors("generated_images")] == [1]
