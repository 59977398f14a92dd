"""What becomes of a chunk on the host: who is told what of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wgan_jax import recording
from wgan_jax.config import flat, resolve
from wgan_jax.health.judge import Judge, Setup
from wgan_jax.measurement import Quality
from wgan_jax.record import samples, tensorboard
from wgan_jax.recording import Played, Recorder


class Mirror:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self.calls.append((name, *given))

    def given(self, name: str) -> list[list[Any]]:
        """What each call of this name was given."""
        return [given for called, *given in self.calls if called == name]


def test_what_a_mirror_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, chunks, pictures under the last epoch before them, and the best of the run."""
    mirror = Mirror()
    monkeypatch.setattr(tensorboard, "tensorboard_mirror", lambda *_, **__: mirror)
    monkeypatch.setattr("wgan_jax.report.report", lambda *_: (Path("report.html"),))
    settings = resolve({"tensorboard": True, "wandb": {"mode": "disabled"}, "epochs": 6})
    record = Recorder(settings, tmp_path / "run", quiet=True)
    record.take_back_to(0)
    record.open(0)
    for epoch, fid in ((0, 30.0), (2, 10.0), (4, 20.0)):
        record.pictures(np.zeros((64, 8, 8, 1), np.uint8), epoch)
        losses = {"d_loss": np.ones(2), "g_loss": np.ones(2)}
        played = Played(np.arange(epoch, epoch + 2), losses)
        played.quality = Quality({"fid_score": fid}, "digits", {"n_fake": 64})
        record.take(played)
        record.record()
    record.conclude("finished")
    record.close()
    assert mirror.given("write_hparams") == [[flat(settings)]]
    assert [epochs.tolist() for epochs, *_ in mirror.given("write_chunk")] == [
        [0, 1],
        [2, 3],
        [4, 5],
    ]
    assert [step for step, _ in mirror.given("write_images")] == [0, 1, 3]
    assert mirror.given("write_summary") == [
        [
            {
                "verdict": "not judged",
                "workdir": "run",
                "best_fid": 10.0,
                "report": Path("report.html"),
            }
        ]
    ]


@pytest.mark.parametrize(("n", "shown"), [(3, [0, 1, 2]), (6, [0, 1, 3, 5])])
def test_real_images_are_shown_once_spread_over_all(
    tmp_path: Path, n: int, shown: list[int]
) -> None:
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 3), np.uint8)
    record = Recorder(resolve({}), tmp_path, quiet=True)
    record.reals(images, 4)
    (path,) = (tmp_path / "samples").iterdir()
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened), samples.grid(images[shown], 8))
    path.write_bytes(b"kept")
    record.reals(images, 4)
    assert (path.name, path.read_bytes()) == ("reals.png", b"kept")


@pytest.mark.parametrize(
    ("objective", "quality", "encoder"),
    [
        ("wgan", {}, "digits"),
        ("hinge", {}, "digits"),
        ("wgan", {"encoder": "inception"}, "inception"),
        ("wgan", {"encoder": "inception", "weights": "inception-2015-12-05"}, "inception"),
        ("wgan", {"encoder": "inception", "weights": "mine"}, "inception:mine"),
    ],
)
def test_the_judge_knows_the_runs_settings(
    objective: str,
    quality: dict[str, str],
    encoder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Setup] = []

    def new(setup: Setup) -> Judge:
        told.append(setup)
        return Judge(setup)

    monkeypatch.setattr(recording, "Judge", new)
    config = {"objective": objective, "clip": 0.03, "epochs": 700, "data": {"name": "digits"}}
    config["quality"] = quality
    Recorder(resolve(config), tmp_path, quiet=True).take_back_to(0)
    assert told == [Setup(objective, encoder=encoder, clip=0.03, total_epochs=700)]
