"""Device metrics by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wgan_jax.gan import metrics


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_the_gradients_norm_is_over_all_weights(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert metrics.gradient_norm({"a": jnp.array([[3.0], [0.0]]), "b": jnp.array(4.0)}) == 5


def test_mean_and_std_over_all_weights() -> None:
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([[3.0], [6.0]])}
    mean, std = metrics.mean_and_std(params)
    assert (float(mean), float(std)) == (3.0, pytest.approx(np.std([1, 2, 3, 6])))


def test_share_at_the_boundary() -> None:
    params = {"a": jnp.array([0.01, -0.01, 0.005]), "b": jnp.array([0.00999])}
    assert float(metrics.share_at_boundary(params, 0.01)) == 0.5


def test_variance_of_what_was_seen_so_far() -> None:
    recent = jnp.array([1.0, 3.0, 100.0, 100.0])
    assert float(metrics.windowed_variance(recent, jnp.int32(1))) == 0.0
    assert float(metrics.windowed_variance(recent, jnp.int32(2))) == 1.0
    assert float(metrics.windowed_variance(recent, jnp.int32(4))) == pytest.approx(
        np.var([1, 3, 100, 100])
    )


def test_small_variances_of_large_losses_survive() -> None:
    """Var 0.000002 around D = 5.4859, as in the guide's log, in float32."""
    values = 5.4859 + np.sqrt(2e-6) * np.where(np.arange(100) % 2, 1, -1)
    found = metrics.windowed_variance(jnp.asarray(values, jnp.float32), jnp.int32(100))
    assert float(found) == pytest.approx(2e-6, rel=0.01)


@pytest.mark.parametrize(
    ("d", "g", "ratio"), [(5.4859, -115.549, 0.0475), (-2.0, 4.0, 0.5), (1.0, 1e-11, 0.0)]
)
def test_loss_ratio(d: float, g: float, ratio: float) -> None:
    assert float(metrics.loss_ratio(jnp.float32(d), jnp.float32(g))) == pytest.approx(
        ratio, abs=1e-4
    )
