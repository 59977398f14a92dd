"""A folder of wrong things, one of each kind, and of a few right ones to be misused.

All names in it are short: commands run inside it, so that a table of them can be read.
"""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests import made_up_run, torch_files
from tests.conftest import TINY
from wgan_jax import train
from wgan_jax.quality.npz import npz_bytes
from wgan_jax.quality.statistics import Protocol

ENDLESS = "endless"  # a link to itself: nobody can read it, whatever his rights


def make(place: Path) -> None:
    """Fill the folder."""
    _experiments(place)
    _pictures(place)
    _runs(place)
    _logs(place)
    _arrays(place)
    _weights(place)
    (place / "file").write_text("not a folder\n")
    (place / "empty").mkdir()
    (place / ENDLESS).symlink_to(ENDLESS)


def _experiments(place: Path) -> None:
    shutil.copy("experiments/digits_wgan.py", place / "digits.py")
    for name, text in {
        "syntax": "def get_config(:",
        "without": "x = 1",
        "number": "def get_config(): return 3",
        "raises": "def get_config(): raise ValueError('boom\\nand more')",
        "exits": "import sys\nsys.exit(5)",
        "asserts": "def get_config():\n    assert False",
        "takes": "def get_config(name): return name",
        "imports": "import no_such_module_anywhere",
        "typo": "from wgan_jax.config import base\n\ndef get_config():\n"
        "    config = base()\n    config.batchsize = 3\n    return config",
        "foreign": "from ml_collections import ConfigDict\n\ndef get_config():\n"
        "    return ConfigDict({'batchsize': 3})",
        "kinds": "from ml_collections import ConfigDict\n\ndef get_config():\n"
        "    return ConfigDict({'batch_size': 'many'})",
        "group": "from ml_collections import ConfigDict\n\ndef get_config():\n"
        "    return ConfigDict({'critic': 3})",
        "numbered": "from ml_collections import ConfigDict\n\ndef get_config():\n"
        "    return ConfigDict({3: 4})",
    }.items():
        (place / f"{name}.py").write_text(text + "\n")
    (place / "binary.py").write_bytes(bytes(range(256)))
    (place / "nul.py").write_bytes(b"x = '\0'\n")


