"""Other people's logs: formats, names, disorder, and what is no log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.made_up_losses import healthy_hinge, healthy_wgan, history
from wgan_jax import diagnosis
from wgan_jax.errors import UserError
from wgan_jax.health.judge import Setup
from wgan_jax.health.logs.names import columns_of, guess, parse_map, unit_of
from wgan_jax.health.logs.runlog import RunLog, guess_objective, read


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def csv(tmp_path: Path, text: str) -> RunLog:
    return read(write(tmp_path / "log.csv", text))


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("d_loss", "d_loss"),
        ("Loss/D", "d_loss"),
        ("lossD", "d_loss"),
        ("d_loss [nats]", "d_loss"),
        ("step (it)", "epoch"),
        ("d_loss (val)", None),
        ("errD", "d_loss"),
        ("loss_d", "d_loss"),
        ("D_loss", "d_loss"),
        ("train/critic_loss", "d_loss"),
        ("discriminator loss", "d_loss"),
        ("dis_loss", "d_loss"),
        ("Loss/D_real", "d_loss_real"),
        ("d_loss_fake", "d_loss_fake"),
        ("train/adversarial_loss", "g_loss"),
        ("train/adv_loss_step", "g_loss"),
        ("losses/adv", "g_loss"),
        ("val/adversarial_loss", None),
        ("train/d_adv_loss", "d_loss"),
        ("D_adv", "d_loss"),
        ("G adv", "g_loss"),
        ("crit_loss", "d_loss"),
        ("G/loss_fake", "g_loss"),
        ("loss_disc_fake_g", "g_loss"),
        ("gan_loss", "g_loss"),
        ("Loss_G", "g_loss"),
        ("generator_loss", "g_loss"),
        ("gloss", "g_loss"),
        ("FID", "fid_score"),
        ("metrics/fid50k_full", "fid_score"),
        ("val_fid", "fid_score"),
        ("val/fid", "fid_score"),
        ("eval/FID", "fid_score"),
        ("test_fid", "fid_score"),
        ("valid_fid50k_full", "fid_score"),
        ("results/fid50k_full", "fid_score"),
        ("val_recall", "recall"),
        ("val/inception_score", "inception_score_mean"),
        ("IS", "inception_score_mean"),
        ("train/IS", "inception_score_mean"),
        ("is_train", None),
        ("isTraining", None),
        ("train/is_val", None),
        ("Clip%", "clip_ratio"),
        ("train/clip_pct", "clip_ratio"),
        ("clip", None),
        ("losses/d_loss", "d_loss"),
        ("charts/FID", "fid_score"),
        ("D acc%", "d_accuracy"),
        ("clip_score", None),
        ("CLIP score", None),
        ("clip_value", None),
        ("inception_score", "inception_score_mean"),
        ("global_step", "epoch"),
        ("Iteration", "epoch"),
        ("_step", "epoch"),
        ("itr", "epoch"),
        ("n_iter", "epoch"),
        ("num_updates", "epoch"),
        ("current_step", "epoch"),
        ("trainer/global_step", "epoch"),
        ("nimg", "epoch"),
        ("epoch_num", "epoch"),
        ("D_acc", "d_accuracy"),
        ("d_loss_step", "d_loss"),
        ("train/g_loss_epoch", "g_loss"),
        ("fid_epoch", "fid_score"),
        ("rosy-dawn-7 - d_loss", "d_loss"),
        ("run - 2 - train/lossG", "g_loss"),
        ("rosy-dawn-7 - d_loss__MIN", None),
        ("val - d_loss", None),
        ("val_d_loss_step", None),
        ("loss_epoch", None),
        ("rosy-dawn-7 - epoch", None),
        ("best_fid", None),
        ("val_d_loss", None),
        ("test/g_loss", None),
        ("learning_rate", None),
        ("loss", None),
        ("time", None),
    ],
)
def test_names_are_recognised(column: str, key: str | None) -> None:
    assert guess(column) == key


@pytest.mark.parametrize(
    "names", [("d_loss_epoch", "d_loss_step"), ("d_loss_step", "d_loss_epoch")]
)
def test_losses_of_steps_go_before_their_averages_over_epochs(names: tuple[str, ...]) -> None:
    assert columns_of(names, {}) == {"d_loss": "d_loss_step"}


@pytest.mark.parametrize("other", ["c_loss", "D_loss", "train/d_loss"])
def test_a_column_called_as_its_key_goes_before_others_of_the_same_meaning(other: str) -> None:
    assert columns_of([other, "d_loss"], {}) == {"d_loss": "d_loss"}


def test_what_is_called_of_the_gan_comes_last() -> None:
    assert columns_of(["gan_loss", "d_loss"], {})["g_loss"] == "gan_loss"
    for other in ("g_loss", "generator_loss", "adv_loss"):
        assert columns_of(["gan_loss", "d_loss", other], {})["g_loss"] == other


def test_c_is_the_critic_only_where_there_is_no_other() -> None:
    assert columns_of(["c_loss", "errD"], {}) == {"d_loss": "errD"}
    assert columns_of(["c_loss"], {}) == {"d_loss": "c_loss"}


def test_the_finest_of_several_time_axes_counts() -> None:
    assert columns_of(["epoch", "iter", "d_loss"], {})["epoch"] == "iter"
    assert columns_of(["step", "epoch", "d_loss"], {})["epoch"] == "step"


def test_the_coarsest_of_several_time_axes_is_known() -> None:
    assert columns_of(["step", "epoch", "batch", "d_loss"], {})["coarse"] == "epoch"
    assert columns_of(["epoch", "i", "d_loss"], {"epoch": "i"})["coarse"] == "epoch"
    assert "coarse" not in columns_of(["step", "d_loss"], {})
    assert "coarse" not in columns_of(["epoch", "batch"], {"epoch": "epoch"})
    assert "coarse" not in columns_of(["step", "global_step"], {})  # Coqui's, within an epoch
    assert columns_of(["step", "global_step", "epoch"], {})["coarse"] == "epoch"


@pytest.mark.parametrize(
    ("axis", "unit"),
    [
        ("trainer/global_step", "step"),
        ("_step", "step"),
        ("Iterations", "iteration"),
        ("batches", "batch"),
        ("epoch_num", "epoch"),
        ("Progress/kimg", "kimg"),
        ("x", "epoch"),
    ],
)
def test_what_a_time_axis_counts_is_its_own_word(axis: str, unit: str) -> None:
    assert unit_of(axis) == unit


def test_what_the_user_says_goes_before_any_guess() -> None:
    chosen = columns_of(["d_loss", "other"], {"d_loss": "other"})
    assert chosen == {"d_loss": "other"}


@pytest.mark.parametrize(
    ("text", "part"),
    [("d_loss", "KEY=COLUMN"), ("d_los=x", "Did you mean d_loss"), ("d_loss=", "KEY=COLUMN")],
)
def test_a_wrong_map_says_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        parse_map(text)


def test_a_mapped_column_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean loss/D"):
        columns_of(["loss/D", "loss/G"], parse_map("d_loss=loss/d"))


COLUMNS = {"step": [0, 10], "lossD": [1.5, 1.25], "lossG": [-0.5, 0.5]}
ROWS = [{"step": 0, "lossD": 1.5, "lossG": -0.5}, {"step": 10, "lossD": 1.25, "lossG": 0.5}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "step,lossD,lossG\n0,1.5,-0.5\n10,1.25,0.5\n"),
        ("b.tsv", "step\tlossD\tlossG\n0\t1.5\t-0.5\n10\t1.25\t0.5\n"),
        ("c.csv", '\ufeff"step";"lossD";"lossG"\r\n0;1.5;-0.5\r\n10;1.25;0.5'),
        ("d.jsonl", "\n".join(json.dumps(row) for row in ROWS) + "\n"),
        ("e.json", json.dumps(ROWS, indent=1)),
        ("f.json", json.dumps(COLUMNS)),
        ("g.json", json.dumps({"params": {"lr": 1}, "history": COLUMNS})),
        ("h.csv", "note,step,lossD,lossG\nab,0,1.5,-0.5\n\"x,\ny\",10,1.25,0.5\n"),
        ("comma.csv", "step;lossD;lossG\n0;1,5;-0,5\n10;1,25;5,0e-1\n"),
        ("comma.tsv", 'step\tlossD\tlossG\n"0"\t"1,5"\t"-0,5"\n"10"\t"1,25"\t"0,5"\n'),
        ("i.jsonl", "\n".join(json.dumps(row) for row in ROWS) + '\n{"step": 20, "los'),
    ],
)  # fmt: skip
def test_formats_are_told_by_what_is_in_them(tmp_path: Path, name: str, text: str) -> None:
    log = read(write(tmp_path / name, text))
    np.testing.assert_array_equal(log.history.epochs, [0, 10])
    np.testing.assert_array_equal(log.history["d_loss"], [1.5, 1.25])
    np.testing.assert_array_equal(log.history["g_loss"], [-0.5, 0.5])


@pytest.mark.parametrize(
    "value",
    [
        {"epoch": 2.0, "callbacks": ["a", "b", "c"], "log_history": ROWS},
        {"callbacks": ["a"], "run": {"history": COLUMNS}},
        {"betas": [0.5, 0.9, 0.99], "log": COLUMNS, "best": {"lossD": 1.25}},
    ],
)
def test_the_log_within_json_is_what_most_columns_are_known_of(
    tmp_path: Path, value: object
) -> None:
    log = read(write(tmp_path / "state.json", json.dumps(value, indent=1)))
    np.testing.assert_array_equal(log.history.epochs, [0, 10])
    np.testing.assert_array_equal(log.history["d_loss"], [1.5, 1.25])
    np.testing.assert_array_equal(log.history["g_loss"], [-0.5, 0.5])


@pytest.mark.parametrize(
    "text",
    [
        "run_id,key,value,step,timestamp\na,D/loss,1,0,9\na,G/loss,2,0,9\na,D/loss,3,5,9\na,G/loss,,5,9\n",
        "step;tag;value\n0;Loss/D;1\n0;Loss/G;2\n5;Loss/D;3\n",
    ],
)
def test_a_table_with_a_row_for_each_number_is_read(tmp_path: Path, text: str) -> None:
    log = csv(tmp_path, text)
    np.testing.assert_array_equal(log.history.epochs, [0, 5])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 3])
    np.testing.assert_array_equal(log.history["g_loss"], [2, np.nan])


def test_what_tensorboard_exports_is_called_as_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "run-.-tag-Loss_D.csv", "Wall time,Step,Value\n9.5,0,1\n9.6,50,2\n")
    log = read(path)
    np.testing.assert_array_equal(log.history.epochs, [0, 50])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2])
    assert read(path, columns={"d_loss": "Value"}).columns["d_loss"] == "Value"


def test_columns_of_each_network_are_one_log(tmp_path: Path) -> None:
    value = {"D": {"loss": [1, 2]}, "G": {"loss": [3, 4]}}
    log = read(write(tmp_path / "log.json", json.dumps(value)))
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2])
    np.testing.assert_array_equal(log.history["g_loss"], [3, 4])


def test_a_line_of_text_may_stand_before_json_lines(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    log = read(write(tmp_path / "log.jsonl", "\nINFO start\n" + lines))
    np.testing.assert_array_equal(log.history["d_loss"], [1.5, 1.25])
    with pytest.raises(UserError, match="line 4 is no JSON"):
        read(write(tmp_path / "bad.jsonl", "INFO start\n" + lines + "{,}\n"))


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_text_is_read_as_windows_writes_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("step,d_loss,time (µs)\n0,1.5,9\n10,1.25,9\n".encode(encoding))
    np.testing.assert_array_equal(read(path).history["d_loss"], [1.5, 1.25])


def test_numbers_of_tensors_are_read(tmp_path: Path) -> None:
    rows = "0,\"tensor(1.5, device='cuda:0')\",tensor([2.])\n1,tensor(nan),np.float32(3)\n"
    log = csv(tmp_path, "step,d_loss,g_loss\n" + rows)
    np.testing.assert_array_equal(log.history["d_loss"], [1.5, np.inf])
    np.testing.assert_array_equal(log.history["g_loss"], [2, 3])


def test_commas_as_decimal_points_are_said(tmp_path: Path) -> None:
    rows = "\n".join(f"{i};1,{i};a,b 1,2" for i in range(3))
    assert "0,5 is 0.5" in csv(tmp_path, "step;d_loss;tag\n" + rows).notes[0]
    points = csv(tmp_path, "step;d_loss;tag\n" + rows.replace("1,", "1."))
    assert not points.notes


def test_the_fast_path_reads_what_the_slow_one_reads(tmp_path: Path) -> None:
    rows = [f"{i},{1 / (i + 1)!r},{'' if i % 3 else i * 1e-7},,7" for i in range(50)]
    text = "step,d_loss,g_loss,fid,recall\n" + "\n".join(rows)
    fast = csv(tmp_path, text).history
    slow = csv(tmp_path, text.replace("\n0,", '\n"0",', 1)).history
    for key in ("d_loss", "g_loss", "fid_score", "recall"):
        np.testing.assert_array_equal(fast[key], slow[key])
    assert np.isnan(fast["g_loss"]).sum() == 33


def test_a_row_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss,g_loss\n0,1,2\n1,3\n")
    np.testing.assert_array_equal(log.history["d_loss"], [1, 3])
    np.testing.assert_array_equal(log.history["g_loss"], [2, np.nan])


def test_columns_that_might_be_meant_are_named_where_they_are_not_read(tmp_path: Path) -> None:
    header = "step,d_loss,errD,val_loss,best_fid,lr,kid_mean\n"
    log = csv(tmp_path, header + "0,1,1,1,1,1,1\n1,2,2,2,2,2,2\n")
    said = "Not read, unless --map KEY=COLUMN says so: errD, val_loss, best_fid."
    assert log.notes == (said,)


def test_a_column_called_as_a_key_is_named_where_another_is_read_for_it(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "step,d_loss,x\n0,1,2\n1,1,2\n")
    log = read(path, columns={"d_loss": "x"})
    assert log.notes == ("Not read, unless --map KEY=COLUMN says so: d_loss.",)


def test_of_an_exported_chart_the_first_run_is_read_and_the_others_named(tmp_path: Path) -> None:
    header = "Step,a - d_loss,a - d_loss__MIN,a - d_loss__MAX,b - d_loss\n"
    log = csv(tmp_path, header + "0,1,0,2,9\n1,2,1,3,9\n")
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2])
    assert log.notes == ("Not read, unless --map KEY=COLUMN says so: b - d_loss.",)


def test_what_else_teaches_a_generator_is_said(tmp_path: Path) -> None:
    text = "(epoch: 1, iters: {}) G_GAN: 2 G_L1: 9 D_real: 0.5 D_fake: 0.5\n"
    log = read(write(tmp_path / "loss_log.txt", "".join(map(text.format, range(3)))))
    assert any("more than its critic (G_L1)" in note for note in log.notes)
    log = csv(tmp_path, "step,disc_loss,train/rec_loss_step\n0,1,3\n1,1,3\n")  # VQGAN's
    assert any("more than its critic (train/rec_loss_step)" in note for note in log.notes)
    log = csv(tmp_path, "step,d_loss,pixel_variance,val_l1\n0,1,0.2,3\n1,1,0.2,3\n")
    assert not any("more than its critic" in note for note in log.notes)


@pytest.mark.parametrize("placeholder", ["0", "-1", "0.0"])
def test_a_fid_of_nothing_is_no_measurement(tmp_path: Path, placeholder: str) -> None:
    log = csv(tmp_path, f"step,d_loss,fid\n0,1,{placeholder}\n1,1,50\n2,1,{placeholder}\n")
    np.testing.assert_array_equal(log.history["fid_score"], [np.nan, 50, np.nan])
    assert "2 values of fid_score are no measurements" in log.notes[0]


def test_of_other_scores_what_cannot_be_is_left_out(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss,IS,recall,pixvar\n0,1,0,0,0\n1,1,2,-1,-1\n2,1,-1,0.5,0.5\n")
    np.testing.assert_array_equal(log.history["inception_score_mean"], [np.nan, 2, np.nan])
    np.testing.assert_array_equal(log.history["recall"], [0, np.nan, 0.5])
    np.testing.assert_array_equal(log.history["pixel_variance"], [0, np.nan, 0.5])


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        ("0,1,50.0,1.25,40\n1,1,100,0.5,100\n", 2),
        ("0,1,50.0%,1.25%,40 %\n1,1,100%,0.5%,100%\n", 0),
        ("0,1,0.5,0.0125,0.4\n1,1,1,0.005,1\n", 0),
    ],
)
def test_accuracies_and_clip_are_shares_however_they_are_written(
    tmp_path: Path, rows: str, notes: int
) -> None:
    log = csv(tmp_path, "step,d_loss,d_acc,g_acc,Clip%\n" + rows)
    np.testing.assert_allclose(log.history["d_accuracy"], [0.5, 1])
    np.testing.assert_allclose(log.history["g_accuracy"], [0.0125, 0.005])
    np.testing.assert_allclose(log.history["clip_ratio"], [0.4, 1])
    assert len(log.notes) == notes
    assert all("taken as percent" in note for note in log.notes)


def test_a_small_percentage_is_one_too(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss,Clip%\n0,1,0.2\n1,1,2.5\n")
    np.testing.assert_allclose(log.history["clip_ratio"], [0.002, 0.025])


def test_losses_written_as_their_difference_from_1_are_turned_back(tmp_path: Path) -> None:
    text = "".join(
        f"{i} [D loss: {1 + 2**-9 - i * 2**-14}] [G loss: {1 - 2**-9}]\n" for i in range(9)
    )
    log = read(write(tmp_path / "train.log", text))
    np.testing.assert_array_equal(log.history["d_loss"], np.arange(9) * 2.0**-14 - 2.0**-9)
    np.testing.assert_array_equal(log.history["g_loss"], 2.0**-9)
    assert log.setup.objective == "wgan"
    assert "1 - loss" in " ".join(log.notes)
    log = csv(tmp_path, "step,d_loss,g_loss\n0,1,0\n1,1.01,0.01\n")  # a hinge critic at chance
    np.testing.assert_array_equal(log.history["d_loss"], [1, 1.01])


def test_of_scores_carried_forward_the_changes_are_read(tmp_path: Path) -> None:
    fids = ["", 50, 50, 50, 40, 40, 40, 30]
    rows = [f"{i},1,{fid},{'' if i % 4 else 50}" for i, fid in enumerate(fids)]
    log = csv(tmp_path, "step,d_loss,fid,recall\n" + "\n".join(rows))
    epochs, values = log.history.measured("fid_score")
    np.testing.assert_array_equal(epochs, [1, 4, 7])
    np.testing.assert_array_equal(values, [50, 40, 30])
    np.testing.assert_array_equal(log.history.measured("recall")[1], [50, 50])
    assert log.notes == ("fid_score mostly repeats the row before: its changes alone are read.",)


def test_scores_that_change_in_most_rows_are_not_carried_forward(tmp_path: Path) -> None:
    rows = "".join(f"{i},1,{50 - (i - i // 3)}\n" for i in range(30))  # two of three are new
    log = csv(tmp_path, f"step,d_loss,fid\n{rows}")
    assert len(log.history.measured("fid_score")[0]) == 30


def test_of_infinite_scores_carried_forward_one_is_read(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss,fid\n0,1,inf\n1,1,inf\n2,1,inf\n")
    np.testing.assert_array_equal(log.history["fid_score"], [np.inf, np.nan, np.nan])


def test_objects_within_rows_are_columns(tmp_path: Path) -> None:
    """StyleGAN's stats.jsonl and metric-fid50k_full.jsonl."""
    losses, kimg = ({"num": 4, "mean": 0.0, "std": 0.1} for _ in range(2))
    rows = [
        {"Loss/D/loss": losses | {"mean": k}, "Progress/kimg": kimg | {"mean": 4.0 * k}}
        for k in range(3)
    ]
    log = read(write(tmp_path / "stats.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    np.testing.assert_array_equal(log.history.epochs, [0, 4, 8])
    np.testing.assert_array_equal(log.history["d_loss"], [0, 1, 2])
    deep = [{"step": k, "losses": {"d": {"total": k + 1}}} for k in range(3)]
    log = read(write(tmp_path / "deep.jsonl", "".join(json.dumps(row) + "\n" for row in deep)))
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3])
    fids = [{"results": {"fid50k_full": 209.0 - k}, "metric": "fid50k_full"} for k in range(3)]
    log = read(write(tmp_path / "fid.jsonl", "".join(json.dumps(row) + "\n" for row in fids)))
    np.testing.assert_array_equal(log.history["fid_score"], [209, 208, 207])


