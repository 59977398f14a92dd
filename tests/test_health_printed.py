"""Logs as programs print them, and tables between spaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import run
from wgan_jax.errors import UserError
from wgan_jax.health.logs.printed import read as rows_of
from wgan_jax.health.logs.runlog import RunLog, read
from wgan_jax.keys import ROUND_KEYS
from wgan_jax.record.console import epoch_block, quality_line


def log_of(tmp_path: Path, text: str, **columns: str) -> RunLog:
    path = tmp_path / "train.log"
    path.write_text(text, encoding="utf-8")
    return read(path, columns=columns)


# (a line of epoch e, batch i of 5, and the losses d and g) as others print them
STYLES: dict[str, Callable[[int, int, float, float], str]] = {
    "pytorch": lambda e, i, d, g: (
        f"[{e}/4][{i}/5]\tLoss_D: {d}\tLoss_G: {g}\tD(x): 0.61\tD(G(z)): 0.4 / 0.38"
    ),
    "brackets": lambda e, i, d, g: (
        f"[Epoch {e}/4] [Batch {i}/5] [D loss: {d:f}, acc: 50%] [G loss: {g:f}]"
    ),
    "words": lambda e, i, d, g: f"Epoch [{e}/4], Step [{i}/5], d_loss: {d}, g_loss: {g}",
    "share": lambda e, i, d, g: f"Train Epoch: {e} [{i}/5 (21%)]\tlossD: {d}\tlossG: {g}",
    "averages": lambda e, i, d, g: f"Epoch: [{e}][{i}/5] Time 0.5s Loss_D {d} (9) Loss_G {g} (9)",
    "dates": lambda e, i, d, g: (
        f"[2024/01/15 12:00:00] INFO epoch {e} iter {i}: errD={d:.3e} errG={g}"
    ),
    "plain": lambda e, i, d, g: f"epoch {e} iter {i} | d_loss {d} | g_loss {g} | lr 1e-4",
    "progress": lambda e, i, d, g: (
        f"Epoch {e}: 20%|## | [00:10<00:12, 45.0it/s, batch={i}, d_loss={d}, g_loss={g}]"
    ),
    "dictionaries": lambda e, i, d, g: (
        f"{{'epoch': {e}, 'iter': {i}, 'd_loss': {d}, 'G_loss': {g}}}"
    ),
    "colours": lambda e, i, d, g: (
        f"\x1b[32mepoch {e} iter {i}\x1b[0m \x1b[1;36md_loss\x1b[0m: {d} \x1b[36mg_loss\x1b[0m: {g}"
    ),
    "tensors": lambda e, i, d, g: (
        f"{{'epoch': {e}, 'iter': {i}, 'd_loss': np.float64({d}), 'g_loss': tensor([{g}], "
        "device='cuda:0')}"
    ),
    "headings": lambda e, i, d, g: (
        f"Epoch {e + 1}/4\n" * (i == 0) + f"{i}/5 [==] - 1s 2ms/step - d_loss: {d} - g_loss: {g}"
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_printed_lines_are_read(tmp_path: Path, style: str) -> None:
    d, g = np.arange(20) / 8 + 0.5, np.arange(20) / 4 - 1
    lines = (STYLES[style](k // 5, k % 5, float(d[k]), float(g[k])) for k in range(20))
    text = "Namespace(lr=0.0002, batch_size=64)\nStarting ...\n" + "\n".join(lines)
    log = log_of(tmp_path, text)
    np.testing.assert_array_equal(log.history.epochs, np.arange(20))
    np.testing.assert_array_equal(log.history["d_loss"], d)
    np.testing.assert_array_equal(log.history["g_loss"], g)
    assert "rows are counted" in log.notes[0]


def test_a_line_without_an_axis_belongs_to_the_last() -> None:
    lines = ["[0/2][4/5] Loss_D: 1", "FID: 30", "epoch 1", "FID: 25", "[1/2][0/5] Loss_D: 2"]
    rows, columns = rows_of(lines, {})
    assert [(row["epoch"], row.get("batch")) for row in rows] == [
        ("0", "4"), ("0", "4"), ("1", None), ("1", "0"),
    ]  # fmt: skip
    assert columns == ["epoch", "batch", "Loss_D", "FID"]


def test_a_setting_printed_before_the_run_is_no_time_axis(tmp_path: Path) -> None:
    lines = [f"[{i // 5}/4][{i % 5}/5] Loss_D: {i}" for i in range(20)]
    log = log_of(tmp_path, "\n".join(["Namespace(niter=4, epochs=4, lr=0.0002)", *lines]))
    assert (log.columns["epoch"], log.columns["coarse"]) == ("batch", "epoch")


def test_a_loss_printed_as_nan_to_the_end_is_lost(tmp_path: Path) -> None:
    text = "".join(f"iter {i}: d_loss {'nan' if i > 2 else 1} g_loss nan\n" for i in range(5))
    log = log_of(tmp_path, text)
    assert np.flatnonzero(np.isinf(log.history["d_loss"])).tolist() == [3]
    assert np.isinf(log.history["g_loss"][0])


def test_columns_of_printed_lines_can_be_named(tmp_path: Path) -> None:
    text = "epoch: 0, score D: 0.5, lr: 1\nepoch: 1, score D: 0.25, lr: 1\n"
    with pytest.raises(UserError, match="--map d_loss=COLUMN; it has: epoch, score D, lr"):
        log_of(tmp_path, text)
    log = log_of(tmp_path, text, d_loss="score D")
    np.testing.assert_array_equal(log.history["d_loss"], [0.5, 0.25])


def test_whole_numbers_are_printed_with_commas_too() -> None:
    rows, _ = rows_of(
        ["step 9,500 | d_loss: 1,234.5, g_loss: 0.5,lr: 1", "step 12,000,000 fid 7"], {}
    )
    assert rows == [
        {"step": "9500", "d_loss": "1234.5", "g_loss": "0.5"},
        {"step": "12000000", "fid": "7"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "epoch {e} train d_loss 1 g_loss 2\nepoch {e} val d_loss 8 g_loss 9 FID 3{e}\n",
        "epoch {e}\nTrain: d_loss: 1 g_loss: 2\nValid: d_loss: 8, g_loss: 9, FID: 3{e}\n",
        "epoch {e} d_loss: 1 g_loss: 2 | val: d_loss: 8 g_loss: 9 FID: 3{e}\n",
        "[epoch {e}] [val] d_loss: 8 g_loss: 9 [train] d_loss: 1 g_loss: 2 fid: 3{e}\n",
        "/home/test/gan.py:3] epoch {e} d_loss=1 g_loss=2\n[eval] fid=3{e}\n",
        "10:00:00 - test - INFO - epoch {e} d_loss=1 g_loss=2\nval | fid=3{e} d_loss=9\n",
        "INFO:mi-test:epoch {e}\nINFO:mi-test:d_loss=1, g_loss=2\nINFO:mi-test:fid=3{e}\n",
    ],
)
def test_losses_of_held_out_data_are_none_of_the_training(tmp_path: Path, text: str) -> None:
    log = log_of(tmp_path, "".join(text.format(e=e) for e in range(3)))
    np.testing.assert_array_equal(log.history.epochs, [0, 1, 2])
    np.testing.assert_array_equal(log.history["d_loss"], 1)
    np.testing.assert_array_equal(log.history["g_loss"], 2)
    np.testing.assert_array_equal(log.history["fid_score"], [30, 31, 32])


def test_of_a_decimal_comma_the_front_is_not_taken_for_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column for d_loss"):
        log_of(tmp_path, "step 1 d_loss: 0,75\nstep 2 d_loss: 0,5\n")


def test_is_in_a_sentence_is_no_inception_score() -> None:
    lines = [
        "Time for epoch 21 is 14.8 sec, gen_loss: 1.5",
        "FID is 213.7",
        "FID 30 IS 2.5 is: 2.5",
    ]
    rows, _ = rows_of(lines, {})
    assert rows == [
        {"epoch": "21", "gen_loss": "1.5"},
        {"epoch": "21", "FID": "213.7"},
        {"epoch": "21", "FID": "30", "IS": "2.5", "is": "2.5"},
    ]


def test_the_guides_block_is_read_as_it_is_printed(tmp_path: Path) -> None:
    row = {key: float(i) for i, key in enumerate(ROUND_KEYS, 1)} | {
        "d_loss": math.nan, "clip_ratio": 0.004, "epoch_time": 1.46,
    }  # fmt: skip
    log = log_of(tmp_path, "\n".join(epoch_block(epoch, 5, row) for epoch in range(3)))
    np.testing.assert_array_equal(log.history.epochs, [0, 1, 2])
    assert np.isinf(log.history["d_loss"][0])
    for key in ("g_loss", "d_loss_real", "d_loss_fake", "wasserstein_distance", "dg_ratio",
                "clip_ratio", "critic_weight_std", "generator_weight_std"):  # fmt: skip
        np.testing.assert_allclose(log.history[key], row[key], err_msg=key)


def test_lines_of_one_epoch_repeat_it_where_they_tell_the_same_anew(tmp_path: Path) -> None:
    def notes(text: str) -> list[str]:
        return [note for note in log_of(tmp_path, text).notes if "repeat an epoch" in note]

    row = dict.fromkeys(ROUND_KEYS, 0.5) | {"epoch_time": 1.46}
    blocks = [epoch_block(epoch, 3, row) for epoch in range(3)]
    text = "\n".join([*blocks, quality_line({"pixel_variance": 0.3}, "none")])
    assert notes(text) == []
    assert notes(text + "\n" + blocks[2]) == ["3 rows repeat an epoch: the last value counts."]


def test_letters_alone_are_losses_only_together(tmp_path: Path) -> None:
    log = log_of(tmp_path, "step,D,G,F\n0,-1,2,3\n1,-2,3,4\n")
    np.testing.assert_array_equal(log.history["d_loss"], [-1, -2])
    np.testing.assert_array_equal(log.history["d_loss_fake"], [3, 4])
    with pytest.raises(UserError, match="no column for d_loss"):
        log_of(tmp_path, "step,D,F\n0,-1,2\n1,-2,3\n")
    log = log_of(tmp_path, "step,D,G,d_loss\n0,0.5,0.5,7\n1,0.5,0.5,8\n")
    assert log.columns == {"d_loss": "d_loss", "epoch": "step"}


# (a line as another codebase prints it, D's and G's columns)
NETWORKS_ALONE = {
    "(epoch: 1, iters: 100, time: 0.2, data: 0.1) G_GAN: 2 G_L1: 9 D_real: 0.5 D_fake: 1.5": (
        "D_real", "G_GAN"),
    "(epoch: 1, iters: 100, time: 0.2) D_A: 1 G_A: 2 cycle_A: 3 idt_A: 4 D_B: 5 G_B: 6": (
        "D_A", "G_A"),
    ">1, 3/9, d1=0.5, d2=1.5 g=2": ("d1", "g"),
    ">1, d1[0.5] d2[1.5] g[2]": ("d1", "g"),
    "d: 1; g: 2; r1: 0.1; path: 0.2; mean path: 0.3:   0%|   | 3/9 [00:10<00:20]": ("d", "g"),
    "Gen. (2) | Discrim. (1):  10%|#  | 3/9 [00:10<00:20,  2.41it/s]": ("Discrim.", "Gen."),
    "tick 3  kimg 8.0  loss/reg: G ( 2  0.1) D ( 1  0.2)  time 1h 02m": ("D", "G"),
    "<epoch: 3, iter: 1,000> l_g_pix: 9 l_g_gan: 2 l_d_real: 0.5 l_d_fake: 1.5 D_real: -8": (
        "l_d_real", "l_g_gan"),
    "[Epoch 1/9] [Batch 3/9] [D loss: 1] [G loss: 8, adv: 2, cycle: 3] ETA: 1:00": (
        "D loss", "adv"),
    "[Epoch 1/9] [Batch 3/9] [D adv: 1, aux: 5] [G loss: 8, adv: 2, aux: 5, cycle: 3]": (
        "D adv", "adv"),
    "(Steps: 3) train/generator_loss: 8 train/adversarial_loss: 2 train/discriminator_loss: 1": (
        "train/discriminator_loss", "train/adversarial_loss"),
    "Discriminator: 1 Generator: 2": ("Discriminator", "Generator"),
    "epoch 3 D loss：1 G loss：2": ("D loss", "G loss"),
    'INFO {"epoch": 3, "d_loss": 1, "g_loss": 2}': ("d_loss", "g_loss"),
    "d_loss: tf.Tensor(1.0, shape=(), dtype=float32) g_loss: "
    "<tf.Tensor: shape=(), dtype=float32, numpy=2.0>": ("d_loss", "g_loss"),
    "iter 3\ttime\t0.2\ttrain disc cost\t1\ttrain gen cost\t2": (
        "train disc cost", "train gen cost"),
}  # fmt: skip


@pytest.mark.parametrize("line", NETWORKS_ALONE)
def test_losses_are_told_by_their_networks(tmp_path: Path, line: str) -> None:
    log = log_of(tmp_path, f"{line}\n{line}\n")
    d, g = NETWORKS_ALONE[line]
    assert (log.columns.get("d_loss", log.columns.get("d_loss_real")), log.columns["g_loss"]) == (
        d, g
    )  # fmt: skip
    assert set(log.history["d_loss"]) == {1.0}
    assert set(log.history["g_loss"]) == {2.0}


@pytest.mark.parametrize(
    "line",
    ["D_real: 0.9 D_fake: 0.1", "G: 2", "D(x): 0.9 D(G(z)): 0.1 G: 2", "d_lr: 1 g_lr: 2 G: 3",
     "cycle_loss: 1 G: 2", "D_x=1 G_x=2"],
)  # fmt: skip
def test_one_network_alone_tells_no_losses(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match="no column for d_loss"):
        log_of(tmp_path, f"{line}\n{line}\n")


def test_scores_of_networks_are_no_losses_beside_losses(tmp_path: Path) -> None:
    log = log_of(tmp_path, "D_loss: 1 G_loss: 2\nD: 0.9 G: 0.1\n" * 3)
    assert log.columns == {"d_loss": "D_loss", "g_loss": "G_loss"}
    assert len(log.history) == 3


def test_words_within_json_are_no_printed_lines(tmp_path: Path) -> None:
    text = '{"said": "epoch 3 d_loss: 9", "step": 0, "d_loss": 1}\n{"step": 1, "d_loss": 2}\n'
    np.testing.assert_array_equal(log_of(tmp_path, text).history["d_loss"], [1, 2])


@pytest.mark.parametrize(
    "head",
    [
        "# step  d_loss g_loss\n",
        "step d_loss   g_loss\n",
        "# GAN, seed 1\n# step D_loss lossG\n",
        "   d_loss   g_loss\n",  # a frame of pandas has no name for its index
    ],
)
def test_tables_between_spaces_are_read(tmp_path: Path, head: str) -> None:
    log = log_of(tmp_path, head + "0   0.5  1.5\n\n# resumed\n 10 0.25 nan\n20  1\n")
    np.testing.assert_array_equal(log.history.epochs, [0, 10, 20] if "step" in head else range(3))
    np.testing.assert_array_equal(log.history["d_loss"], [0.5, 0.25, 1])
    assert log.history["g_loss"][0] == 1.5


def test_what_is_none_of_these_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "poem.txt"
    path.write_text("Shall I compare thee\nto a summer's day?\n")
    assert run.main(["diagnose", str(path)]) == 2
    assert "is neither a table, JSON nor lines of NAME: NUMBER" in capsys.readouterr().err
