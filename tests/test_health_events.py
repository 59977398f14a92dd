"""TensorBoard's events as logs: what other programs write, in whole and in ruins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.util.tensor_util import make_tensor_proto

import run
from wgan_jax.errors import UserError
from wgan_jax.health.logs import events
from wgan_jax.health.logs.runlog import read

NAME = "events.out.tfevents.1700000000.host.1.0"
VERSION = event_pb2.Event(wall_time=1.7e9, file_version="brain.Event:2")


def number(tag: str, value: float) -> summary_pb2.Summary.Value:
    """As PyTorch writes it."""
    return summary_pb2.Summary.Value(tag=tag, simple_value=value)


def tensor(tag: str, value: object, dtype: type | None = None) -> summary_pb2.Summary.Value:
    """As TensorFlow 2 writes it."""
    return summary_pb2.Summary.Value(tag=tag, tensor=make_tensor_proto(value, dtype))


def framed(event: event_pb2.Event) -> bytes:
    data = event.SerializeToString()
    length = len(data).to_bytes(8, "little")
    sums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, data))
    return length + next(sums) + data + next(sums)


def write(
    path: Path, values: Iterable[tuple[int, Iterable[summary_pb2.Summary.Value]]]
) -> tuple[Path, list[bytes]]:
    """A file with an event each; the path, and the records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [framed(VERSION)] + [
        framed(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=found)))
        for step, found in values
    ]
    path.write_bytes(b"".join(records))
    return path, records


def one_by_one(
    columns: Mapping[str, Iterable[float]], every: int = 10
) -> list[tuple[int, list[summary_pb2.Summary.Value]]]:
    """An event for each number, as of `add_scalar`."""
    rows = enumerate(zip(*columns.values(), strict=True))
    return [
        (every * i, [number(tag, value)])
        for i, row in rows
        for tag, value in zip(columns, row, strict=True)
    ]


LOSSES = {"Loss/D": [1.5, 1.25, 1.0], "Loss/G": [-0.5, 0.5, 0.25]}


def holds_losses(path: Path) -> None:
    log = read(path)
    np.testing.assert_array_equal(log.history.epochs, [0, 10, 20])
    np.testing.assert_array_equal(log.history["d_loss"], LOSSES["Loss/D"])
    np.testing.assert_array_equal(log.history["g_loss"], LOSSES["Loss/G"])
    assert log.notes == ()


def test_a_file_and_its_folder_are_read_alike(tmp_path: Path) -> None:
    path, _ = write(tmp_path / "run" / NAME, one_by_one(LOSSES))
    holds_losses(path)
    holds_losses(path.parent)


def test_a_file_of_events_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    path, _ = write(tmp_path / "log.csv", one_by_one(LOSSES))
    holds_losses(path)


def test_tensors_of_one_number_are_numbers_and_nothing_else_is(tmp_path: Path) -> None:
    picture = summary_pb2.Summary.Value(
        tag="samples", image=summary_pb2.Summary.Image(encoded_image_string=b"png" * 99)
    )
    shape = tensor_shape_pb2.TensorShapeProto(
        dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1 << 40)]
    )
    huge = tensor_pb2.TensorProto(dtype=1, tensor_shape=shape, float_val=[1.0])
    odd = tensor_pb2.TensorProto(dtype=1, tensor_content=b"abc")
    others = [
        picture,
        tensor("text", "words"),
        tensor("weights", [1.0, 2.0]),
        summary_pb2.Summary.Value(tag="fid", tensor=huge),
        summary_pb2.Summary.Value(tag="recall", tensor=odd),
    ]
    path, _ = write(
        tmp_path / NAME,
        [
            (i, [tensor("d_loss", i / 2, np.float64), tensor("g_loss", [i], np.int64), *others])
            for i in range(3)
        ],
    )
    log = read(path)
    np.testing.assert_array_equal(log.history["d_loss"], [0, 0.5, 1])
    np.testing.assert_array_equal(log.history["g_loss"], [0, 1, 2])
    assert set(log.history.keys()) == {"d_loss", "g_loss"}


def test_files_of_a_resumed_run_are_one(tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1700000000.a", one_by_one({"d_loss": [1, 2, 3]}))
    later = [(step + 20, values) for step, values in one_by_one({"d_loss": [4, 5]})]
    write(tmp_path / "events.out.tfevents.1700000009.a", later)
    log = read(tmp_path)
    np.testing.assert_array_equal(log.history.epochs, [0, 10, 20, 30])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 4, 5])
    assert "1 rows repeat an epoch: the last value counts" in log.notes[0]


