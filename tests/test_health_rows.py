"""Rows of anyone's log in order: steps that start anew, gaps, and what is lost for good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wgan_jax.health.judge import judge
from wgan_jax.health.logs.runlog import RunLog, read


def csv(tmp_path: Path, header: str, rows: list[str]) -> RunLog:
    path = tmp_path / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read(path)


BATCHES = [f"{i // 4},{i % 4},{i},{-i}" for i in range(20)]


@pytest.mark.parametrize("fine", ["batch", "iter", "step", "iteration"])
def test_steps_that_start_anew_with_each_epoch_are_counted(tmp_path: Path, fine: str) -> None:
    log = csv(tmp_path, f"epoch,{fine},d_loss,g_loss", BATCHES)
    np.testing.assert_array_equal(log.history.epochs, np.arange(20))
    np.testing.assert_array_equal(log.history["d_loss"], np.arange(20))
    assert log.notes == ("Steps start anew with each epoch: rows are counted, 4 an epoch.",)


def test_they_are_ordered_by_epoch_and_step(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,batch,d_loss,g_loss", BATCHES[10:] + BATCHES[:10])
    np.testing.assert_array_equal(log.history["d_loss"], np.arange(20))
    assert "rows are sorted" in log.notes[1]


def test_one_row_of_the_same_step_in_each_epoch_starts_anew_too(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,batch,d_loss", ["0,99,1", "1,99,2", "2,99,3"])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3])


def test_a_score_with_an_epoch_alone_belongs_to_the_last_step_of_it(tmp_path: Path) -> None:
    rows = ["0,0,1,", "0,1,2,", "0,,,50", "1,0,3,", "1,1,4,", "1,,,40"]
    log = csv(tmp_path, "epoch,batch,d_loss,fid", rows)
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3, 4])
    np.testing.assert_array_equal(log.history["fid_score"], [np.nan, 50, np.nan, 40])


def test_steps_that_go_on_over_the_epochs_are_the_axis(tmp_path: Path) -> None:
    rows = [f"{i // 4},{10 * i},{i},0" for i in range(20)]
    log = csv(tmp_path, "epoch,step,d_loss,g_loss", rows)
    np.testing.assert_array_equal(log.history.epochs, 10 * np.arange(20))
    assert log.notes == ()


def test_a_step_within_an_epoch_beside_one_over_all_of_them_is_no_epoch(tmp_path: Path) -> None:
    rows = [f"{i % 4},{10 * i},{i},0" for i in range(20)]
    log = csv(tmp_path, "step,global_step,d_loss,g_loss", rows)
    np.testing.assert_array_equal(log.history.epochs, 10 * np.arange(20))
    np.testing.assert_array_equal(log.history["d_loss"], np.arange(20))
    assert log.notes == ()


def test_a_loss_that_is_lost_in_a_later_epoch_is_lost(tmp_path: Path) -> None:
    rows = [f"{i // 4},{i % 4},{i if i < 9 else 'nan'},0" for i in range(20)]
    log = csv(tmp_path, "epoch,batch,d_loss,g_loss", rows)
    assert np.flatnonzero(np.isinf(log.history["d_loss"])).tolist() == [9]


def test_of_rows_that_repeat_an_epoch_a_nan_that_stays_is_the_last_value(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss", ["0,1", "1,2", "2,3", "2,nan"])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, np.inf])
    log = csv(tmp_path, "epoch,d_loss", ["0,1", "1,nan", "1,2", "2,3"])
    np.testing.assert_array_equal(log.history["d_loss"], [1, 2, 3])


def padded(rows: int, every: int = 10) -> list[str]:
    """Losses in every row, FID in each tenth, and NaN where there is none."""
    fids = ("NaN" if i % every else str(100 - i) for i in range(rows))
    return [f"{i},0.5,0.7,{fid}" for i, fid in enumerate(fids)]


def test_losses_padded_beside_a_last_fid_are_a_gap(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss,g_loss,fid", [*padded(30), "30,NaN,NaN,60"])
    assert np.isnan(log.history["d_loss"][-1])
    assert np.isnan(log.history["g_loss"][-1])
    assert log.history["fid_score"][-1] == 60


@pytest.mark.parametrize(
    "end",
    [
        ["30,NaN,NaN,60", "31,NaN,NaN,NaN"],
        ["30,0.5,0.7,60", "31,NaN,NaN,NaN"],
        ["30,NaN,0.7,60", "31,NaN,0.7,NaN"],
    ],
)
def test_losses_that_are_nan_beside_nothing_new_are_lost(tmp_path: Path, end: list[str]) -> None:
    log = csv(tmp_path, "epoch,d_loss,g_loss,fid", [*padded(30), *end])
    assert np.flatnonzero(np.isinf(log.history["d_loss"])).tolist() == [31]


def test_losses_that_are_nan_beside_what_every_row_has_are_lost(tmp_path: Path) -> None:
    log = csv(tmp_path, "epoch,d_loss,g_loss,fid", [*padded(30, every=1), "30,NaN,NaN,60"])
    assert np.isinf(log.history["d_loss"][-1])


def test_networks_logged_in_turns_end_in_a_gap(tmp_path: Path) -> None:
    rows = [f"{i},NaN,0.7" if i % 2 else f"{i},0.5,NaN" for i in range(20)]
    log = csv(tmp_path, "step,d_loss,g_loss", rows)
    assert not np.isinf(log.history["d_loss"]).any()
    assert not np.isinf(log.history["g_loss"]).any()


@pytest.mark.parametrize("empty", ["", "null"])
def test_losses_that_end_before_the_log_does_are_said(tmp_path: Path, empty: str) -> None:
    rows = [f"{10 * i},{0.5 if i < 8 else empty},{0.7 if i < 8 else empty},1" for i in range(20)]
    log = csv(tmp_path, "step,d_loss,g_loss,lr", rows)
    (note,) = log.notes
    assert note.startswith("d_loss and g_loss: no value after 70, in the last 12 rows.")
    assert not np.isinf(log.history["d_loss"]).any()


@pytest.mark.parametrize(("measured", "said"), [(90, True), (91, False)])
def test_losses_may_end_in_the_last_tenth(tmp_path: Path, measured: int, said: bool) -> None:
    rows = [f"{i},{1 if i < measured else ''},3" for i in range(100)]
    notes = csv(tmp_path, "step,d_loss,g_loss", rows).notes
    assert any("no value after 89, in the last 10 rows" in note for note in notes) is said


def test_losses_that_end_before_the_last_scores_do_are_not_said(tmp_path: Path) -> None:
    scores = [f"{30 + i},,,60" for i in range(10)]
    log = csv(tmp_path, "epoch,d_loss,g_loss,fid", [*padded(30), *scores])
    assert log.notes == ()


@pytest.mark.parametrize("nan", ["nan(ind)", "-nan(ind)", "-nan", "1.#QNAN", "-1.#IND", "1.#QNAN0"])
def test_a_nan_is_one_however_it_is_written(tmp_path: Path, nan: str) -> None:
    log = csv(tmp_path, "step,d_loss", ["0,1", f"1,{nan}", f"2,{nan}"])
    assert np.flatnonzero(np.isinf(log.history["d_loss"])).tolist() == [1]
    assert log.notes == ()
    path = tmp_path / "train.log"
    path.write_text(f"step 0 d_loss: 1\nstep 1 d_loss: {nan}\nstep 2 d_loss: {nan} lr 1\n")
    assert np.flatnonzero(np.isinf(read(path).history["d_loss"])).tolist() == [1]


def attempt(first: int, last: int, loss: str = "0.5") -> list[str]:
    return [f"{step},{loss},0.7," for step in range(first, last + 1)]


def test_of_a_run_that_was_taken_up_again_the_rows_given_up_are_left_out(tmp_path: Path) -> None:
    given_up = [*attempt(0, 29), "25,,,90", *attempt(30, 39, "nan")]
    log = csv(tmp_path, "step,d_loss,g_loss,fid", [*given_up, *attempt(20, 24, "0.6")])
    np.testing.assert_array_equal(log.history.epochs, np.arange(25))
    np.testing.assert_array_equal(log.history["d_loss"], [0.5] * 20 + [0.6] * 5)
    assert np.isnan(log.history["fid_score"]).all()
    assert log.notes == ("The run was taken up again at 20: 21 rows of before are left out.",)


def test_of_two_runs_in_one_file_the_last_is_read(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,d_loss,g_loss,fid", [*attempt(0, 39), *attempt(0, 19, "0.6")])
    np.testing.assert_array_equal(log.history["d_loss"], [0.6] * 20)


@pytest.mark.parametrize(
    "late", [[f"{step},,,{90 - step}" for step in range(0, 40, 10)], ["5,0.5,0.7,"]]
)
def test_late_scores_and_a_row_out_of_order_are_no_new_attempt(
    tmp_path: Path, late: list[str]
) -> None:
    log = csv(tmp_path, "step,d_loss,g_loss,fid", [*attempt(0, 39), *late])
    np.testing.assert_array_equal(log.history.epochs, np.arange(40))
    assert log.notes[0] == "Epochs go back 1 times: rows are sorted."


@pytest.mark.parametrize(
    ("pieces", "rows", "note"),
    [
        (10, 9, "The run was taken up again at 5,"),  # 9 of 90 rows
        (12, 9, "Epochs go back 11 times: rows are sorted."),  # 11 of 108
        (101, 20, "The run was taken up again at 5,"),
        (102, 20, "Epochs go back 101 times: rows are sorted."),
    ],
)
def test_rows_of_which_more_than_a_tenth_or_100_go_back_are_sorted(
    tmp_path: Path, pieces: int, rows: int, note: str
) -> None:
    steps = (step for k in range(pieces) for step in range(5 * k, 5 * k + rows))
    log = csv(tmp_path, "step,d_loss", [f"{step},1" for step in steps])
    assert log.notes[0].startswith(note)


@pytest.mark.parametrize("runs", [2, 3, 4, 5])
def test_of_runs_appended_to_one_file_the_last_is_read(tmp_path: Path, runs: int) -> None:
    rows = [f"{e},{run}.{e:03}" for run in range(runs) for e in range(100)]
    log = csv(tmp_path, "epoch,d_loss", rows)
    np.testing.assert_array_equal(log.history.epochs, np.arange(100))
    np.testing.assert_allclose(log.history["d_loss"], runs - 1 + np.arange(100) / 1000)
    assert "The run was taken up again at 0" in log.notes[0]


@pytest.mark.parametrize(
    ("every", "notes"), [(40, ("2 NaN in d_loss with numbers after",)), (3, ())]
)
def test_few_nan_amid_a_loss_are_said(tmp_path: Path, every: int, notes: tuple[str, ...]) -> None:
    log = csv(tmp_path, "step,d_loss", [f"{i},{'nan' if i % every == 1 else 1}" for i in range(80)])
    assert np.isfinite(log.history["d_loss"]).sum() == 80 - len(range(1, 80, every))
    assert tuple(note[:34] for note in log.notes) == notes


def test_steps_that_start_anew_without_an_epoch_are_counted(tmp_path: Path) -> None:
    log = csv(tmp_path, "batch,d_loss", [f"{i % 20},{i}" for i in range(100)])
    np.testing.assert_array_equal(log.history["d_loss"], np.arange(100))
    assert log.notes == ("Steps start anew again and again: rows are counted.",)


def test_steps_that_do_not_end_alike_do_not_start_anew(tmp_path: Path) -> None:
    steps = (step for last in (5, 6, 7, 8) for step in range(last))
    log = csv(tmp_path, "batch,d_loss", [f"{step},1" for step in steps])
    np.testing.assert_array_equal(log.history.epochs, np.arange(8))


WAITS = [f"{i},0.0,{-0.02 + i / 1e4},0.3" for i in range(60)]
PLAYS = [f"{i},{0.9 + i % 7 / 50},{0.1 + i % 5 / 50},0.2" for i in range(60, 100)]


def test_a_critic_that_joins_later_has_no_past(tmp_path: Path) -> None:
    """VQGAN's `disc_start`: D is exactly 0 until then, and G is scored by an untrained critic."""
    log = csv(tmp_path, "iteration,disc_loss,g_loss,rec_loss", [*WAITS, *PLAYS])
    for key in ("d_loss", "g_loss"):
        assert log.history.measured(key)[0].tolist() == list(range(60, 100))
    assert log.notes[0] == (
        "D is 0 until iteration 60, where its critic joins: losses before are left out."
    )
    assert log.setup.opening == 60 + 1000
    assert not judge(log.history, replace(log.setup, opening=0)).findings


