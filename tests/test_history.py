"""Columns over epochs: growing, gaps, and what is read back."""

import json
from pathlib import Path

import numpy as np
import pytest

from wgan_jax import history as histories
from wgan_jax.history import History


def test_epochs_played() -> None:
    history = History()
    assert history.played == 0
    history.extend(np.array([0, 4]), {"d_loss": np.array([1.0, 2.0])})
    assert history.played == 5


def test_columns_grow_and_gaps_are_nan() -> None:
    history = History()
    history.extend(np.arange(3), {"a": np.array([1.0, 2.0, 3.0])})
    history.extend(np.arange(3, 5), {"b": np.array([7.0, np.nan])})
    assert len(history) == 5
    np.testing.assert_array_equal(history["a"], [1, 2, 3, np.nan, np.nan])
    epochs, values = history.measured("b")
    assert (epochs.tolist(), values.tolist()) == ([3], [7.0])
    assert "c" not in history
    assert np.isnan(history.get("c")).all()
    with pytest.raises(KeyError, match=r"'c' was never measured: history\.keys\(\) names what was"):
        history["c"]


@pytest.mark.parametrize("epochs", [[1, 1], [2, 1], [0]])
def test_epochs_must_increase(epochs: list[int]) -> None:
    history = History()
    history.extend(np.array([0]), {})
    with pytest.raises(ValueError, match="increase strictly"):
        history.extend(np.array(epochs), {})


def test_many_small_chunks() -> None:
    history = History()
    for i in range(1000):
        history.extend(np.array([2 * i]), {"a": np.array([float(i)])})
    np.testing.assert_array_equal(history["a"], np.arange(1000))
    assert history.epochs[-1] == 1998


def test_until_is_a_copy() -> None:
    history = History()
    history.extend(np.array([0, 10, 20]), {"a": np.array([1.0, 2.0, 3.0])})
    shorter = history.until(15)
    assert shorter["a"].tolist() == [1.0, 2.0]
    assert history.until(10)["a"].tolist() == [1.0, 2.0]  # that epoch included
    shorter.extend(np.array([16]), {"a": np.array([9.0])})
    assert history["a"].tolist() == [1.0, 2.0, 3.0]


def test_what_json_lines_hold(tmp_path: Path) -> None:
    """Texts are left out, non-finite numbers come back, a line cut short is not read."""
    rows = [
        {"epoch": 0, "a": 1, "verdict": "healthy", "flag": True, "protocol": {"n": 3}},
        {"epoch": 1, "a": "NaN", "b": "-Infinity"},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"epoch": 2, "a"')
    history = History.read(path)
    assert history.epochs.tolist() == [0, 1]
    assert set(history.keys()) == {"a", "b"}
    np.testing.assert_array_equal(history["a"], [1, np.nan])
    np.testing.assert_array_equal(history["b"], [np.nan, -np.inf])


def test_rows_are_read_in_batches_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"epoch": i, "d_loss": i / 8} for i in range(10)]
    rows[7]["fid_score"] = 3.0  # a key of one batch only
    at_once = History.from_rows(rows)
    monkeypatch.setattr(histories, "_BATCH", 3)
    batched = History.from_rows(iter(rows))
    assert batched.keys() == at_once.keys() == ("d_loss", "fid_score")
    assert len(batched) == 10
    for key in ("d_loss", "fid_score"):
        np.testing.assert_array_equal(batched[key], at_once[key])
