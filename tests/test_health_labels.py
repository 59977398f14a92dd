"""Columns that say which run, or which part of one, a row is of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wgan_jax.errors import UserError
from wgan_jax.health.logs.runlog import read


def write(path: Path, rows: list[dict[str, object]], kind: str) -> Path:
    """Rows as one of the formats that have columns."""
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(kind.join(line) for line in lines) + "\n")
    return path


def run_of(label: object, first: int = 0, loss: float = 0.5) -> list[dict[str, object]]:
    return [{"step": first + i, "run": label, "d_loss": loss, "g_loss": 0.7} for i in range(10)]


@pytest.mark.parametrize("kind", [",", "\t", " ", "jsonl"])
@pytest.mark.parametrize("labels", [("a", "b"), (0, 1)])
def test_several_runs_in_one_table_are_refused(
    tmp_path: Path, kind: str, labels: tuple[object, object]
) -> None:
    path = write(tmp_path / "log", run_of(labels[0]) + run_of(labels[1], first=2), kind)
    said = f"holds 2 runs in one table .run: {labels[0]}, {labels[1]}.: give each run's rows in a"
    with pytest.raises(UserError, match=said):
        read(path)


def test_a_run_that_was_labelled_anew_as_it_went_on_is_one(tmp_path: Path) -> None:
    rows = run_of("a") + run_of("b", first=8, loss=0.6) + run_of("c", first=18)
    log = read(write(tmp_path / "log.csv", rows, ","))
    np.testing.assert_array_equal(log.history.epochs, np.arange(28))
    assert log.history["d_loss"][8] == 0.6


@pytest.mark.parametrize("kind", [",", "\t", " ", "jsonl"])
def test_of_rows_that_are_not_of_the_training_samples_alone_count(
    tmp_path: Path, kind: str
) -> None:
    rows: list[dict[str, object]] = []
    for step in range(5):
        rows.append({"step": step, "split": "train", "d_loss": 0.5, "fid": "nan"})
        rows.append({"step": step, "split": "val", "d_loss": 9.0, "fid": 50 - step})
    log = read(write(tmp_path / "log", rows, kind))
    np.testing.assert_array_equal(log.history["d_loss"], [0.5] * 5)
    np.testing.assert_array_equal(log.history["fid_score"], [50, 49, 48, 47, 46])
    assert "Of rows with split val the scores of samples alone are read." in log.notes


@pytest.mark.parametrize("word", ["train", "training", "Train"])
def test_rows_of_the_training_are_known_by_any_word_for_it(tmp_path: Path, word: str) -> None:
    rows: list[dict[str, object]] = [
        {"step": i // 2, "phase": (word, "val")[i % 2], "d_loss": i % 2} for i in range(20)
    ]
    log = read(write(tmp_path / "log.csv", rows, ","))
    np.testing.assert_array_equal(log.history["d_loss"], [0] * 10)


def test_phases_of_which_none_is_the_training_are_all_read(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"step": i, "phase": "warm" if i < 3 else "main", "d_loss": i} for i in range(6)
    ]
    log = read(write(tmp_path / "log.csv", rows, ","))
    np.testing.assert_array_equal(log.history["d_loss"], np.arange(6))