def test_a_shorter_column_of_a_json_object_is_spread_evenly(tmp_path: Path) -> None:
    columns = {"epoch": [0, 1], "d_loss": [1, 2, 3, 4, 5, 6], "fid": [50, 40], "lr": [1] * 9}
    log = read(write(tmp_path / "log.json", json.dumps(columns)))
    np.testing.assert_array_equal(log.history.epochs, np.arange(6))
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(log.history["fid_score"], [np.nan, np.nan, 50, *[np.nan] * 2, 40])
    assert log.notes == (
        "Of 6 rows, columns with fewer values are spread evenly: fid (2).",
        "There is no column of epochs: rows are counted.",
    )


def test_losses_of_a_json_object_are_spread_over_a_longer_axis(tmp_path: Path) -> None:
    columns = {"step": [0, 10, 20, 30, 40], "d_loss": [1, 2], "g_loss": [3, 4]}
    log = read(write(tmp_path / "log.json", json.dumps(columns)))
    epochs, values = log.history.measured("d_loss")
    np.testing.assert_array_equal(epochs, [10, 40])
    np.testing.assert_array_equal(values, [1, 2])


def test_half_sum_of_real_and_fake_where_there_is_no_critic_loss(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss_real,d_loss_fake,g_loss\n0,1,3,0\n1,2,2,0\n")
    np.testing.assert_array_equal(log.history["d_loss"], [2, 2])
    assert "half the sum" in log.notes[0]


def test_a_written_nan_of_either_term_is_one_of_their_half_sum(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss_real,d_loss_fake\n0,1,3\n1,nan,2\n2,nan,nan\n")
    assert log.history["d_loss"][0] == 2
    assert np.isinf(log.history["d_loss"][1])


def test_epochs_out_of_order_are_sorted_and_the_last_value_of_one_counts(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss,g_loss\n0,1,1\n2,3,3\n1,2,2\n2,9,\n")
    np.testing.assert_array_equal(log.history.epochs, [0, 1, 2])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 9])
    np.testing.assert_array_equal(log.history["g_loss"], [1, 2, 3])
    assert len(log.notes) == 2


def test_rows_of_one_step_that_hold_different_things_are_one(tmp_path: Path) -> None:
    lines = [{"step": 0, "d_loss": 1.0}, {"step": 0, "fid": 50.0}, {"step": 1, "d_loss": 2.0}]
    path = write(tmp_path / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    log = read(path)
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2])
    np.testing.assert_array_equal(log.history["fid_score"], [50, np.nan])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("epoch,d_loss\n0,1\n0,2\n1,3\n1,4\n", "several rows each"),
        ("kimg,d_loss\n0.0,1\n4.1,2\n8.2,3\n12.3,4\n", "no whole numbers"),
        ("d_loss,g_loss\n1,1\n2,1\n3,1\n4,1\n", "no column of epochs"),
    ],
)
def test_rows_are_counted_where_epochs_do_not_number_them(
    tmp_path: Path, text: str, note: str
) -> None:
    log = csv(tmp_path, text)
    np.testing.assert_array_equal(log.history.epochs, [0, 1, 2, 3])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3, 4])
    assert note in log.notes[0]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("iter,d_loss\n0,1\n5,2\n", "iter"),
        ("d_loss,g_loss\n1,1\n2,1\n", "row"),
        ("epoch,batch,d_loss\n0,0,1\n0,1,2\n1,0,3\n1,1,4\n", "row"),
        ("epoch,d_loss\n0,1\n0,2\n1,3\n1,4\n", "row"),
        ("kimg,d_loss\n0.5,1\n4.1,2\n", "row"),
    ],
)
def test_what_is_counted_is_said(tmp_path: Path, text: str, unit: str) -> None:
    assert csv(tmp_path, text).unit == unit


