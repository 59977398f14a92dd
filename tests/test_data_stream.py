"""What is streamed is what would be resident: the same images, in the same order, at any place."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.fabricated import lsun_prepared
from wgan_jax.data.dataset import Dataset, from_array, load
from wgan_jax.data.sources import ArrayFile
from wgan_jax.data.stream import Abandoned, BatchStream, Draws
from wgan_jax.errors import UserError
from wgan_jax.order import drawn
from wgan_jax.record.identity import same_images
from wgan_jax.settings import DataSettings

KEY = np.array([3, 141592653], np.uint32)
STREAMED = DataSettings(stream=True, workers=0)


def numbered(n: int) -> Dataset:
    """n images of 2x2 pixels that spell their number."""
    numbers = np.arange(n, dtype="<u4")
    return from_array(numbers.view(np.uint8).reshape(n, 2, 2, 1), 2, STREAMED)


def numbers_of(batches: np.ndarray) -> np.ndarray:
    """[..., 2, 2, 1] -> the numbers that the images spell."""
    return np.ascontiguousarray(batches).reshape(-1, 4).view("<u4").reshape(batches.shape[:-3])


def taken(
    dataset: Dataset,
    batch: int,
    start: tuple[int, int],
    updates: int,
    rows: slice | None = None,
    workers: int = 0,
) -> np.ndarray:
    dataset = dataclasses.replace(dataset, workers=workers)
    stream = BatchStream(dataset, KEY, batch, rows or slice(0, batch))
    try:
        stream.start(*start)
        return stream.take(updates)
    finally:
        stream.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 small pictures of noise, of every kind."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(60):
        shape = (int(rng.integers(9, 40)), int(rng.integers(9, 40)), 3)
        place = root / f"class{i % 3}"
        place.mkdir(exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
        picture.save(place / f"{i}.{['png', 'jpg', 'webp'][i % 3]}")
    return root


@pytest.fixture(scope="module")
def lsun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFDS folder with 40 fabricated bedrooms in two files."""
    root = tmp_path_factory.mktemp("tfds")
    lsun_prepared(root, [25, 15], 48)
    return root


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 3000),
    batch=st.integers(1, 64),
    passes=st.integers(0, 2**31),
    place=st.floats(0, 1, exclude_max=True),
    number=st.integers(0, 200),
)
def test_a_batch_is_the_one_that_the_device_would_draw(
    size: int, batch: int, passes: int, place: float, number: int
) -> None:
    batch = min(batch, size)
    first = passes * size + int(place * size)
    draws = Draws((int(KEY[0]), int(KEY[1])), size, batch, (0, batch), first)
    places = [first + number * batch + i for i in range(batch)]
    expected = drawn(
        KEY,
        np.array([at // size % 2**32 for at in places], np.uint32),
        np.array([at % size for at in places], np.uint32),
        size,
    )
    np.testing.assert_array_equal(draws(number), expected)


def test_the_order_is_the_resident_path_s_on_the_device() -> None:
    """Three passes of 100 images in batches of 32, of which three cross the end of a pass."""
    size, batch, updates = 100, 32, 10

    @jax.jit
    def resident(images: jax.Array) -> jax.Array:
        places = jnp.arange(updates * batch, dtype=jnp.uint32)
        passes, positions = places // size, places % size
        return images[drawn(jnp.asarray(KEY), passes, positions, size)]

    dataset = numbered(size)
    expected = np.asarray(resident(dataset.source)).reshape(updates, batch, 2, 2, 1)
    found = taken(dataset, batch, (0, 0), updates)
    np.testing.assert_array_equal(found, expected)
    for number in range(3):
        one_pass = numbers_of(found).ravel()[number * size : (number + 1) * size]
        assert sorted(one_pass) == list(range(size))


@settings(max_examples=15, deadline=None)
@given(size=st.integers(5, 50), batch=st.integers(1, 5), before=st.integers(0, 60))
def test_it_goes_on_from_any_place(size: int, batch: int, before: int) -> None:
    whole = taken(numbered(size), batch, (0, 0), before + 4)
    resumed = taken(numbered(size), batch, divmod(before * batch, size), 4)
    np.testing.assert_array_equal(resumed, whole[before:])


def test_a_stream_can_be_begun_anew_elsewhere() -> None:
    stream = BatchStream(numbered(50), KEY, 8, slice(0, 8))
    stream.start(0, 0)
    first = stream.take(3)
    later = stream.take(5)
    stream.start(0, 24)
    np.testing.assert_array_equal(stream.take(5), later)
    stream.start(0, 0)
    np.testing.assert_array_equal(stream.take(3), first)
    stream.close()


def test_the_hosts_shares_make_up_the_batch() -> None:
    parts = [slice(0, 3), slice(3, 4), slice(4, 9)]
    found = [taken(numbered(20), 9, (1, 7), 6, rows) for rows in parts]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), taken(numbered(20), 9, (1, 7), 6))
    with pytest.raises(ValueError, match="no run of rows"):
        BatchStream(numbered(20), KEY, 9, slice(4, 4))


