"""Weights: fetched, resumed, checked, converted, kept; and refused when something is off."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import torch_files
from wgan_jax.errors import UserError
from wgan_jax.keys import PUBLIC_WEIGHTS
from wgan_jax.quality import download, weights

TENSORS: dict[str, NDArray[Any]] = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.running_var": np.ones(2, np.float32),
}
COUNTER = {"bn.num_batches_tracked": np.array(3)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a graph of two tensors in place of Inception's 472."""
    monkeypatch.setenv("WGAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.URL_VARIABLE, raising=False)
    shapes = {name: tensor.shape for name, tensor in TENSORS.items()}
    monkeypatch.setattr(weights, "tensor_shapes", lambda: shapes)
    return tmp_path / "cache"


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that passes for the public one."""
    path = torch_files.write_stream(tmp_path / "x.pth", TENSORS | COUNTER)
    digest = digest_of(path)
    monkeypatch.setattr(weights, "PUBLIC_SHA256", digest)
    monkeypatch.setattr(weights, "PUBLIC_BYTES", path.stat().st_size)
    monkeypatch.setattr(weights, "PUBLIC_URL", f"http://localhost:1/w-{digest[:8]}.pth")
    return path.rename(tmp_path / f"w-{digest[:8]}.pth")


class Server:
    """A server of one file, which can break off, know no ranges, or answer an error."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.break_after: list[int] = []  # bytes after which each next answer breaks off
        self.ranges = True
        self.status = 0
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing: the tests' output stays clean."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.status:
            request.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        rest = self.content[start:]
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        request.wfile.write(rest[: self.break_after.pop(0)] if self.break_after else rest)


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Server]]:
    servers: list[Server] = []

    def start(path: Path) -> Server:
        servers.append(Server(path.read_bytes()))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(call: Callable[..., object], *args: object) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(UserError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mirror", ["folder", "file", "variable"])
def test_fetches_once_from_a_mirror_and_records_the_digest(
    mirror: str,
    public: Path,
    serve: Callable[[Path], Server],
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
) -> None:
    server = serve(public)
    url = server.url if mirror == "folder" else server.url + "w.pth"
    if mirror == "variable":
        monkeypatch.setenv(weights.URL_VARIABLE, url)
        url = ""
    record = weights.fetch(url)
    assert record.sha256 == digest_of(public)
    assert record == weights.fetch(url)
    assert len(server.asked) == 1
    kept = weights.load_weights(PUBLIC_WEIGHTS)
    assert set(kept.tensors) == set(TENSORS)  # without the counter
    np.testing.assert_array_equal(kept.tensors["conv.weight"], TENSORS["conv.weight"])
    assert sorted(path.suffix for path in (cache / "weights").iterdir()) == [".json", ".npz"]


def test_goes_on_where_a_download_broke(public: Path, serve: Callable[[Path], Server]) -> None:
    server = serve(public)
    server.break_after = [100, 50]
    assert weights.fetch(server.url).sha256 == digest_of(public)
    assert server.asked == [None, "bytes=100-", "bytes=150-"]


def test_a_full_disk_is_not_blamed_on_the_network(
    public: Path, serve: Callable[[Path], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    said = refusal(weights.fetch, serve(public).url)
    assert "cannot be written (No space left on device)" in said
    assert "network" not in said


def test_starts_again_where_the_server_knows_no_ranges(
    public: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(public)
    server.ranges, server.break_after = False, [100]
    assert weights.fetch(server.url).sha256 == digest_of(public)


@pytest.mark.parametrize("old", [b"of another file", b"x" * 100_000])
def test_starts_again_where_the_old_beginning_is_of_another_file(
    old: bytes, public: Path, serve: Callable[[Path], Server], cache: Path
) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / f"{PUBLIC_WEIGHTS}.part").write_bytes(old)
    assert weights.fetch(serve(public).url).sha256 == digest_of(public)


def test_a_process_that_died_is_taken_up_by_the_next(
    public: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(public)
    server.break_after = [10] * download.ATTEMPTS
    assert "broke off" in refusal(weights.fetch, server.url)
    assert weights.fetch(server.url).sha256 == digest_of(public)
    assert server.asked[-1] == f"bytes={10 * download.ATTEMPTS}-"


def test_a_tampered_download_is_refused_and_not_kept(
    public: Path, serve: Callable[[Path], Server], cache: Path
) -> None:
    server = serve(public)
    server.content = server.content[:-1] + b"?"
    assert "not the right file" in refusal(weights.fetch, server.url)
    assert list((cache / "weights").iterdir()) == []


@pytest.fixture
def speaks_otherwise() -> Iterator[str]:
    """The address of a server of another protocol than HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def greet() -> None:
            with contextlib.suppress(OSError):  # until the door is closed
                while True:
                    guest, _ = door.accept()
                    with guest:
                        guest.recv(1000)
                        guest.sendall(b"SSH-2.0-OpenSSH_9\r\n")

        threading.Thread(target=greet, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}/w.pth"
        door.shutdown(socket.SHUT_RDWR)


def test_a_server_that_speaks_no_http_is_named(speaks_otherwise: str) -> None:
    said = refusal(weights.fetch, speaks_otherwise)
    assert said.startswith("127.0.0.1:")
    assert said.endswith("answers no HTTP (BadStatusLine: SSH-2.0-OpenSSH_9): check --url.")


def test_a_download_of_another_size_is_refused_at_once(
    public: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(public)
    server.content += b"more"
    assert "bytes, not" in refusal(weights.fetch, server.url)


def test_errors_of_the_network_say_what_to_do(
    public: Path, serve: Callable[[Path], Server]
) -> None:
    server = serve(public)
    server.status = 404
    assert "404" in refusal(weights.fetch, server.url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        assert "--from-file" in refusal(weights.fetch, url)
    assert "no http" in refusal(weights.fetch, "file:///etc/")


@pytest.mark.parametrize("layout", ["zip", "stream", "npz"])
def test_takes_a_file_under_a_name_of_its_own(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.file"
    if layout == "npz":
        with path.open("wb") as file:
            np.savez(file, **TENSORS)  # type: ignore[arg-type]
    else:
        torch_files.WRITERS[layout](path, TENSORS)
    record = weights.take(path, "mine", digest_of(path))
    kept = weights.load_weights("mine")
    assert (kept.name, kept.digest, record.origin) == ("mine", digest_of(path), "mine.file")
    np.testing.assert_array_equal(kept.tensors["conv.weight"], TENSORS["conv.weight"])
    assert weights.take(path, "mine", digest_of(path)) == record
    assert "not the right file" in refusal(weights.take, path, "mine", "0" * 64)


def test_the_public_file_needs_no_name_nor_digest(public: Path) -> None:
    renamed = public.rename(public.with_name("renamed.pth"))
    assert weights.take(renamed).name == PUBLIC_WEIGHTS


def test_what_a_file_must_say(tmp_path: Path) -> None:
    other = torch_files.write_zip(tmp_path / "other.pth", TENSORS)
    digest = digest_of(other)
    assert digest in refusal(weights.take, other, "other")
    assert "--name" in refusal(weights.take, other, "", digest)
    assert "64" in refusal(weights.take, other, "other", digest[:12])
    assert "not the right file" in refusal(weights.take, other, "other", "0" * 64)
    assert "public file's" in refusal(weights.take, other, PUBLIC_WEIGHTS, digest)
    assert "no name" in refusal(weights.take, other, "../other", digest)
    assert "not a file" in refusal(weights.take, tmp_path / "absent.pth")
    assert "--sha256" in refusal(weights.fetch, "", "other")
    promised = other.rename(tmp_path / "other-00000000.pth")
    assert "not the right file" in refusal(weights.take, promised, "other")


def test_other_weights_under_a_name_in_use_are_refused(tmp_path: Path) -> None:
    first = torch_files.write_zip(tmp_path / "first.pth", TENSORS)
    second = torch_files.write_stream(tmp_path / "second.pth", TENSORS)
    weights.take(first, "mine", digest_of(first))
    assert "choose another" in refusal(weights.take, second, "mine", digest_of(second))


def test_a_later_change_is_refused(public: Path) -> None:
    weights.take(public)
    npz, record = weights.paths(PUBLIC_WEIGHTS)
    whole = npz.read_bytes()
    npz.write_bytes(whole[:-1])
    assert "was changed" in refusal(weights.load_weights, PUBLIC_WEIGHTS)
    assert "was changed" in refusal(weights.take, public)
    npz.write_bytes(whole)
    weights.load_weights(PUBLIC_WEIGHTS)
    for damaged in ("{", "[]", "[" * 100_000):
        record.write_text(damaged)
        assert "damaged" in refusal(weights.load_weights, PUBLIC_WEIGHTS)


def test_absent_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(weights.WeightsAbsent, match=r"python run.py weights"):
        weights.load_weights(PUBLIC_WEIGHTS)
    with pytest.raises(weights.WeightsAbsent, match="--name mine"):
        weights.load_weights("mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv.weight": None}, "lacks conv.weight"),
        ({"more": np.zeros(1, np.float32)}, "has more besides"),
        ({"conv.weight": np.zeros((2, 3), np.float32)}, "has shape"),
        ({"bn.running_var": np.array([1, np.nan], np.float32)}, "not finite"),
        ({"bn.running_var": np.array([1, -1], np.float32)}, "negative"),
    ],
)
def test_another_graph_is_refused(
    change: dict[str, NDArray[Any] | None], message: str, tmp_path: Path
) -> None:
    tensors = {k: v for k, v in (TENSORS | change).items() if v is not None}
    path = torch_files.write_zip(tmp_path / "x.pth", tensors)
    assert message in refusal(weights.take, path, "x", digest_of(path))
    assert weights.find("x") is None