@pytest.mark.parametrize(
    "text",
    [
        'step,d_loss\n"1,000",1\n"12,000",2\n"1,200,000",3\n',
        '{"step": "1,000", "d_loss": 1}\n{"step": "12,000", "d_loss": 2}\n'
        '{"step": "1,200,000", "d_loss": 3}\n',
    ],
)
def test_thousands_are_read_as_they_are_meant(tmp_path: Path, text: str) -> None:
    log = csv(tmp_path, text)
    np.testing.assert_array_equal(log.history.epochs, [1000, 12_000, 1_200_000])


def test_rows_are_counted_where_most_have_no_epoch(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss,fid\n0,1,\n,2,\n,3,\n1,4,\n,5,\n2,,9\n3,,8\n")
    np.testing.assert_array_equal(log.history["d_loss"][:5], [1, 2, 3, 4, 5])
    assert log.notes == ("3 rows of 5 have no epoch: rows are counted.",)


def test_rows_without_an_epoch_are_left_out(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss\n0,1\n,7\n1,2\n")
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2])


@pytest.mark.parametrize("cells", ["0,1 1,nan 2,NaN", "0,1 1,inf 2,inf", "0,1 1,-inf 2,nan"])
def test_a_written_nan_and_an_infinity_that_stay_are_divergence(tmp_path: Path, cells: str) -> None:
    text = "epoch,d_loss\n" + cells.replace(" ", "\n")
    assert np.isinf(csv(tmp_path, text).history["d_loss"][1])


