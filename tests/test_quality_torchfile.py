"""Reading `.pth` files: both layouts, and nothing in them is ever executed."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import torch_files as made
from wgan_jax.errors import UserError
from wgan_jax.quality.inert import Refused, run_pickle
from wgan_jax.quality.torchfile import read_tensors

both = pytest.mark.parametrize("layout", ["zip", "stream"])
ONE = {"w": np.arange(12, dtype=np.float32).reshape(3, 4)}


@both
def test_tensors_come_back_as_they_were(layout: str, tmp_path: Path) -> None:
    wanted = made.example()
    found = read_tensors(made.WRITERS[layout](tmp_path / "x.pth", wanted))
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@both
def test_views_are_cut_from_their_storage(layout: str, tmp_path: Path) -> None:
    legacy = layout == "stream"
    view = made.tensor(ONE["w"], "0", legacy=legacy, offset=1, shape=(4, 2), strides=(1, 4))
    content = made.program(made.ordered_dict(made.text("w") + view))
    found = read_tensors(made.WRITERS[layout](tmp_path / "x.pth", ONE, content))
    np.testing.assert_array_equal(found["w"], [[1, 5], [2, 6], [3, 7], [4, 8]])


@both
@pytest.mark.parametrize(
    "lie",
    [
        {"offset": 1},
        {"shape": (3, 5)},
        {"strides": (5, 1)},
        {"shape": (13,), "strides": (0,)},
        {"offset": -1},
        {"strides": (-4, 1)},
        {"shape": (3,)},
        {"size": 11},
        {"size": 13},
    ],
)
def test_views_outside_their_storage_are_refused(
    layout: str, lie: dict[str, Any], tmp_path: Path
) -> None:
    legacy = layout == "stream"
    bad = made.text("w") + made.tensor(ONE["w"], "0", legacy=legacy, **lie)
    path = made.WRITERS[layout](tmp_path / "x.pth", ONE, made.program(made.ordered_dict(bad)))
    with pytest.raises(UserError, match=r"x\.pth"):
        read_tensors(path)


class Malice:
    """Unpickled by Python, this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@both
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_not_executed(
    layout: str, protocol: int, tmp_path: Path
) -> None:
    content = pickle.dumps({"w": Malice(tmp_path / "owned")}, protocol=protocol)
    path = made.WRITERS[layout](tmp_path / "x.pth", ONE, content)
    with pytest.raises(UserError, match="Nothing in it was executed"):
        read_tensors(path)
    assert not (tmp_path / "owned").exists()
    pickle.loads(content)  # it is a real one
    assert (tmp_path / "owned").exists()


def hostile() -> dict[str, bytes]:
    """Pickles that would run something, one for each way that pickle knows."""
    system = made.name("os", "getpid")
    call = pickle.EMPTY_TUPLE + pickle.REDUCE
    return {
        "reduce": system + call,
        "reduce in the middle": made.text("w") + system + call + pickle.POP,
        "stack_global": made.text("os") + made.text("getpid") + pickle.STACK_GLOBAL + call,
        "inst": pickle.MARK + pickle.INST + b"os\ngetpid\n",
        "obj": pickle.MARK + system + pickle.OBJ,
        "newobj": system + pickle.EMPTY_TUPLE + pickle.NEWOBJ,
        "extension": pickle.EXT1 + b"\x01",
        "text id": pickle.PERSID + b"0\n",
        "build on a name": system + pickle.EMPTY_DICT + pickle.BUILD,
        "torch's own loader": made.name("torch.storage", "_load_from_bytes") + call,
        "a name inside torch": made.name("torch._utils", "_rebuild_tensor_v2.__globals__") + call,
        "calling what was built": made.EMPTY_ORDERED + call,
        "a name as arguments": made.name("collections", "OrderedDict") + system + pickle.REDUCE,
        "filling a dictionary": made.name("collections", "OrderedDict")
        + (pickle.MARK + system + pickle.TUPLE + pickle.REDUCE),
        "a deep key": pickle.EMPTY_DICT
        + 100 * (pickle.MARK + pickle.TUPLE)
        + pickle.NONE
        + pickle.SETITEM,
        "no mark": pickle.TUPLE,
        "unknown memo": pickle.BINGET + b"\x07",
    }


@pytest.mark.parametrize("way", hostile())
def test_every_way_to_call_is_refused(way: str) -> None:
    with pytest.raises(Refused):
        run_pickle(io.BytesIO(made.program(hostile()[way])))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps({}, protocol=2),
        pickle.dumps({"epoch": 3}, protocol=2),
        made.program(made.ordered_dict(made.text("w") + made.name("torch", "float32"))),
        b"\x80\x02",
        b"not a pickle",
    ],
)
@both
def test_anything_but_tensors_is_refused(layout: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.pth"):
        read_tensors(made.WRITERS[layout](tmp_path / "x.pth", ONE, content))


@both
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(layout: str, share: float, tmp_path: Path) -> None:
    path = made.WRITERS[layout](tmp_path / "x.pth", made.example())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"x\.pth"):
        read_tensors(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="not one that torch"):
        read_tensors(tmp_path / "x.pth")
    with pytest.raises(UserError, match="Cannot read"):
        read_tensors(tmp_path / "absent.pth")


@pytest.mark.parametrize("layout", ["zip", "stream"])
def test_flipped_bytes_end_in_tensors_or_in_one_line(layout: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    whole = made.WRITERS[layout](tmp_path / "x.pth", ONE).read_bytes()
    refusals = []
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] = random.integers(256)
        (tmp_path / "x.pth").write_bytes(damaged)
        try:
            read_tensors(tmp_path / "x.pth")
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert not any("\n" in line for line in refusals)
