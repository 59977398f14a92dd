"""What is known of a set of images once they are encoded: moments, a sample of features, a score.

`Collector` takes features in batch by batch, in bounded memory; `Statistics` is what it comes to,
with the protocol that made it, and goes to a file and back. `quality.compare` sets two of them
side by side.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan_jax.errors import UserError
from wgan_jax.files import replace_bytes
from wgan_jax.quality.distances import (
    IS_RULE,
    AnyFloats,
    Floats,
    InceptionScore,
    covariance_root,
)
from wgan_jax.quality.npz import npz_bytes, read_npz

KEPT_FEATURES = 10_000  # rows kept for KID, precision and recall; drawn evenly from all
KEPT_SEED = 0
BLOCK = 2048  # features taken in at once: each time passes over a [dim, dim] and over those kept


@dataclass(frozen=True)
class Protocol:
    """How features were made. Numbers compare only where all of this is the same.

    Attributes:
      encoder: e.g. `inception`, `digits`.
      weights: name of its weights.
      digest: SHA-256 of its weights, 64 hex digits; "" where a file from elsewhere does not say.
      resize: how images came to its input size: `tf1`, `pytorch`, `area`.
      dtype: of its arithmetic.
    """

    encoder: str
    weights: str
    digest: str
    resize: str
    dtype: str = "float32"

    def __str__(self) -> str:
        weights = f"{self.weights} {self.digest[:8]}".strip()
        return f"{self.encoder} ({weights}), resize {self.resize}, {self.dtype}"

    def described(self) -> dict[str, str]:
        """For a record in JSON."""
        return {
            "encoder": self.encoder,
            "weights": self.weights,
            "weights_sha256": self.digest,
            "resize": self.resize,
            "dtype": self.dtype,
            "is_splits": IS_RULE,
        }

    def matches(self, other: Protocol) -> bool:
        """Whether numbers may be compared; an unknown digest is taken at its user's word."""
        unknown = not self.digest or not other.digest
        mine, theirs = (replace(each, digest="", weights="") for each in (self, other))
        return mine == theirs and (unknown or self.digest == other.digest)


class Moments:
    """Mean and scatter of rows that come in batches, float64 (Chan et al. 1979).

    Batches are centred before they are squared, so that a large mean costs no digits.
    """

    def __init__(self, dim: int) -> None:
        self.n = 0
        self.mean = np.zeros(dim)
        self._scatter = np.zeros((dim, dim))

    def add(self, rows: AnyFloats) -> None:
        """Take in a batch [n, dim]."""
        if not len(rows):
            return
        n, total = len(rows), self.n + len(rows)
        wide = rows.astype(np.float64)
        mean = wide.mean(axis=0)
        centred, delta = wide - mean, mean - self.mean
        self._scatter += centred.T @ centred
        self._scatter += np.outer(delta, delta) * (self.n * n / total)
        self.mean = self.mean + delta * (n / total)
        self.n = total

    def covariance(self) -> Floats:
        """Unbiased (ddof 1) covariance [dim, dim]; NaN from fewer than two rows."""
        if self.n < 2:
            return np.full_like(self._scatter, np.nan)
        return self._scatter / (self.n - 1)


class Reservoir:
    """An even sample of rows that come in batches: at most `size`, in the order they came.

    Every row gets a random number from a fixed seed, and those with the smallest stay. Until
    `size` rows have come, all of them stay.
    """

    def __init__(self, dim: int, size: int = KEPT_FEATURES) -> None:
        self._size = size
        self._random = np.random.default_rng(KEPT_SEED)
        self._lots = np.zeros(0)
        self._rows = np.zeros((0, dim), np.float32)

    def add(self, rows: AnyFloats) -> None:
        """Take in a batch [n, dim]."""
        lots = np.concatenate([self._lots, self._random.random(len(rows))])
        kept = np.concatenate([self._rows, rows.astype(np.float32)])
        if len(lots) > self._size:
            stay = np.sort(np.argpartition(lots, self._size)[: self._size])
            lots, kept = lots[stay], kept[stay]
        self._lots, self._rows = lots, kept

    @property
    def rows(self) -> NDArray[np.float32]:
        """The sample [at most size, dim], float32."""
        return self._rows


@dataclass(frozen=True)
class Statistics:
    """A set of encoded images, summed up.

    Attributes:
      protocol: how they were encoded.
      source: which images: `digits`, `tfds:cifar10/train`, a folder, `generated`.
      n: how many; 0 where a file from elsewhere does not say.
      mu: mean feature [d], float64.
      sigma: covariance [d, d], float64, ddof 1.
      root: square root of sigma [d, d], or None where it was not computed.
      features: an even sample of them [at most 10,000, d], float32; None where not kept.
      score: Inception Score (mean, std over splits); None where not measured by today's rule.
      class_shares: share of the images taken for each class [classes]; None where not measured.
    """

    protocol: Protocol
    source: str
    n: int
    mu: Floats
    sigma: Floats
    root: Floats | None = None
    features: NDArray[np.float32] | None = None
    score: tuple[float, float] | None = None
    class_shares: Floats | None = None

    def with_root(self) -> Statistics:
        """The same with the covariance's square root, for what is compared with many times."""
        if self.root is not None or not np.isfinite(self.sigma).all():
            return self
        return replace(self, root=covariance_root(self.sigma))

    def scores(self) -> dict[str, float]:
        """The Inception Score by its keys; empty where it was not measured, or cannot be had."""
        if self.score is None or not np.isfinite(self.score).all():
            return {}
        keys = ("inception_score_mean", "inception_score_std")
        return dict(zip(keys, self.score, strict=True))

    def save(self, path: Path) -> None:
        """Write an `.npz`, whole or not at all; `mu` and `sigma` are read by other tools too."""
        about = {"protocol": asdict(self.protocol), "source": self.source, "n": self.n}
        about |= {"is_splits": IS_RULE}
        arrays: dict[str, NDArray[Any]] = {"mu": self.mu, "sigma": self.sigma}
        for name in ("root", "features", "score", "class_shares"):
            if getattr(self, name) is not None:
                arrays[name] = np.asarray(getattr(self, name))
        replace_bytes(path, npz_bytes(arrays | {"about": np.array(json.dumps(about))}))


