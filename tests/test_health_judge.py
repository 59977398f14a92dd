"""The judge along a run: it reads what is new, forgets nothing, and takes a run rolled back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.made_up_losses import healthy_hinge, healthy_wgan, history, sparse
from wgan_jax.health.judge import Finding, Judge, Setup, Verdict, judge
from wgan_jax.health.past import KEYS, Past
from wgan_jax.health.series import CAPACITY
from wgan_jax.history import History


def failing_columns(rows: int) -> dict[str, np.ndarray]:
    columns = healthy_hinge(rows)
    columns["d_loss"][rows // 2 :] = 0.001
    columns["g_loss"][rows // 2 :] += 2
    columns["fid_score"] = sparse(rows, rows // 50, np.linspace(200, 100, 50))
    return columns


@pytest.mark.parametrize("rows", [900, 9000])
def test_a_judge_that_goes_along_ends_with_the_verdict_of_one_that_comes_late(rows: int) -> None:
    whole = history(**failing_columns(rows))
    along = Judge(Setup("hinge"))
    for epoch in range(0, rows, 137):
        said = along.update(whole.until(epoch))
        assert said == judge(whole.until(epoch), Setup("hinge"))
    assert along.update(whole) == judge(whole, Setup("hinge"))


@pytest.mark.parametrize(
    ("losses", "scores", "opening", "enough"),
    [
        (99, 4, 0, False),
        (100, 0, 0, True),
        (60, 5, 0, True),
        (0, 5, 0, True),
        (150, 0, 150, True),
        (150, 0, 151, False),
        (150, 5, 151, True),
    ],
)
def test_a_verdict_says_whether_there_was_enough_for_one(
    losses: int, scores: int, opening: int, enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wgan_jax.health.judge.RULES", ())  # nothing is found
    gaps = np.full((2, 150), np.nan)
    gaps[0, :losses] = gaps[1, :scores] = 1.0
    said = judge(history(d_loss=gaps[0], fid_score=gaps[1]), Setup("wgan", opening=opening))
    assert said.judged is enough
    assert said.word == said.line() == said.to_dict()["verdict"]
    assert said.word == ("healthy" if enough else "not judged")


def test_what_was_found_is_a_verdict_however_little_there_is() -> None:
    finding = Finding("rule", "cause", "warning", "1 > 0", 2, "mend", "book")
    assert Verdict.of([finding], enough=False).word == "warning"


def test_a_growing_history_is_read_once() -> None:
    class Counted(History):
        counted = 0

        def __getitem__(self, key: str) -> np.ndarray:
            return super().__getitem__(key).view(Slices)

    class Slices(np.ndarray):
        def __getitem__(self, item: Any) -> Any:
            part = np.asarray(self)[item]
            Counted.counted += part.size if isinstance(part, np.ndarray) else 0
            return part

    growing, along = Counted(), Judge(Setup("hinge"))
    for i in range(10):
        epochs = np.arange(100 * i, 100 * i + 100)
        growing.extend(epochs, {key: np.ones(100) for key in ("d_loss", "g_loss")})
        before = Counted.counted
        along.update(growing)
        assert Counted.counted - before <= 4 * 100


def test_memory_is_bounded() -> None:
    past, long = Past(Setup("wgan")), History()
    for i in range(20):
        epochs = np.arange(50_000 * i, 50_000 * (i + 1))
        long.extend(epochs, {key: np.ones(50_000) for key in KEYS})
        past.add(long)
    assert all(len(past.values(key)) <= CAPACITY for key in KEYS)


def test_a_run_that_was_rolled_back_is_judged_by_what_is_left() -> None:
    bad = healthy_hinge()
    bad["d_loss"][500:] = np.inf
    along = Judge(Setup("hinge"))
    assert along.update(history(**bad)).verdict == "failing"
    back = history(**bad).until(499)
    assert along.update(back).verdict == "healthy"
    again = History()
    again.extend(back.epochs, {key: back[key] for key in back})
    good = healthy_hinge()
    again.extend(np.arange(500, 1000), {key: column[500:] for key, column in good.items()})
    assert along.update(again).verdict == "healthy"


def test_nan_that_comes_chunk_by_chunk_is_divergence_from_the_first() -> None:
    columns = {**healthy_wgan(), "clip_ratio": np.full(1000, 0.1)}
    columns["d_loss"][640:] = np.nan
    whole, along = history(**columns), Judge(Setup("wgan"))
    onsets = {along.update(whole.until(epoch)).onset_epoch for epoch in range(599, 1000, 100)}
    assert onsets == {None, 640}


def test_an_empty_history_is_not_judged() -> None:
    assert Judge(Setup("wgan")).update(History()) == Verdict("healthy", None, (), judged=False)


def finding(
    rule: str, verdict: str, onset: int, inferred: bool = False, cause: str = ""
) -> Finding:
    cause = cause or f"cause of {rule}"
    return Finding(rule, cause, verdict, "1 > 0", onset, "mend", "book", inferred)  # type: ignore[arg-type]


def test_a_verdict_is_the_worst_finding_and_what_was_measured_goes_first() -> None:
    verdict = Verdict.of(
        [
            finding("a", "warning", 1),
            finding("b", "failing", 5, inferred=True),
            finding("c", "failing", 7),
        ]
    )
    assert (verdict.verdict, verdict.onset_epoch) == ("failing", 7)
    assert verdict.causes == ("cause of c", "cause of b")
    assert [f.rule for f in verdict.findings] == ["c", "b", "a"]
    assert verdict.advice == ("mend",)
    assert verdict.line() == "failing since epoch 7: cause of c (1 > 0)"
    assert verdict.to_dict()["findings"][0]["rule"] == "c"


def test_a_verdict_holds_since_any_finding_first_saw_its_cause() -> None:
    verdict = Verdict.of(
        [
            finding("a", "failing", 65, cause="divergence"),
            finding("b", "failing", 50, inferred=True, cause="divergence"),
            finding("c", "warning", 20, cause="divergence"),
            finding("d", "failing", 10, inferred=True, cause="another"),
        ]
    )
    assert [f.rule for f in verdict.findings] == ["a", "d", "b", "c"]
    assert verdict.onset_epoch == 50
    assert verdict.line() == "failing since epoch 50: divergence (1 > 0)"