def test_of_a_critic_that_has_not_joined_nothing_is_said(tmp_path: Path) -> None:
    log = csv(tmp_path, "step,disc_loss,g_loss,rec_loss", WAITS)
    assert len(log.history.measured("d_loss")[0]) == 0
    assert judge(log.history, log.setup).word == "not judged"
    assert "not joined yet" in log.notes[0]


@pytest.mark.parametrize(
    "rows",
    [
        [f"{i},0.0,9,1" for i in range(200)],
        [f"{i},{0.02 * (i % 50 == 49)},9,1" for i in range(200)],
        [f"{i},{0.0001 * (i > 99)},9,1" for i in range(200)],
        [f"{i},{float(i == 0)},9,1" for i in range(200)],
    ],
)
def test_a_critic_that_has_won_is_not_one_that_joins_later(tmp_path: Path, rows: list[str]) -> None:
    log = csv(tmp_path, "step,d_loss,g_loss,l1_loss", rows)
    assert len(log.history.measured("d_loss")[0]) == 200
    assert "critic overpowered" in judge(log.history, log.setup).causes


def test_without_another_teacher_no_critic_is_waited_for(tmp_path: Path) -> None:
    """The guide's dead critic: a gap of exactly 0, as of features that are all 0."""
    log = csv(tmp_path, "epoch,d_loss,g_loss", [f"{i},0.0,-0.02" for i in range(200)])
    assert judge(log.history, replace(log.setup, objective="wgan")).causes == ("dead critic",)