class Collector:
    """Takes the encoder's output in, batch by batch, in the images' order."""

    def __init__(self, protocol: Protocol, source: str, n: int, dim: int, classes: int) -> None:
        """For `n` images in all, features of `dim` and logits of `classes` numbers."""
        self._protocol, self._source = protocol, source
        self._moments = Moments(dim)
        self._sample = Reservoir(dim)
        self._score = InceptionScore(n, classes)
        self._waiting: list[AnyFloats] = []

    def add(self, features: AnyFloats, logits: AnyFloats) -> None:
        """Take in a batch: features [n, dim], logits [n, classes]."""
        self._score.add(logits)
        self._waiting.append(features)
        if sum(map(len, self._waiting)) >= BLOCK:
            self._take_in()

    def _take_in(self) -> None:
        if self._waiting:
            rows = np.concatenate(self._waiting)
            self._moments.add(rows)
            self._sample.add(rows)
            self._waiting = []

    def statistics(self) -> Statistics:
        """What all images come to."""
        self._take_in()
        return Statistics(
            protocol=self._protocol,
            source=self._source,
            n=self._moments.n,
            mu=self._moments.mean,
            sigma=self._moments.covariance(),
            features=self._sample.rows,
            score=self._score.result(),
            class_shares=self._score.class_shares(),
        )


def is_file(path: Path) -> bool:
    """Whether a file holds statistics, by the names in it; its arrays are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"mu.npy", "sigma.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def load(path: Path, named: Protocol | None = None) -> Statistics:
    """Statistics from a file.

    Args:
      path: an `.npz` by `Statistics.save`, or any with `mu` [d] and `sigma` [d, d].
      named: the protocol of a file from elsewhere, which does not say; its user must.

    Raises:
      UserError: not such a file; a plain one whose protocol is not named.
    """
    arrays = read_npz(path)
    if "mu" not in arrays or "sigma" not in arrays:
        raise UserError(f"{path} is no statistics file: it lacks mu and sigma.")
    for name in ("mu", "sigma", "root", "features", "score", "class_shares"):
        if name in arrays and arrays[name].dtype.kind not in "fiu":
            raise UserError(f"{path}: its {name} is not made of real numbers. Make it anew.")
    mu, sigma = arrays["mu"].astype(np.float64), arrays["sigma"].astype(np.float64)
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise UserError(
            f"{path} is no statistics file: mu {mu.shape} and sigma {sigma.shape} "
            "do not fit. Make it anew."
        )
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise UserError(f"{path} holds numbers that are not finite: make it anew.")
    if "about" in arrays:
        return _described(mu, sigma, arrays, path)
    if named is None:
        raise UserError(
            f"{path} does not say how it was made: name its protocol, --protocol tf1 (TTUR, "
            "torch-fidelity) or --protocol pytorch (pytorch-fid)."
        )
    return Statistics(named, path.name, 0, mu, sigma)


def _described(
    mu: Floats, sigma: Floats, arrays: dict[str, NDArray[Any]], path: Path
) -> Statistics:
    """Statistics from a file of ours."""
    try:
        about = json.loads(str(arrays["about"]))
        protocol = Protocol(**about["protocol"])
        source, n = str(about["source"]), int(about["n"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} has a damaged description: make it anew.") from None
    _check_shapes(arrays, len(mu), path)
    score = arrays.get("score") if about.get("is_splits") == IS_RULE else None
    return Statistics(
        protocol=protocol,
        source=source,
        n=n,
        mu=mu,
        sigma=sigma,
        root=arrays.get("root"),
        features=arrays.get("features"),
        score=None if score is None else (float(score[0]), float(score[1])),
        class_shares=arrays.get("class_shares"),
    )


def _check_shapes(arrays: dict[str, NDArray[Any]], dim: int, path: Path) -> None:
    """Refuse a file whose other arrays are not those of features of length `dim`."""
    fits: dict[str, Callable[[tuple[int, ...]], bool]] = {
        "root": lambda shape: shape == (dim, dim),
        "features": lambda shape: len(shape) == 2 and shape[1] == dim,
        "score": lambda shape: shape == (2,),
        "class_shares": lambda shape: len(shape) == 1,
    }
    for name, fit in fits.items():
        if name in arrays and not fit(arrays[name].shape):
            raise UserError(
                f"{path}: its {name} of shape {list(arrays[name].shape)} does not fit. "
                "Make it anew."
            )
