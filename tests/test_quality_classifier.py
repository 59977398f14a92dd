"""The digits classifier, and encoders at work on batches."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.data import digits
from wgan_jax.errors import UserError
from wgan_jax.quality import classifier
from wgan_jax.quality.distances import InceptionScore
from wgan_jax.quality.encoders import Encoder, Encoding, Wanted, build
from wgan_jax.quality.npz import npz_bytes, read_npz
from wgan_jax.quality.pictures import from_array


@pytest.fixture(scope="module")
def encoder(own_cache: Path) -> Encoder:
    del own_cache
    return build(Wanted("digits", digits=digits.read_labelled))


def test_areas_by_hand() -> None:
    np.testing.assert_array_equal(classifier.area_matrix(8), np.eye(8))
    np.testing.assert_array_equal(classifier.area_matrix(16)[0], [0.5, 0.5] + [0] * 14)
    # 12 to 8: one and a half pixels each.
    np.testing.assert_allclose(classifier.area_matrix(12)[1, :4], [0, 1 / 3, 2 / 3, 0], rtol=1e-6)
    # 4 to 8: each pixel twice.
    np.testing.assert_array_equal(classifier.area_matrix(4)[:, 1], [0, 0, 1, 1, 0, 0, 0, 0])


def test_any_size_and_grey_or_colour_come_to_the_same() -> None:
    images, _ = digits.read_labelled()
    small = classifier.prepare(jnp.asarray(images[:5]))
    large = classifier.prepare(jnp.asarray(images[:5].repeat(4, 1).repeat(4, 2).repeat(3, 3)))
    np.testing.assert_allclose(large, small, atol=1e-6)


@pytest.mark.slow
def test_held_out_digits_are_told_apart() -> None:
    trained = classifier.train(*digits.read_labelled())
    assert trained.accuracy >= 0.97
    with jax.default_prng_impl("rbg"):  # the seed's weights, whatever new keys are
        again = classifier.train(*digits.read_labelled())
    for name, array in trained.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)


def test_real_digits_score_close_to_ten_classes(encoder: Encoder) -> None:
    images, labels = digits.read_labelled()
    features, logits = (np.asarray(part) for part in encoder.apply(encoder.params, images))
    assert features.shape == (1797, encoder.dim)
    score = InceptionScore(len(images), encoder.classes)
    score.add(logits)
    assert 9.5 < score.result()[0] <= 10
    shares = dict(zip(encoder.class_names, score.class_shares(), strict=True))
    assert shares["3"] == pytest.approx((labels == 3).mean(), abs=0.005)


@pytest.mark.slow
def test_weights_are_trained_once_and_kept(encoder: Encoder, own_cache: Path) -> None:
    again = build(Wanted("digits"))  # no digits to train on
    assert again.protocol == encoder.protocol
    path = own_cache / "encoders" / "digits-v1.npz"
    whole = path.read_bytes()
    doubled = {name: array.astype(np.float64) for name, array in read_npz(path).items()}
    for damaged in (whole[:100], npz_bytes(doubled), npz_bytes({})):
        path.write_bytes(damaged)
        assert build(Wanted("digits", digits=digits.read_labelled)).protocol == encoder.protocol
        assert path.read_bytes() == whole


def test_no_encoder_is_built_with_other_numbers(own_cache: Path) -> None:
    before = list(own_cache.rglob("*"))
    with jax.enable_x64(True), pytest.raises(UserError, match="jax_enable_x64 is True"):
        build(Wanted("digits", digits=digits.read_labelled))
    assert list(own_cache.rglob("*")) == before


def test_unknown_encoders_are_refused() -> None:
    with pytest.raises(UserError, match="inception, digits"):
        build(Wanted("inceptoin"))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 70])
def test_features_depend_on_neither_place_nor_neighbours(encoder: Encoder, n: int) -> None:
    images = digits.read_labelled()[0][:70]
    encoding = Encoding(encoder, batch_size=32)
    wanted = np.concatenate([encoding(batch)[0] for batch in from_array(images, "").batches(32)])
    backwards = [encoding(batch)[0] for batch in from_array(images[:n][::-1], "").batches(32)]
    np.testing.assert_array_equal(np.concatenate(backwards)[::-1], wanted[:n])


def test_statistics_do_not_depend_on_how_images_come(encoder: Encoder) -> None:
    images, _ = digits.read_labelled()
    encoding = Encoding(encoder, batch_size=32)
    one = encoding.collect([images[:100]], 100, "x")
    other = encoding.collect(from_array(images[:100], "").batches(7), 100, "x")
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-10, atol=1e-12)
    assert one.score == pytest.approx(other.score, rel=1e-10)
    assert one.n == other.n == 100
