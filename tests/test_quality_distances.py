"""FID, KID, IS, precision and recall: by hand, by invariants, against golden values."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import fidelity
from wgan_jax.quality import distances
from wgan_jax.quality.distances import (
    InceptionScore,
    covariance_root,
    frechet_distance,
    kernel_distance,
    precision_recall,
    squared_mmd,
)

SHARED = Path(__file__).parents[1] / ".." / "shared" / "inception_golden" / "golden.npz"
NAMES = {  # torch-fidelity's
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance",
    "precision": "precision",
    "recall": "recall",
    "is_mean": "inception_score_mean",
    "is_std": "inception_score_std",
}
Floats = NDArray[np.float64]


def shuffled(n: int) -> NDArray[np.int64]:
    """Which image torch-fidelity puts at each place before it splits them, [n]."""
    return np.random.RandomState(2020).permutation(n)


def gaussian(features: NDArray[np.floating]) -> tuple[Floats, Floats]:
    wide = features.astype(np.float64)
    return wide.mean(axis=0), np.cov(wide, rowvar=False)


def measured(real: Floats, fake: Floats, logits: Floats) -> dict[str, float]:
    """All metrics of features [n, d] and of logits, which are split in the order given."""
    score = InceptionScore(len(logits), logits.shape[1])
    given = np.empty_like(logits)
    given[shuffled(len(logits))] = logits
    for batch in np.array_split(given, 7):
        score.add(batch)
    precision, recall = precision_recall(fake, real)
    mean, std = score.result()
    return {
        "fid": frechet_distance(*gaussian(fake), *gaussian(real)),
        "kid": squared_mmd(real[:500], fake[:500]),
        "precision": precision,
        "recall": recall,
        "is_mean": mean,
        "is_std": std,
    }


def test_all_agree_with_torch_fidelity() -> None:
    golden = np.load(fidelity.GOLDEN)
    logits = fidelity.logits()
    for name, value in measured(*fidelity.features(), logits[shuffled(len(logits))]).items():
        wanted = float(golden[f"metrics/{NAMES[name]}"])
        rel = 1e-7 if name in ("precision", "recall") else 1e-9  # torch-fidelity's are float32
        assert value == pytest.approx(wanted, rel=rel), name


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/inception_golden")
def test_all_agree_with_torch_fidelity_on_wide_features() -> None:
    golden = {name: value for name, value in np.load(SHARED).items() if name.startswith("metrics")}
    parts = (golden[f"metrics/{name}"] for name in ("real_features", "fake_features", "logits"))
    for name, value in measured(*parts).items():
        key = "kid_unbiased_mmd2_first500" if name == "kid" else name
        assert value == pytest.approx(float(golden[f"metrics/{key}"]), rel=1e-9), name


def test_frechet_distance_of_diagonal_gaussians_by_hand() -> None:
    # |1 - 0|^2 + (sqrt 4 - sqrt 1)^2 + (sqrt 9 - sqrt 1)^2 = 1 + 1 + 4
    distance = frechet_distance(
        np.array([1.0, 0]), np.diag([4.0, 9.0]), np.zeros(2), np.diag([1.0, 1.0])
    )
    assert distance == pytest.approx(6)


def test_frechet_distance_is_symmetric_and_zero_to_itself() -> None:
    random = np.random.default_rng(0)
    a, b = (gaussian(random.normal(size=(300, 20)) @ random.normal(size=(20, 20))) for _ in "ab")
    assert frechet_distance(*a, *b) == pytest.approx(frechet_distance(*b, *a), rel=1e-9)
    assert frechet_distance(*a, *a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(*a, *b, covariance_root(b[1])) == frechet_distance(*a, *b)


def test_a_distance_is_never_below_zero() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        one = gaussian(random.normal(size=(300, 20)) @ random.normal(size=(20, 20)))
        assert frechet_distance(*one, *one) >= 0


def test_singular_covariances_give_a_number() -> None:
    random = np.random.default_rng(0)
    few, fewer = random.normal(size=(5, 64)), random.normal(size=(3, 64))
    distance = frechet_distance(*gaussian(few), *gaussian(fewer))
    assert 0 < distance < math.inf
    collapsed = np.ones((10, 64))
    assert frechet_distance(*gaussian(collapsed), *gaussian(collapsed)) == 0


def test_root_squares_to_the_covariance() -> None:
    _, sigma = gaussian(np.random.default_rng(0).normal(size=(100, 30)))
    root = covariance_root(sigma)
    np.testing.assert_allclose(root @ root, sigma, atol=1e-12)
    np.testing.assert_allclose(root, root.T, atol=1e-12)


def test_what_is_not_finite_gives_nan() -> None:
    mean, sigma = np.zeros(2), np.eye(2)
    assert math.isnan(frechet_distance(np.full(2, np.nan), sigma, mean, sigma))
    assert math.isnan(frechet_distance(mean, sigma, mean, np.full((2, 2), np.inf)))


def test_squared_mmd_by_hand() -> None:
    # d = 1, k(x, y) = (x y + 1)^3. a = (0, 1), b = (1, 1):
    # within a: k(0, 1) = 1; within b: k(1, 1) = 8; between: (1 + 1 + 8 + 8) / 4 = 4.5.
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]])
    assert squared_mmd(a, b) == pytest.approx(1 + 8 - 2 * 4.5)


def test_squared_mmd_by_hand_in_two_dimensions() -> None:
    # d = 2, k(x, y) = (x . y / 2 + 1)^3. a = ((0, 0), (2, 0)), b = ((2, 0), (2, 0)):
    # within a: 1; within b: (4 / 2 + 1)^3 = 27; between: (1 + 1 + 27 + 27) / 4 = 14.
    a, b = np.array([[0.0, 0], [2, 0]]), np.array([[2.0, 0], [2, 0]])
    assert squared_mmd(a, b) == pytest.approx(1 + 27 - 2 * 14)


def test_subsets_of_kid_are_those_that_torch_fidelity_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """100 by one generator of seed 2020, first of `a`, then of `b`; std of the population."""
    monkeypatch.setattr(distances, "KID_SUBSET_SIZE", 20)
    random = np.random.default_rng(0)
    a, b = random.normal(size=(50, 3)), random.normal(size=(40, 3)) + 0.5
    draw = np.random.RandomState(2020)
    found = [
        squared_mmd(a[draw.choice(50, 20, replace=False)], b[draw.choice(40, 20, replace=False)])
        for _ in range(100)
    ]
    assert kernel_distance(a, b) == pytest.approx((np.mean(found), np.std(found)), rel=1e-12)


def test_kernel_distance_of_one_distribution_is_about_zero() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(400, 8)), random.normal(size=(500, 8))
    mean, std = kernel_distance(a, b)
    assert abs(mean) < 0.02
    assert kernel_distance(a, b + 1)[0] > 10 * abs(mean) + 10 * std


def test_kernel_distance_needs_two_images() -> None:
    assert all(math.isnan(value) for value in kernel_distance(np.ones((1, 4)), np.ones((9, 4))))


@pytest.mark.parametrize("n", [2, 1000])
def test_kernel_distance_of_one_subset_is_one_estimate_without_a_spread(n: int) -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(n, 4)), random.normal(size=(n, 4))
    mean, std = kernel_distance(a, b)
    assert mean == squared_mmd(a, b)
    assert math.isnan(std)


@pytest.mark.parametrize(("n", "m"), [(2, 3), (1001, 1001)])
def test_kernel_distance_of_subsets_that_differ_has_a_spread(n: int, m: int) -> None:
    random = np.random.default_rng(0)
    assert kernel_distance(random.normal(size=(n, 4)), random.normal(size=(m, 4)))[1] > 1e-5


def test_precision_and_recall_by_hand() -> None:
    # On a line: reals 0, 1, 2, 3 reach 3, 2, 2, 3; fakes 10, 4, 4.5, 5 reach 6, 6, 5.5, 5.
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    fake = np.array([[10.0], [4.0], [4.5], [5.0]])
    precision, recall = precision_recall(fake, real)
    assert precision == 3 / 4  # 4, 4.5 and 5 lie within 3 of 2 or 3
    assert recall == 1  # every real lies within 5 of 5 or 6 of 4


def test_precision_and_recall_of_a_set_with_itself_is_one() -> None:
    features = np.random.default_rng(0).normal(size=(1500, 16)) * 1e3
    assert precision_recall(features, features.copy()) == (1, 1)
    assert precision_recall(np.ones((9, 4)) / 3, np.ones((7, 4)) / 3) == (1, 1)


def test_copies_are_inside_though_their_distance_is_rounded() -> None:
    """Eight copies of each of five reals; fakes are copies of two of them: every radius is 0."""
    reals = np.random.default_rng(0).normal(size=(5, 2048)) + 1
    fakes = np.concatenate([np.tile(reals[0], (5, 1)), np.tile(reals[1], (4, 1))])
    assert precision_recall(fakes, np.tile(reals, (8, 1))) == (1, 2 / 5)


def test_precision_and_recall_need_four_images() -> None:
    assert all(math.isnan(value) for value in precision_recall(np.ones((3, 2)), np.ones((9, 2))))


def test_inception_score_of_sure_and_even_classes_is_their_number() -> None:
    logits = np.empty((200, 10))
    logits[shuffled(200)] = 100 * np.eye(10)[np.arange(200) % 10]  # each split has all classes
    score = InceptionScore(200, 10)
    score.add(logits)
    mean, std = score.result()
    assert mean == pytest.approx(10)
    assert std == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(score.class_shares(), 0.1)


def test_inception_score_of_a_set_sorted_by_class_is_that_of_its_classes() -> None:
    sure = 100 * np.eye(10)[np.arange(2000) // 200]
    score = InceptionScore(2000, 10)
    score.add(sure)
    mean, std = score.result()
    # By hand, where each image is sure of its class: exp of the entropy of a split's classes.
    shares = [
        np.bincount(part, minlength=10) / 200
        for part in np.split(np.arange(2000)[shuffled(2000)] // 200, 10)
    ]
    scores = [np.exp(-(share * np.log(share)).sum()) for share in shares]
    assert mean == pytest.approx(np.mean(scores)) == pytest.approx(9.8, abs=0.1)
    assert std == pytest.approx(np.std(scores))


def test_inception_score_of_one_class_is_one() -> None:
    score = InceptionScore(40, 10)
    score.add(np.tile(100 * np.eye(10)[3], (40, 1)))
    assert score.result() == pytest.approx((1, 0))


@pytest.mark.parametrize("size", [1, 7, 50, 97])
def test_inception_score_does_not_depend_on_batches(size: int) -> None:
    logits = np.random.default_rng(0).normal(size=(97, 12)) * 3
    whole, parts = InceptionScore(97, 12), InceptionScore(97, 12)
    whole.add(logits)
    for start in range(0, 97, size):
        parts.add(logits[start : start + size])
    assert parts.result() == pytest.approx(whole.result(), rel=1e-12)


def test_inception_score_needs_two_images_in_each_split() -> None:
    """A split of one image would score 1, whatever the image."""
    for n in (1, 9, 19):
        score = InceptionScore(n, 10)
        score.add(100 * np.eye(10)[np.arange(n) % 10])
        assert np.isnan(score.result()).all()
    score = InceptionScore(20, 10)
    logits = np.empty((20, 10))
    logits[shuffled(20)] = 100 * np.eye(10)[np.arange(20) % 10]
    score.add(logits)
    assert score.result() == pytest.approx((2, 0))


def test_sure_logits_of_any_size_have_a_score() -> None:
    score = InceptionScore(200, 10)
    score.add(2000 * np.eye(10)[np.arange(200) % 3])  # exp would overflow; seven classes never are
    assert 2.5 < score.result()[0] <= 3


def test_float32_features_come_to_float64_numbers() -> None:
    """A large mean would cost float32 its digits."""
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(300, 8)).astype(np.float32) + np.float32(1000) for _ in "ab")
    wide = a.astype(np.float64), b.astype(np.float64)
    assert squared_mmd(a, b) == squared_mmd(*wide)
    assert precision_recall(a, b) == precision_recall(*wide)
    logits = random.normal(size=(100, 10)).astype(np.float32) * 3
    scores = InceptionScore(100, 10), InceptionScore(100, 10)
    for score, given in zip(scores, (logits, logits.astype(np.float64)), strict=True):
        score.add(given)
    assert scores[0].result() == scores[1].result()