def test_a_written_nan_before_numbers_and_an_empty_cell_are_gaps(tmp_path: Path) -> None:
    assert np.isnan(csv(tmp_path, "epoch,d_loss\n0,1\n1,nan\n2,2\n").history["d_loss"][1])
    assert np.isnan(csv(tmp_path, "epoch,d_loss,g_loss\n0,1,1\n1,,1\n").history["d_loss"][1])


def test_an_infinity_before_numbers_is_a_gap_and_said(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss,g_loss\n0,inf,1\n1,1,1\n2,-inf,inf\n3,2,inf\n")
    np.testing.assert_array_equal(log.history["d_loss"], [np.nan, 1, np.nan, 2])
    np.testing.assert_array_equal(log.history["g_loss"], [1, 1, np.inf, np.inf])
    assert log.notes == ("2 infinite values of d_loss with numbers after them: left out.",)


def test_json_nan_is_divergence_and_null_a_gap(tmp_path: Path) -> None:
    nan = write(tmp_path / "nan.jsonl", '{"step": 0, "d_loss": 1}\n{"step": 1, "d_loss": NaN}\n')
    null = write(tmp_path / "null.jsonl", '{"step": 0, "d_loss": 1}\n{"step": 1, "d_loss": null}\n')
    assert np.isinf(read(nan).history["d_loss"][1])
    assert np.isnan(read(null).history["d_loss"][1])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("step,d_loss,g_loss\n", "no rows"),
        ("step,d_loss,g_loss\n0,1,2\n", "one row"),
        ("step,accuracy,val\n0,1,2\n1,2,3\n", "no column for d_loss.*--map.*accuracy"),
        ("step,d_loss\n0,\n1,\n", "no numbers"),
        ('{"step": 0, "d_loss": 1}\n{"step": 1,, }\n{"step": 2}\n', "line 2 is no JSON"),
        ("[1, 2, 3]", "no column for d_loss"),
        ('{"a": 1', "is no JSON"),
        ("just some words\nand more\n", "no column for d_loss"),
    ],
)
def test_what_is_no_log_is_said_in_one_line(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(UserError, match=part) as error:
        csv(tmp_path, text)
    assert "\n" not in str(error.value)


def test_binary_files_and_missing_files_are_said(tmp_path: Path) -> None:
    (tmp_path / "model.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="no text file"):
        read(tmp_path / "model.csv")
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(UserError, match="no run folder"):
        read(tmp_path)


def test_a_run_folder_of_this_project_says_all_there_is_to_know(tmp_path: Path) -> None:
    lines = [
        {"epoch": 0, "d_loss": -0.5, "g_loss": 0.1, "verdict": "healthy", "encoder": "inception"},
        {"epoch": 1, "d_loss": -0.4, "g_loss": 0.1, "fid_score": 9.0, "encoder": "digits"},
        {"epoch": 2, "d_loss": -0.3, "g_loss": 0.1},
    ]
    write(tmp_path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    config = {"objective": "wgan", "clip": 0.01, "epochs": 50, "seed": 1}
    write(tmp_path / "config.json", json.dumps(config))
    log = diagnosis.read_log(tmp_path)
    assert (log.setup, log.guessed) == (Setup("wgan", "digits", 0.01, 50), False)
    assert len(log.history) == 3


FALLING = np.linspace(1.5, 0.5, 50)
SWINGS = FALLING + 0.3 * np.sin(50 * FALLING)


@pytest.mark.parametrize(
    ("columns", "objective"),
    [
        (healthy_wgan(), "wgan"),
        (healthy_hinge(), "hinge"),
        ({"d_loss": np.full(50, 0.69), "g_loss": np.full(50, 0.8)}, "nsgan"),
        ({"d_loss": np.full(50, 0.2), "g_loss": np.full(50, 0.3)}, "lsgan"),
        ({"d_loss": np.full(50, 0.4), "g_loss": np.full(50, 0.5)}, "lsgan"),
        ({"d_loss": np.full(50, 0.4), "g_loss": np.full(50, 0.8)}, "nsgan"),
        ({"d_loss": np.full(50, 6.0), "g_loss": np.full(50, 5.0)}, None),
        ({"d_loss": np.full(50, 0.004), "g_loss": np.full(50, 1.0)}, None),
        ({"d_loss": np.geomspace(0.3, 0.004, 50), "g_loss": np.linspace(0.4, 1, 50)}, "lsgan"),
        ({"d_loss": np.geomspace(1, 0.004, 50), "g_loss": np.linspace(0.4, 1, 50)}, None),
        ({"d_loss": np.full(50, 0.004), "g_loss": np.full(50, 5.5)}, "nsgan"),
        ({"d_loss": np.full(50, 0.7)}, None),
        ({"d_loss": np.full(50, 0.7), "d_accuracy": np.full(50, 0.5)}, "nsgan"),
        ({"d_loss": np.full(50, 0.25), "d_accuracy": np.full(50, 0.5)}, None),
        ({"fid_score": np.full(50, 6.0)}, None),
        ({"d_loss": np.where(np.arange(100) < 5, -0.1, 0.5)}, "wgan"),  # above 0 mostly
        ({"d_loss": FALLING, "g_loss": FALLING, "wasserstein_distance": SWINGS}, "wgan"),
        ({"d_loss": FALLING, "g_loss": np.ones(50), "wasserstein_distance": FALLING}, "wgan"),
        ({"d_loss": FALLING, "g_loss": np.ones(50), "wasserstein_distance": -FALLING}, "nsgan"),
    ],
)
def test_the_objective_is_guessed_from_what_its_formulas_allow(
    columns: dict[str, np.ndarray], objective: str | None
) -> None:
    assert guess_objective(history(**columns)) == objective


def test_what_hinge_losses_cannot_be_is_no_hinge() -> None:
    g = 0.01 * np.linspace(-1, 1, 50)  # fakes scored about 0 cost a hinge critic 1
    assert guess_objective(history(d_loss=np.full(50, 0.002), g_loss=g)) is None
    assert guess_objective(history(d_loss=np.full(50, 0.6), g_loss=g)) == "hinge"


def test_what_least_squares_cannot_be_is_none() -> None:
    d = np.full(50, 2e-4)  # fakes are all told apart: each is to cost G 1
    assert guess_objective(history(d_loss=d, g_loss=np.full(50, 0.06))) is None  # ESRGAN's
    assert guess_objective(history(d_loss=d, g_loss=np.full(50, 0.5))) == "lsgan"
    assert guess_objective(history(d_loss=d + 0.12, g_loss=np.full(50, 0.12))) == "lsgan"


def test_a_penalty_beside_a_loss_that_is_never_negative_is_anothers(tmp_path: Path) -> None:
    rows = "".join(f"G: {i % 7 - 1} | D: {1 + i % 3 / 2} | GP: 0.1\n" for i in range(200))
    assert read(write(tmp_path / "train.log", rows)).setup.objective == "hinge"
    rows = "".join(f"G: {i % 7 - 1} | D: {i % 3 - 2} | GP: 0.1\n" for i in range(200))
    assert read(write(tmp_path / "train.log", rows)).setup.objective == "wgan_gp"


@pytest.mark.parametrize(
    ("column", "objective"),
    [
        ("gp", "wgan_gp"),
        ("loss/gradient_penalty", "wgan_gp"),
        ("r1_gradient_penalty", "nsgan"),
        ("grad_norm", "nsgan"),
    ],
)
def test_a_gradient_penalty_is_a_wasserstein_critics(
    tmp_path: Path, column: str, objective: str
) -> None:
    log = csv(tmp_path, f"step,d_loss,g_loss,{column}\n0,0.7,0.8,1\n1,0.7,0.8,1\n")
    assert log.setup.objective == objective
