"""Rounds of ours are those of PyTorch, from the same weights, images and latents, in float64.

The golden file holds what PyTorch measured; `python -m benchmarks.parity PYTHON` writes it.
"""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import parity
from wgan_jax.gan.state import Player, Tree
from wgan_jax.gan.steps import _update

GOLDEN = json.loads(parity.GOLDEN.read_text())["runs"]
FORMS = [(name, "cpu") for name in parity.SMALL]
FORMS += [(name, "gpu") for name in ("wgan", "wgan_gp", "dcgan", "resnet")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "platform"), FORMS)
def test_rounds_measure_what_pytorchs_do(
    name: str, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the forms that layers take on that platform; all are computed here."""
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    record, ours = parity.small(name)
    drawn = parity.drawn(record)
    assert drawn == pytest.approx(GOLDEN[name]["drawn"], rel=1e-9), "jax draws other numbers"
    for key, column in GOLDEN[name]["metrics"].items():
        largest = max(map(abs, column))
        np.testing.assert_allclose(ours[key], column, rtol=0, atol=1e-9 * largest, err_msg=key)


@pytest.mark.slow
def test_a_hundredth_more_of_a_step_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the comparison would fail if the arithmetic were another."""

    def further(
        tx: optax.GradientTransformationExtraArgs,
        player: Player,
        grads: Tree,
        stats: Tree,
        rate_factor: jax.Array,
    ) -> Player:
        return _update(tx, player, grads, stats, jnp.float32(1.01) * rate_factor)

    monkeypatch.setattr("wgan_jax.gan.steps._update", further)
    _, ours = parity.small("wgan")
    wanted = np.array(GOLDEN["wgan"]["metrics"]["d_loss"])
    assert np.abs(ours["d_loss"] - wanted).max() > 1e-4 * np.abs(wanted).max()


def test_nothing_stays_wide_after_it() -> None:
    with parity.in_float64():
        assert jnp.zeros(1, jnp.float32).dtype == "float64"
    assert jnp.zeros(1, jnp.float32).dtype == "float32"
