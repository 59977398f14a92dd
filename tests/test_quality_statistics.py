"""Streaming statistics, their files and their protocols."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wgan_jax.errors import UserError
from wgan_jax.quality.compare import compare
from wgan_jax.quality.statistics import Collector, Moments, Protocol, Reservoir, Statistics, load

PROTOCOL = Protocol("inception", "public", "ab" * 32, "tf1")


def collected(
    n: int, dim: int = 6, shift: float = 0, seed: int = 0, classes: int = 10
) -> Statistics:
    random = np.random.default_rng(seed)
    collector = Collector(PROTOCOL, f"set{seed}", n, dim, classes)
    collector.add(random.normal(size=(n, dim)) + shift, random.normal(size=(n, classes)))
    return collector.statistics()


@pytest.mark.parametrize("size", [1, 13, 100])
def test_streaming_moments_equal_those_of_all_rows(size: int) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 5)) + 1e6  # a mean that would cost digits
    moments = Moments(5)
    for start in range(0, 100, size):
        moments.add(rows[start : start + size])
    moments.add(rows[:0])
    assert moments.n == 100
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        moments.covariance(), np.cov(rows, rowvar=False), rtol=1e-8, atol=1e-9
    )


def test_moments_of_float32_rows_are_float64() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 8)).astype(np.float32) + np.float32(1000)
    moments = Moments(8)
    for part in np.split(rows, 3):
        moments.add(part)
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(moments.mean, wide.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance(), np.cov(wide, rowvar=False), atol=1e-9)


@pytest.mark.parametrize("size", [64, 3000])
def test_batches_of_any_size_come_to_the_same(size: int) -> None:
    random = np.random.default_rng(0)
    features, logits = random.normal(size=(5000, 4)), random.normal(size=(5000, 10))
    made = []
    for step in (size, 5000):
        collector = Collector(PROTOCOL, "set", 5000, 4, 10)
        for start in range(0, 5000, step):
            stop = start + step
            collector.add(features[start:stop], logits[start:stop])
        made.append(collector.statistics())
    batches, whole = made
    assert batches.n == whole.n == 5000
    np.testing.assert_allclose(batches.mu, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(batches.sigma, np.cov(features, rowvar=False), rtol=1e-10)
    np.testing.assert_array_equal(batches.features, whole.features)
    assert batches.score == pytest.approx(whole.score)


def test_one_row_has_no_covariance() -> None:
    moments = Moments(2)
    moments.add(np.ones((1, 2)))
    assert np.isnan(moments.covariance()).all()


def test_reservoir_keeps_all_until_it_is_full_and_then_an_even_sample() -> None:
    few, many = Reservoir(1, size=100), Reservoir(1, size=100)
    few.add(np.arange(100.0)[:, None])
    np.testing.assert_array_equal(few.rows[:, 0], np.arange(100))
    for start in range(0, 10_000, 64):
        many.add(np.arange(start, min(start + 64, 10_000), dtype=float)[:, None])
    kept = many.rows[:, 0]
    assert len(np.unique(kept)) == 100
    assert (np.diff(kept) > 0).all()  # in the order they came
    assert kept.mean() == pytest.approx(5000, abs=4 * 10_000 / np.sqrt(12 * 100))


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    statistics = collected(50).with_root()
    statistics.save(tmp_path / "s.npz")
    again = load(tmp_path / "s.npz")
    for name in ("mu", "sigma", "root", "features", "class_shares"):
        np.testing.assert_array_equal(getattr(again, name), getattr(statistics, name))
    assert (again.protocol, again.n, again.score) == (PROTOCOL, 50, statistics.score)
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


def test_a_score_by_another_rule_is_left_in_its_file(tmp_path: Path) -> None:
    statistics = collected(50)
    statistics.save(tmp_path / "s.npz")
    arrays = dict(np.load(tmp_path / "s.npz"))
    about = json.loads(str(arrays["about"]))
    assert about.pop("is_splits") == "10 shuffled by 2020"  # files of earlier versions lack it
    np.savez(tmp_path / "old.npz", **arrays | {"about": np.array(json.dumps(about))})
    old = load(tmp_path / "old.npz")
    assert old.scores() == {}
    assert compare(collected(100), old).values["fid_score"] > 0


def test_other_tools_read_mu_and_sigma(tmp_path: Path) -> None:
    statistics = collected(50)
    statistics.save(tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        np.testing.assert_array_equal(file["mu"], statistics.mu)
        np.testing.assert_array_equal(file["sigma"], statistics.sigma)


def test_a_plain_file_is_taken_with_the_protocol_its_user_names(tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    np.savez(path, mu=np.zeros(6), sigma=np.eye(6))
    with pytest.raises(UserError, match="--protocol"):
        load(path)
    plain = load(path, Protocol("inception", "public", "", "tf1"))
    comparison = compare(collected(50), plain)
    assert comparison.values["fid_score"] > 0
    assert "kid_mean" not in comparison.values
    assert any("does not say how many images" in caveat for caveat in comparison.caveats)
    with pytest.raises(UserError, match="protocols do not compare"):
        compare(collected(50), replace(plain, protocol=replace(plain.protocol, resize="pytorch")))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(3)}, "lacks mu and sigma"),
        ({"mu": np.zeros(3), "sigma": np.eye(4)}, "do not fit"),
        ({"mu": np.full(3, np.nan), "sigma": np.eye(3)}, "not finite"),
        ({"mu": np.zeros(3), "sigma": np.full((3, 3), np.inf)}, "not finite"),
        ({"mu": np.zeros(3), "sigma": np.eye(3), "about": np.array("{")}, "damaged"),
    ],
)
def test_a_file_that_is_no_statistics_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        load(tmp_path / "x.npz", PROTOCOL)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    collected(50).save(tmp_path / "s.npz")
    whole = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "s.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a whole"):
        load(tmp_path / "s.npz")


@pytest.mark.parametrize(
    "change", [{"resize": "pytorch"}, {"encoder": "digits"}, {"digest": "c"}, {"dtype": "bfloat16"}]
)
def test_other_protocols_are_refused(change: dict[str, str]) -> None:
    other = replace(collected(50, seed=1), protocol=replace(PROTOCOL, **change))
    with pytest.raises(UserError, match="protocols do not compare"):
        compare(collected(50), other)


def test_enough_images_give_every_number_and_no_caveat() -> None:
    comparison = compare(collected(1001), collected(1001, shift=1, seed=1))
    assert set(comparison.values) == {
        *("fid_score", "kid_mean", "kid_std", "precision", "recall"),
        *("inception_score_mean", "inception_score_std"),
    }
    assert comparison.values["fid_score"] == pytest.approx(6, rel=0.2)  # 6 dimensions, 1 apart
    assert not comparison.caveats


@pytest.mark.parametrize(
    ("n", "m", "caveat"),
    [
        (50, 50, "KID has no ±: every subset would be all images of both sides"),
        (1000, 1000, "KID has no ±: every subset would be all images of both sides"),
        (50, 60, "KID's ± leaves out the spread of set0: all its images are in every subset"),
        (1001, 1000, "KID's ± leaves out the spread of set1: all its images are in every subset"),
    ],
)
def test_a_side_that_every_subset_holds_whole_adds_nothing_to_the_spread_of_kid(
    n: int, m: int, caveat: str
) -> None:
    comparison = compare(collected(n), collected(m, seed=1))
    assert "kid_mean" in comparison.values
    assert ("kid_std" in comparison.values) == (n != m)
    assert [line for line in comparison.caveats if "±" in line] == [caveat]


@pytest.mark.parametrize(("n", "classes", "few"), [(990, 1008, True), (1000, 1008, False)])
def test_a_score_needs_100_images_a_split_however_many_classes_there_are(
    n: int, classes: int, few: bool
) -> None:
    caveats = compare(collected(n, classes=classes), collected(100), all_distances=False).caveats
    assert any("IS is biased" in caveat for caveat in caveats) == few


@pytest.mark.parametrize(
    ("n", "absent", "caveat"),
    [
        (6, set(), "singular"),
        (3, {"precision", "recall"}, "no precision and recall"),
        (1, {"fid_score", "kid_mean", "precision"}, "a covariance needs 2"),
        (19, {"inception_score_mean"}, "no IS: it needs 20 images"),
        (20, set(), "IS is biased downwards: a split of 2 images scores 2 at most"),
    ],
)
def test_few_images_give_a_caveat_for_what_is_missing(
    n: int, absent: set[str], caveat: str
) -> None:
    comparison = compare(collected(n), collected(100, seed=1))
    assert not absent & set(comparison.values)
    assert any(caveat in line for line in comparison.caveats)
    assert np.isfinite(list(comparison.values.values())).all()


def test_a_side_that_keeps_a_sample_of_its_images_is_said() -> None:
    whole = collected(50)
    many = replace(collected(60, seed=1), n=20_000)
    said = "KID, precision and recall use 60 of the 20000 images of set1, drawn evenly"
    assert said in compare(whole, many).caveats
    assert said in compare(many, whole).caveats


def test_small_subsets_of_kid_are_said() -> None:
    caveats = compare(collected(60), collected(50, seed=1)).caveats
    assert "KID uses subsets of 50 images, not 1000" in caveats


def test_statistics_of_other_dimensions_are_refused() -> None:
    with pytest.raises(UserError, match="set1 has 5 feature dimensions, set0 6"):
        compare(collected(50), collected(50, dim=5, seed=1))
