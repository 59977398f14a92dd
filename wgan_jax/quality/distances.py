"""Distances between sets of features, and scores of sets of logits: float64 numpy, on the host.

Features are [n, d], one row per image; logits [n, classes]. What cannot be computed from so few
images is NaN here, never an exception from inside a library; `quality.compare` turns such
NaNs into caveats. The formulas, with their sources, are in docs/metrics.md.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating]

# torch-fidelity's, their seeds included.
IS_SPLITS, IS_SEED = 10, 2020
IS_RULE = f"{IS_SPLITS} shuffled by {IS_SEED}"  # by which a score that was kept is known
KID_SUBSETS, KID_SUBSET_SIZE, KID_SEED = 100, 1000, 2020
NEIGHBOURS = 3  # Kynkaanniemi et al. 2019
_BLOCK = 1024  # rows of a distance matrix held at a time


def _one_thread() -> AbstractContextManager[object]:
    """Linear algebra on one thread while it lasts.

    An eigenvalue solver's threads wait for each other thousands of times. Where other programs hold
    the cores, that made one FID of 2048 dimensions take 29 s, and 3 s on one thread; on idle cores
    a second thread saves less than a second.
    """
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def covariance_root(sigma: Floats) -> Floats:
    """The symmetric square root of a covariance [d, d]; eigenvalues below 0 count as 0."""
    with _one_thread():
        values, vectors = scipy.linalg.eigh(sigma, driver="evd", check_finite=False)
        root: Floats = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def frechet_distance(
    mean_a: Floats, sigma_a: Floats, mean_b: Floats, sigma_b: Floats, root_b: Floats | None = None
) -> float:
    """Squared Fréchet distance of two Gaussians: the FID (Heusel et al. 2017).

    The trace of (sigma_a sigma_b)^1/2 is the sum of the square roots of the eigenvalues of the
    symmetric root_b sigma_a root_b, which are real and, round-off apart, not negative. That holds
    for singular covariances too, where a general matrix square root fails or turns complex.

    Args:
      mean_a, mean_b: [d].
      sigma_a, sigma_b: [d, d].
      root_b: `covariance_root(sigma_b)` where it is known; saves about half of the time.

    Returns:
      The distance, 0 at least; NaN if anything given is not finite.
    """
    if not all(np.isfinite(part).all() for part in (mean_a, sigma_a, mean_b, sigma_b)):
        return float("nan")
    root = covariance_root(sigma_b) if root_b is None else root_b
    with _one_thread():
        values = scipy.linalg.eigvalsh(root @ sigma_a @ root, check_finite=False)
    cross = np.sqrt(np.clip(values, 0, None)).sum()
    difference = mean_a - mean_b
    distance = difference @ difference + np.trace(sigma_a) + np.trace(sigma_b) - 2 * cross
    return max(float(distance), 0.0)


def kernel_distance(a: AnyFloats, b: AnyFloats) -> tuple[float, float]:
    """KID (Bińkowski et al. 2018): mean and population std of MMD² over 100 random subsets.

    The subsets are drawn as torch-fidelity draws them by default (`--input1` a, `--input2` b). Of
    fewer than 1,000 images on a side, subsets have as many as there are on the smaller.

    Args:
      a, b: features [n, d] and [m, d]; two rows at least on each side, or the result is NaN. Where
        every subset would be all of both sides, there is one estimate, and the std is NaN.
    """
    size = min(KID_SUBSET_SIZE, len(a), len(b))
    if size < 2:
        return float("nan"), float("nan")
    if size == len(a) == len(b):
        return squared_mmd(a, b), float("nan")
    draw = np.random.RandomState(KID_SEED)
    distances = np.empty(KID_SUBSETS)
    for i in range(KID_SUBSETS):
        some_a = a[draw.choice(len(a), size, replace=False)]
        some_b = b[draw.choice(len(b), size, replace=False)]
        distances[i] = squared_mmd(some_a, some_b)
    return float(distances.mean()), float(distances.std())


def squared_mmd(a: AnyFloats, b: AnyFloats) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel (x·y / d + 1)³; [n, d] each."""
    n, m = len(a), len(b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    within_a, within_b, between = _cubic_kernel(x, x), _cubic_kernel(y, y), _cubic_kernel(x, y)
    return float(
        (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
        + (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
        - 2 * between.mean()
    )


def _cubic_kernel(a: Floats, b: Floats) -> Floats:
    base = a @ b.T
    base /= a.shape[1]
    base += 1
    cube: Floats = base * base
    cube *= base  # base**3 by numpy's pow takes ten times as long
    return cube


def precision_recall(fake: AnyFloats, real: AnyFloats) -> tuple[float, float]:
    """Improved precision and recall, k = 3 (Kynkäänniemi et al. 2019).

    Precision is the share of fakes inside the real manifold, recall the share of reals inside the
    fake one; a manifold is the union of balls around its points that reach their third nearest
    neighbours. NaN with fewer than four images on a side.

    Args:
      fake, real: features [n, d] and [m, d].
    """
    if min(len(fake), len(real)) <= NEIGHBOURS:
        return float("nan"), float("nan")
    fakes, reals = fake.astype(np.float64), real.astype(np.float64)
    return _share_inside(fakes, reals), _share_inside(reals, fakes)


def _share_inside(points: Floats, centres: Floats) -> float:
    """Share of `points` [n, d] within at least one of the balls around `centres` [m, d]."""
    radii = np.concatenate(
        [
            # The nearest neighbour of a point is itself, at distance 0.
            np.partition(_squared_distances(rows, centres), NEIGHBOURS, axis=1)[:, NEIGHBOURS]
            for rows in _blocks(centres)
        ]
    )
    # Where distances are equal (copies), round-off must not decide.
    radii += 1e-12 * np.einsum("nd,nd->n", centres, centres)
    inside = [(_squared_distances(rows, centres) <= radii).any(axis=1) for rows in _blocks(points)]
    return float(np.concatenate(inside).mean())


def _blocks(rows: Floats) -> list[Floats]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squares = np.einsum("nd,nd->n", a, a)[:, None] + np.einsum("nd,nd->n", b, b)
    distances: Floats = np.clip(squares - 2 * (a @ b.T), 0, None)
    return distances


class InceptionScore:
    """Inception Score of logits that come in batches (Salimans et al. 2016).

    exp of the mean KL divergence of p(y|x) from p(y), for each of ten splits, as mean and
    population std over the splits. Images are shuffled into the splits as torch-fidelity does it:
    taken in order, the splits of a set sorted by class would hold one class each. A split of k
    images scores k at most: with fewer than two in each it is NaN. Keeps [splits, classes] sums,
    not the logits; the number of images must be known, for it says where the splits end.
    """

    def __init__(self, n: int, classes: int) -> None:
        self._n = n
        self._sizes = np.diff([i * n // IS_SPLITS for i in range(IS_SPLITS + 1)])
        self._splits = np.empty(n, np.int8)  # of each image
        shuffled = np.random.RandomState(IS_SEED).permutation(n)
        self._splits[shuffled] = np.repeat(np.arange(IS_SPLITS), self._sizes)
        self._seen = 0
        self._marginal = np.zeros((IS_SPLITS, classes))
        self._entropy = np.zeros(IS_SPLITS)  # sum of p log p
        self._counts = np.zeros(classes, np.int64)

    def add(self, logits: AnyFloats) -> None:
        """Take in a batch [n, classes]."""
        logits = logits.astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        p = np.exp(log_p)
        split = self._splits[self._seen : self._seen + len(logits)]
        np.add.at(self._entropy, split, (p * log_p).sum(axis=1))
        for i in np.unique(split):
            self._marginal[i] += p[split == i].sum(axis=0)
        self._counts += np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])
        self._seen += len(logits)

    def result(self) -> tuple[float, float]:
        """(mean, std) over the splits, once all `n` images are in."""
        if self._n < 2 * IS_SPLITS:
            return float("nan"), float("nan")
        mean = self._marginal / self._sizes[:, None]
        # 0 log 0 is 0: a class that no image of a split could be adds nothing.
        logs = np.log(mean, out=np.zeros_like(mean), where=mean > 0)
        scores = np.exp(self._entropy / self._sizes - (mean * logs).sum(axis=1))
        return float(scores.mean()), float(scores.std())

    def class_shares(self) -> Floats:
        """For each class, the share of the images so far of which it is the likeliest [classes]."""
        shares: Floats = self._counts / max(self._seen, 1)
        return shares