@pytest.mark.parametrize("kind", ["folder", "tfds", "file"])
def test_a_streamed_dataset_holds_the_pixels_of_the_resident(
    kind: str, pictures: Path, lsun: Path, tmp_path: Path
) -> None:
    if kind == "file":
        images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
        np.save(tmp_path / "images.npy", images)
        mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
        resident, streamed = from_array(images, 8), from_array(mapped, 8, STREAMED)
        assert isinstance(streamed.source, ArrayFile)
        assert streamed.fingerprint == resident.fingerprint
    else:
        name = {"folder": f"folder:{pictures}", "tfds": "tfds:lsun/bedroom"}[kind]
        where = DataSettings(name=name, cache_dir=str(lsun), classes="")
        resident = load(where, 16)
        streamed = load(DataSettings(name=name, cache_dir=str(lsun), stream=True, workers=0), 16)
        assert streamed.files == resident.files == streamed.fingerprint
    assert (streamed.shape, streamed.notes) == (resident.shape, resident.notes)
    assert streamed.shape[1:] == resident.images.shape[1:]
    for found in (streamed, pickle.loads(pickle.dumps(streamed))):
        in_order = np.concatenate(list(found.batches(7)))
        np.testing.assert_array_equal(in_order, resident.images)
    np.testing.assert_array_equal(taken(streamed, 6, (0, 3), 9), taken(resident, 6, (0, 3), 9))
    with pytest.raises(TypeError, match="not all in memory"):
        _ = streamed.images


def test_processes_decode_the_same_and_end_with_the_stream(pictures: Path) -> None:
    """Also a file that vanishes, an error raised in a process, and a take that is given up."""
    dataset = load(DataSettings(name=f"folder:{pictures}", stream=True, classes="class0"), 16)
    stream = BatchStream(dataset, KEY, 8, slice(2, 8))
    stream.start(3, 16)
    np.testing.assert_array_equal(stream.take(7), taken(dataset, 8, (3, 16), 7, slice(2, 8)))
    victim = pictures / dataset.source.names[0]
    kept = victim.read_bytes()
    victim.unlink()
    with pytest.raises(UserError, match=rf"{victim.name} cannot be read \(.*\): restore it"):
        stream.take(600)
    victim.write_bytes(kept)
    stream.close()
    assert not decoding()


def decoding(parent: int | None = None) -> list[int]:
    """Processes that decode for a process (this one)."""
    parent = parent or os.getpid()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"spawn_main" in line and told[0] != "Z" and int(told[1]) == parent:
            found.append(int(entry.name))
    return found


def test_a_take_that_is_given_up_ends_at_once() -> None:
    class Slow:
        shape = (100, 2, 2, 1)

        def __getitem__(self, index: int) -> np.ndarray:
            time.sleep(0.05)
            return np.zeros((2, 2, 1), np.uint8)

    stream = BatchStream(Dataset("slow", Slow(), ""), KEY, 4, slice(0, 4))
    stream.start(0, 0)
    seen = []

    def take() -> None:
        try:
            stream.take(10_000)
        except Abandoned:
            seen.append(True)

    thread = threading.Thread(target=take)
    thread.start()
    clock = time.monotonic()
    stream.close()
    thread.join(5)
    assert seen
    assert time.monotonic() - clock < 5
    with pytest.raises(Abandoned):
        stream.take(1)


