"""A folder of images that changes between two starts: refused, with the difference named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import TINY
from tests.faults.harness import LOST, Bench, Fault, Result, same
from wgan_jax import train
from wgan_jax.errors import UserError

IMAGES = 100
Change = Callable[[Path, random.Random], None]


def picture(path: Path, rng: random.Random) -> None:
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).save(path)


def any_of(folder: Path, rng: random.Random) -> Path:
    return rng.choice(sorted(folder.iterdir()))


def removed(folder: Path, rng: random.Random) -> None:
    any_of(folder, rng).unlink()


def added(folder: Path, rng: random.Random) -> None:
    picture(folder / f"{rng.randrange(IMAGES)}b.png", rng)


def edited(folder: Path, rng: random.Random) -> None:
    """One bit of one pixel."""
    victim = any_of(folder, rng)
    with Image.open(victim) as opened:
        pixels = np.array(opened)
    pixels[rng.randrange(8), rng.randrange(8), rng.randrange(3)] ^= 1 << rng.randrange(8)
    Image.fromarray(pixels).save(victim)


def replaced(folder: Path, rng: random.Random) -> None:
    """Another picture under another name in the place of one."""
    removed(folder, rng)
    added(folder, rng)


def vanished(folder: Path, rng: random.Random) -> None:
    del rng
    shutil.rmtree(folder)


# How the folder changes: what it does, and how the refusal names the difference.
CHANGES: dict[str, tuple[Change, str]] = {
    "a file removed": (removed, f"{IMAGES} then, {IMAGES - 1} now"),
    "a file added": (added, f"{IMAGES} then, {IMAGES + 1} now"),
    "a file replaced": (replaced, f"still {IMAGES}, but files have other names"),
    "a pixel edited": (edited, f"still {IMAGES}, but some have other pixels"),
    "the folder gone": (vanished, "is not a folder"),
}


def changed(how: str) -> Fault:
    """The change comes between two starts, and is taken back after the refusal."""
    change, says = CHANGES[how]

    def fault(bench: Bench, seed: int) -> Result:
        rng = random.Random(seed)
        folder, keep = bench.place / "images", bench.place / "images as they were"
        workdir, whole = bench.place / f"{how}{seed}", bench.place / "whole images"
        if not folder.exists():
            folder.mkdir()
            for i in range(IMAGES):
                picture(folder / f"{i}.png", random.Random(i))
        config = TINY | {"sample_every": 0, "data": {"name": f"folder:{folder}"}}
        train(config | {"epochs": rng.randint(1, 5)}, workdir, quiet=True)
        before = _contents(workdir)
        shutil.copytree(folder, keep)
        change(folder, rng)
        try:
            train(config, workdir, quiet=True)
            return LOST
        except UserError as error:
            if says not in str(error) or _contents(workdir) != before:
                return LOST
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(keep, folder)
        return True, same(*(train(config, path, quiet=True) for path in (workdir, whole)))

    return fault


def _contents(workdir: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
