"""What one measurement of samples found, for a file, for a pipe and for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wgan_jax.keys import encoder_mark

# Lines of the table: key, name, format. A `_mean` is printed with its `_std`, where it has one.
LINES = (
    ("fid_score", "FID", ".3f"),
    ("kid_mean", "KID", ".6f"),
    ("precision", "precision", ".4f"),
    ("recall", "recall", ".4f"),
    ("inception_score_mean", "IS", ".3f"),
    ("pixel_variance", "PixVar", ".4f"),
    ("generated_image_mean", "image mean", ".4f"),
    ("critic_overfit", "overfit", ".2f"),
)
NAMED_BY_ENCODER = ("FID", "KID", "precision", "recall", "IS")

# What the JSON always has, null where it could not be had; other values follow where there are any.
ALWAYS = (
    *("kid_mean", "kid_std", "precision", "recall"),
    *("inception_score_mean", "inception_score_std"),
)


@dataclass(frozen=True)
class Quality:
    """What one measurement found.

    Attributes:
      values: numbers by key, of `keys.QUALITY_KEYS` and, where asked for, `kid_*`, `precision`,
        `recall`. What could not be had is absent.
      encoder: whose features they are: `inception`, `digits`, or `none` (pixels only); Inception
        with other weights than the public is `inception:NAME`.
      protocol: how they were made, for the record.
      caveats: what a reader must know, one line each.
      real: `inception_score_*` of the real images by the same encoder: the ceiling.
      class_shares: share of the samples in each class, where the encoder's classes have names.
    """

    values: dict[str, float]
    encoder: str
    protocol: dict[str, Any]
    caveats: tuple[str, ...] = ()
    real: dict[str, float] = field(default_factory=dict)
    class_shares: dict[str, float] = field(default_factory=dict)


def as_json(quality: Quality) -> dict[str, Any]:
    """A measurement for a file or a pipe; null where a number could not be had."""
    values = dict(quality.values)
    row: dict[str, Any] = {"fid": values.pop("fid_score", None)} | dict.fromkeys(ALWAYS) | values
    row |= {"encoder": quality.encoder, "protocol": quality.protocol}
    row |= {"caveats": list(quality.caveats), "real": quality.real}
    return row | ({"class_shares": quality.class_shares} if quality.class_shares else {})


def json_line(quality: Quality) -> str:
    """A measurement as one line of JSON."""
    return json.dumps(as_json(quality), ensure_ascii=False)


def table(quality: Quality) -> str:
    """A measurement for a person: a line for each number, its protocol, its caveats."""
    return "\n".join(_lines(quality))


def _lines(quality: Quality) -> Iterator[str]:
    mark = encoder_mark(quality.encoder)
    for key, name, spec in LINES:
        if key in quality.values:
            text = format(quality.values[key], spec)
            std = quality.values.get(key.removesuffix("_mean") + "_std")
            if std is not None:
                text += f" ± {format(std, spec)}"
            if key == "inception_score_mean" and quality.real:
                text += f"  (real images: {quality.real[key]:.3f})"
            named = name + mark if name in NAMED_BY_ENCODER else name
            yield f"  {named:<17} {text}"
    if quality.class_shares:
        shares = "  ".join(f"{name}: {share:.1%}" for name, share in quality.class_shares.items())
        yield f"  {'classes':<17} {shares}"
    yield f"  {'by':<17} " + ", ".join(
        f"{key} {value[:8] if key == 'weights_sha256' else value}"
        for key, value in quality.protocol.items()
    )
    for caveat in quality.caveats:
        yield f"  {'note':<17} {caveat}"