SCRIPT = """
import os, resource, signal, sys, time
from pathlib import Path
import numpy as np
from tests.test_data_stream import KEY, decoding
from wgan_jax.settings import DataSettings
from wgan_jax.data.dataset import from_array
from wgan_jax.data.stream import BatchStream
from wgan_jax.errors import RunFailed

if __name__ == "__main__":
    settings = DataSettings(stream=True, workers=2)
    images = np.load(sys.argv[1], mmap_mode="r")
    dataset = from_array(images, images.shape[1], settings)
    stream = BatchStream(dataset, KEY, 64, slice(0, 64))
"""


def script(body: str, images: Path, **kwargs: Any) -> subprocess.Popen[str]:
    """A process that streams from a file of images; the body is run in it."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT + textwrap.indent(textwrap.dedent(body), "    "), images],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kwargs,
    )


@pytest.fixture(scope="module")
def file_of_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (500, 8, 8, 3), np.uint8))
    return path


@pytest.mark.slow
def test_signals_leave_the_decoding_to_the_run_and_the_end_is_quiet(file_of_images: Path) -> None:
    """A terminal's Ctrl-C and a cluster's SIGTERM reach all processes; a stream never closed."""
    body = """
    received = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: received.append(number))
    stream.start(0, 0)
    while len(decoding()) < 2:
        time.sleep(0.02)
    os.killpg(0, signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
    stream.take(40)
    os.killpg(0, signal.SIGINT)
    later = stream.take(40)
    assert len(received) == 3, received
    stream.start(0, 40 * 64)
    np.testing.assert_array_equal(stream.take(40), later)
    """
    process = script(body, file_of_images)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_a_killed_decoder_is_told_of_and_a_killed_run_leaves_none_behind(
    file_of_images: Path,
) -> None:
    body = """
    stream.start(0, 0)
    first = stream.take(40)
    os.kill(decoding()[0], signal.SIGKILL)
    try:
        stream.take(10_000)
    except RunFailed as error:
        print(error)
    stream.start(0, 0)
    np.testing.assert_array_equal(stream.take(40), first)
    print(*decoding(), flush=True)
    time.sleep(60)
    """
    process = script(body, file_of_images)
    assert "A decoding process ended" in process.stdout.readline()
    children = [int(word) for word in process.stdout.readline().split()]
    assert len(children) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a decoding process outlives its run"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_dataset_larger_than_the_memory_is_streamed(tmp_path: Path) -> None:
    """400 MB of images where the process may take 200 MB more than it has: by threads."""
    path = tmp_path / "large.npy"
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (33_000, 64, 64, 3))
    images[:, 0, 0, 0] = np.arange(33_000) % 251
    del images
    body = """
    status = Path("/proc/self/status").read_text()
    now = int(status.split("VmData:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + 200_000_000,) * 2)
    try:
        np.array(images)
    except MemoryError:
        print("too large")
    threads = DataSettings(stream=True, workers=0)
    stream = BatchStream(from_array(images, images.shape[1], threads), KEY, 64, slice(0, 64))
    stream.start(0, 0)
    total = sum(int(stream.take(5)[..., 0, 0, 0].sum(dtype=np.int64)) for _ in range(100))
    stream.close()
    print(total)
    """
    out, err = script(body, path).communicate(timeout=120)
    first = Draws((int(KEY[0]), int(KEY[1])), 33_000, 32_000, (0, 32_000), 0)(0)
    assert (out.split("\n")[:2], err) == (["too large", str(int((first % 251).sum()))], "")


def test_a_run_may_go_on_streamed_or_resident_while_its_files_are_the_same(
    pictures: Path, lsun: Path
) -> None:
    for name in (f"folder:{pictures}", "tfds:lsun/bedroom"):
        where = DataSettings(name=name, cache_dir=str(lsun))
        resident, streamed = (
            load(dataclasses.replace(where, stream=stream), 16).identity for stream in (False, True)
        )
        other = {**resident, "fingerprint": "0" * 32}
        assert same_images(resident, streamed)
        assert same_images(streamed, resident)
        assert same_images(resident, dict(resident))
        assert not same_images(resident, other), "pixels decide where both have them"
        assert not same_images(streamed, {**resident, "files": "1" * 32})
        assert not same_images(streamed, {**resident, "shape": [59, 16, 16, 3]})
    began = {"name": "digits", "shape": [1, 8, 8, 1], "fingerprint": "0" * 32}
    assert same_images(began, {**began, "files": ""}), "as an earlier version kept it"
    assert not same_images(began, {**began, "files": "", "fingerprint": "1" * 32})