def _pictures(place: Path) -> None:
    rng = np.random.default_rng(0)

    def picture(path: Path, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> None:
        path.parent.mkdir(exist_ok=True)
        noise = rng.integers(0, 256, (*size, 4), np.uint8)
        Image.fromarray(noise, "RGBA").convert(mode).save(path)

    for i in range(4):
        picture(place / "pictures" / f"{i}.png")
        picture(place / "halfbroken" / f"{i}.png")
        picture(place / "sizes" / f"{i}.png", (12, 12 + i))
        picture(place / "clear" / f"{i}.png", mode="RGBA")
    whole = (place / "pictures" / "0.png").read_bytes()
    (place / "halfbroken" / "cut.png").write_bytes(whole[:60])
    for folder, name, content in (
        ("broken", "0.png", b"no picture"),
        ("cut", "0.png", whole[: len(whole) // 2]),
        ("zero", "0.png", b""),
        ("texts", "a.txt", b"hello"),
        ("archives", "a.tar.gz", b"hello"),
    ):
        (place / folder).mkdir()
        (place / folder / name).write_bytes(content)
    for folder in ("endlesspics", "folderpics"):
        (place / folder).mkdir()
    (place / "endlesspics" / "0.png").symlink_to("0.png")
    (place / "folderpics" / "0.png").mkdir()


def _runs(place: Path) -> None:
    train(TINY | {"epochs": 3}, place / "run", quiet=True)
    made_up_run.make(place / "madeup", 12, grids=1)

    def copy(name: str) -> Path:
        return Path(shutil.copytree(place / "run", place / name))

    shutil.rmtree(copy("nosave") / "checkpoints")
    (copy("noconfig") / "config.json").unlink()
    (copy("nodata") / "dataset.json").unlink()
    (copy("badconfig") / "config.json").write_text("{")
    (copy("listconfig") / "config.json").write_text("[1, 2]")
    (copy("oddconfig") / "config.json").write_text('{"batchsize": 3}')
    (copy("baddata") / "dataset.json").write_text('{"name": "digits"}')
    (copy("oddshape") / "dataset.json").write_text('{"shape": "wide"}')
    (copy("otherdata") / "dataset.json").write_text(
        json.dumps({"name": "digits", "shape": [1797, 8, 8, 1], "fingerprint": "0" * 32})
    )
    config = json.loads((place / "run" / "config.json").read_text())
    (copy("othernet") / "config.json").write_text(json.dumps(config | {"latent_dim": 5}))
    (copy("gone") / "config.json").write_text(
        json.dumps(config | {"data": config["data"] | {"name": "folder:no_such_folder"}})
    )
    damaged = copy("damaged")
    for path in (damaged / "checkpoints").rglob("*"):
        if path.is_file() and path.name != "marks.json":
            path.write_bytes(path.read_bytes()[:3])
    (place / "runs_of_nothing" / "a").mkdir(parents=True)
    for name, text in {
        "nolines": "",
        "badlines": "{\n\x00\n",
        "oddlines": '{"epoch": "x"}\n',
        "negative": '{"epoch": -5, "d_loss": 1}\n{"epoch": -4, "d_loss": 1}\n',
    }.items():
        (place / name).mkdir()
        (place / name / "metrics.jsonl").write_text(text)
    (place / "folderlines" / "metrics.jsonl").mkdir(parents=True)


def _logs(place: Path) -> None:
    rows = "".join(f"{i},{0.5 + i % 3},{0.7}\n" for i in range(40))
    for name, content in {
        "good.csv": ("epoch,d_loss,g_loss\n" + rows).encode(),
        "none.csv": b"",
        "spaces.csv": b" \n\n \n",
        "header.csv": b"epoch,d_loss,g_loss\n",
        "one.csv": b"epoch,d_loss,g_loss\n0,1,1\n",
        "others.csv": b"time,cost_of_tea\n0,1\n1,2\n",
        "words.csv": b"epoch,d_loss,g_loss\n0,a,b\n1,c,d\n",
        "escapes.csv": b"\x1b[31mtime,\x1b]0;owned\x07tea\n0,1\n1,2\n",
        "binary.csv": bytes(range(256)) * 4,
        "zipped.csv": gzip.compress(b"epoch,d_loss\n0,1\n"),
        "half16.csv": "epoch,d_loss\n0,1\n1,2\n".encode("utf-16")[:-1],
        "quote.csv": b'epoch,d_loss\n0,"1\n' + b"1,2\n" * 100_000,
        "broken.json": b'{"d_loss": [1, 2',
        "scalar.json": b"[3]",
        "empty.json": b"{}",
        "list.json": b"[]",
        "deep.json": b"[" * 100_000,
        "huge.json": b'{"d_loss": [' + b"9" * 5000 + b", 1]}",
        "broken.jsonl": b'{"d_loss": 1}\n{"d_loss": \n{"d_loss": 2}\n',
        "strings.jsonl": b'"a"\n"b"\n',
        "nested.jsonl": b'{"d_loss": {"x": 1}}\n{"d_loss": {"x": 2}}\n',
    }.items():
        (place / name).write_bytes(content)


def _arrays(place: Path) -> None:
    rng = np.random.default_rng(0)
    mu, sigma = rng.normal(size=4), np.eye(4)
    ours = asdict(Protocol("digits", "digits", "0" * 64, "area"))

    def about(**change: Any) -> np.ndarray:
        return np.array(json.dumps({"protocol": ours, "source": "x", "n": 9} | change))

    for name, arrays in {
        "stats": {"mu": mu, "sigma": sigma},
        "nosigma": {"mu": mu},
        "misfit": {"mu": mu, "sigma": np.eye(5)},
        "nan": {"mu": mu * np.nan, "sigma": sigma},
        "text": {"mu": np.array("a"), "sigma": np.array("b")},
        "complex": {"mu": mu * 1j, "sigma": sigma},
        "notours": {"mu": mu, "sigma": sigma, "about": np.array("{")},
        "oddabout": {"mu": mu, "sigma": sigma, "about": about(protocol={"a": 1})},
        "oddn": {"mu": mu, "sigma": sigma, "about": about(n="many")},
        "oddscore": {"mu": mu, "sigma": sigma, "about": about(), "score": np.zeros(0)},
        "oddroot": {"mu": mu, "sigma": sigma, "about": about(), "root": np.eye(3)},
        "listabout": {"mu": mu, "sigma": sigma, "about": np.array("[1]")},
        "otherprotocol": {"mu": mu, "sigma": sigma, "about": about()},
        "floats": {"images": np.zeros((4, 8, 8, 1), np.float32)},
        "nans": {"images": np.full((4, 8, 8, 1), np.nan)},
        "flat": {"images": np.zeros((4, 8), np.uint8)},
        "alpha": {"images": np.zeros((4, 8, 8, 4), np.uint8)},
        "noimages": {"images": np.zeros((0, 8, 8, 1), np.uint8)},
        "images": {"images": rng.integers(0, 256, (8, 8, 8, 1), np.uint8)},
        "two": {"a": np.zeros(3), "b": np.zeros(3)},
        "nothing": {},
    }.items():
        (place / f"{name}.npz").write_bytes(npz_bytes(arrays))
    whole = (place / "stats.npz").read_bytes()
    (place / "cut.npz").write_bytes(whole[:-40])
    (place / "void.npz").write_bytes(b"")
    (place / "words.npz").write_bytes(b"no arrays")
    np.savez(place / "pickled.npz", mu=np.array([{}], object), sigma=np.array([{}], object))
    np.save(place / "single.npy", mu)
    shutil.move(place / "single.npy", place / "single.npz")


def _weights(place: Path) -> None:
    torch_files.WRITERS["zip"](place / "small.pth", {"w": np.zeros((2, 3), np.float32)})
    whole = (place / "small.pth").read_bytes()
    (place / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (place / "void.pth").write_bytes(b"")
    (place / "cache" / "weights").mkdir(parents=True)
    for name, record in {"damaged": "{", "changed": json.dumps(_record("changed"))}.items():
        (place / "cache" / "weights" / f"{name}.npz").write_bytes(b"other bytes")
        (place / "cache" / "weights" / f"{name}.json").write_text(record)


def _record(name: str) -> dict[str, Any]:
    origin = {"name": name, "origin": "here", "bytes": 1, "date": "2026-01-01"}
    return origin | {"sha256": "0" * 64, "npz_sha256": "0" * 64}
