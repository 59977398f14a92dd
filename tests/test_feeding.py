"""How the device is given a run's images."""

from typing import Any

import pytest

from wgan_jax.config import resolve
from wgan_jax.feeding import updates_at_once
from wgan_jax.gan.rounds import CHUNK
from wgan_jax.gan.state import new_game


@pytest.mark.parametrize(
    ("config", "updates"),
    [
        ({"batch_size": 512}, 128 * 2**20 // (512 * 32 * 32 * 3)),  # 128 MiB
        ({"batch_size": 1, "n_critic": 1}, CHUNK),  # no more than the longest chunk needs
        ({"batch_size": 50_000, "n_critic": 5}, 5),  # no less than the longest round
        ({"batch_size": 512, "n_critic_schedule": {"warm_epochs": 25, "long": 100}}, 100),
        ({"batch_size": 512, "n_critic_schedule": {"period": 500, "long": 100}}, 100),
    ],
)
def test_for_how_many_critic_updates_batches_are_sent_at_once(
    config: dict[str, Any], updates: int
) -> None:
    assert updates_at_once(new_game(resolve(config), 3)) == updates