def test_what_a_resumed_run_had_given_up_is_left_out(tmp_path: Path) -> None:
    first = one_by_one({"Loss/D": [1.0] * 15 + [np.nan] * 5})
    again = [(120 + step, values) for step, values in one_by_one({"Loss/D": [2.0] * 3})]
    write(tmp_path / NAME, first)
    write(tmp_path / NAME.replace("17", "18"), again)
    log = read(tmp_path)
    np.testing.assert_array_equal(log.history["d_loss"], [1.0] * 12 + [2.0] * 3)
    assert log.notes == ("The run was taken up again at 120: 8 rows of before are left out.",)


def test_what_add_scalars_writes_is_called_by_its_folder(tmp_path: Path) -> None:
    write(tmp_path / NAME, one_by_one({"fid": [50, 40, 30]}))
    write(tmp_path / "Loss_D" / NAME, one_by_one({"Loss": LOSSES["Loss/D"]}))
    write(tmp_path / "Loss_G" / NAME, one_by_one({"Loss": LOSSES["Loss/G"]}))
    holds_losses(tmp_path)
    np.testing.assert_array_equal(read(tmp_path).history["fid_score"], [50, 40, 30])


def test_other_runs_in_a_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path / NAME, one_by_one({"d_loss": [1, 2, 3]}))
    write(tmp_path / "other_run" / NAME, one_by_one({"d_loss": [9, 9, 9]}))
    (tmp_path / "samples").mkdir()
    log = read(tmp_path)
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3])
    assert log.notes == ("Folders in it with events of their own are left out: other_run.",)


def test_without_steps_rows_are_counted(tmp_path: Path) -> None:
    write(tmp_path / NAME, one_by_one(LOSSES, every=0))
    log = read(tmp_path)
    np.testing.assert_array_equal(log.history.epochs, [0, 1, 2])
    np.testing.assert_array_equal(log.history["g_loss"], LOSSES["Loss/G"])


def test_a_tag_called_step_is_not_the_axis(tmp_path: Path) -> None:
    write(tmp_path / NAME, [(i, [number("step", 7), number("d_loss", 1)]) for i in range(3)])
    np.testing.assert_array_equal(read(tmp_path).history.epochs, [0, 1, 2])


def test_an_event_cut_short_ends_the_log_and_damage_is_said(tmp_path: Path) -> None:
    path, records = write(tmp_path / NAME, one_by_one({"d_loss": [1, 2, 3, 4]}))
    path.write_bytes(b"".join(records)[:-7])
    log = read(path)
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3])
    assert log.notes == ()
    damaged = bytes(8) + records[3][8:]
    path.write_bytes(b"".join([*records[:3], damaged, *records[4:]]))
    log = read(path)
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2])
    assert log.notes == (f"{NAME} is damaged after step 10: no more of it is read.",)


def test_a_length_that_no_file_has_is_not_believed(tmp_path: Path) -> None:
    path, records = write(tmp_path / NAME, one_by_one({"d_loss": [1, 2, 3]}))
    length = (1 << 62).to_bytes(8, "little")
    path.write_bytes(b"".join(records) + length + masked_crc32c(length).to_bytes(4, "little"))
    np.testing.assert_array_equal(read(path).history["d_loss"], [1, 2, 3])


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_whatever_is_damaged_is_read_or_said_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    path = tmp_path_factory.mktemp("events") / NAME
    _, records = write(path, one_by_one({"d_loss": [1, 2, 3, 4], "g_loss": [1, 2, 3, 4]}))
    data = bytearray(b"".join(records))
    data[at % len(data)] = byte
    path.write_bytes(data)
    try:
        said = " ".join(read(path).notes)
    except UserError as error:
        said = str(error)
    assert "\n" not in said


def test_a_folder_of_runs_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("Nov25_host", "Nov26_host"):
        write(tmp_path / name / NAME, one_by_one(LOSSES))
    (tmp_path / "empty").mkdir()
    assert run.main(["diagnose", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["Nov25_host", "Nov26_host"]
    assert "2 runs" in lines[-1]


def test_a_folder_of_pictures_alone_says_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path / NAME, [])
    with pytest.raises(UserError, match="no column for d_loss"):
        read(tmp_path)
    assert events.files(tmp_path / NAME)
