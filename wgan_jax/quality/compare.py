"""Two sets of encoded images side by side: the distances that can be had, and their caveats."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wgan_jax.errors import UserError
from wgan_jax.quality.distances import (
    IS_SPLITS,
    KID_SUBSET_SIZE,
    NEIGHBOURS,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from wgan_jax.quality.statistics import Protocol, Statistics

_ENOUGH = 100  # images in a split, however many classes there are


@dataclass(frozen=True)
class Comparison:
    """Numbers by key, all finite, and what a reader must know about them, one line each.

    A number that cannot be had from the images given is absent, and a caveat says why.
    """

    values: dict[str, float]
    caveats: tuple[str, ...]


def refuse_other_protocol(side: Statistics, protocol: Protocol) -> None:
    """Raise UserError unless `side` was encoded by `protocol`."""
    if not side.protocol.matches(protocol):
        raise UserError(
            f"Different protocols do not compare: {side.source} is by {side.protocol}, the other "
            f"side by {protocol}. Make both alike."
        )


def compare(images: Statistics, reference: Statistics, *, all_distances: bool = True) -> Comparison:
    """Distances of a set of images from a reference.

    Args:
      images: the images judged, e.g. generated ones.
      reference: the real images; with its root where it is compared with often.
      all_distances: also KID, precision and recall, which take seconds.
    """
    refuse_other_protocol(reference, images.protocol)
    if len(images.mu) != len(reference.mu):
        raise UserError(
            f"{reference.source} has {len(reference.mu)} feature dimensions, {images.source} "
            f"{len(images.mu)}: they were not made by the same encoder."
        )
    values: dict[str, float] = {}
    caveats = _few(images) + _few(reference) + _few_to_score(images)
    values["fid_score"] = frechet_distance(
        images.mu, images.sigma, reference.mu, reference.sigma, reference.root
    )
    values |= images.scores()
    if all_distances:
        more, why = _from_samples(images, reference)
        values |= more
        caveats += why
    finite = {key: value for key, value in values.items() if math.isfinite(value)}
    if "fid_score" not in finite:
        caveats += ["FID is not defined for these images"]
    return Comparison(finite, tuple(caveats))


def _few(side: Statistics) -> list[str]:
    """The caveat for a covariance that cannot have full rank."""
    dim = len(side.mu)
    if side.n == 0:
        return [f"{side.source} does not say how many images it was made of"]
    if side.n == 1:
        return [f"{side.source} has 1 image: a covariance needs 2 at least"]
    if side.n <= dim:
        return [
            f"{side.source} has {side.n} images, not above the {dim} feature dimensions: "
            "its covariance is singular and FID is biased upwards"
        ]
    return []


def _few_to_score(images: Statistics) -> list[str]:
    """The caveat for an Inception Score of splits with fewer images than they need."""
    if images.score is None:
        return []
    if not images.scores():
        return [f"no IS: it needs {2 * IS_SPLITS} images, two in each of {IS_SPLITS} splits"]
    classes = _ENOUGH if images.class_shares is None else len(images.class_shares)
    split = images.n // IS_SPLITS
    if split < min(classes, _ENOUGH):
        return [f"IS is biased downwards: a split of {split} images scores {split} at most"]
    return []


def _from_samples(images: Statistics, reference: Statistics) -> tuple[dict[str, float], list[str]]:
    """KID, precision and recall, and their caveats."""
    if images.features is None or reference.features is None:
        side = images if images.features is None else reference
        return {}, [f"no KID, precision and recall: {side.source} holds moments only"]
    caveats = [
        f"KID, precision and recall use {len(side.features)} of the {side.n} images of "
        f"{side.source}, drawn evenly"
        for side in (images, reference)
        if side.features is not None and len(side.features) < side.n
    ]
    counts = len(images.features), len(reference.features)
    caveats += _few_for_kid((images.source, reference.source), counts)
    if min(counts) <= NEIGHBOURS:
        caveats.append(f"no precision and recall: they need {NEIGHBOURS + 1} images on each side")
    values = {}
    values["kid_mean"], values["kid_std"] = kernel_distance(images.features, reference.features)
    values["precision"], values["recall"] = precision_recall(images.features, reference.features)
    return values, caveats


def _few_for_kid(sources: tuple[str, str], counts: tuple[int, int]) -> list[str]:
    """The caveats for a KID whose subsets are small, or are all that there is on a side."""
    size = min(*counts, KID_SUBSET_SIZE)
    if size < 2:
        return ["no KID: it needs 2 images on each side"]
    caveats = []
    if size < KID_SUBSET_SIZE:
        caveats.append(f"KID uses subsets of {size} images, not {KID_SUBSET_SIZE}")
    whole = [source for source, n in zip(sources, counts, strict=True) if n == size]
    if len(whole) == 2:
        caveats.append("KID has no ±: every subset would be all images of both sides")
    elif whole:
        caveats.append(
            f"KID's ± leaves out the spread of {whole[0]}: all its images are in every subset"
        )
    return caveats
