"""A run's images, and how they get to the device: all at once, or in batches as it works."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from wgan_jax import devices
from wgan_jax.data.dataset import Dataset, from_array, load
from wgan_jax.errors import UserError
from wgan_jax.gan.rounds import CHUNK, Batches
from wgan_jax.gan.state import Game, GanState, Stream
from wgan_jax.settings import Settings, critic_updates

MOST_BYTES = 128 * 2**20  # of images in one `Batches`; two of them lie on the devices at a time


def read_images(settings: Settings, images: NDArray[np.uint8] | None = None) -> Dataset:
    """The run's images, at least one batch of them. Raises UserError."""
    if images is not None:
        dataset = from_array(images, settings.image_size, settings.data)
    else:
        room = devices.memory(devices.mesh(settings.devices))
        dataset = load(settings.data, settings.image_size, room)
    if len(dataset) < settings.batch_size:
        raise UserError(
            f"config.batch_size = {settings.batch_size} is larger than the dataset: "
            f"{dataset.name} has {len(dataset)} images. Set it to that or less."
        )
    return dataset


class Feed(Protocol):
    """Where a chunk's images come from.

    Attributes:
      waited: seconds that the device stood still, for images were not ready.
    """

    waited: float

    def start(self, state: GanState) -> None:
        """Begin, or begin anew, with the images that this state draws next."""

    def images(self, epoch: int) -> tuple[Array | Batches, int]:
        """What the program is given to play from this epoch on, and how many rounds that lasts."""

    def close(self) -> None:
        """End all threads and processes."""


def feed(game: Game, dataset: Dataset, key: Array) -> Feed:
    """The feed of a dataset: resident or streamed, as the settings say."""
    if dataset.streamed:
        return Streamed(game, dataset, key)
    return Resident(game, dataset)


def updates_at_once(game: Game) -> int:
    """How many critic updates one `Batches` is for: from one round's to `CHUNK`'s."""
    settings = game.settings
    schedule, longest = settings.n_critic_schedule, settings.n_critic
    if schedule.varies:
        longest = max(longest, schedule.long)
    batch_bytes = settings.batch_size * int(np.prod(game.image_shape))
    return max(longest, min(longest * CHUNK, MOST_BYTES // batch_bytes))


class Resident:
    """The whole dataset on every device."""

    waited = 0.0

    def __init__(self, game: Game, dataset: Dataset) -> None:
        self._images = devices.put(dataset.images, devices.everywhere(game.mesh))

    def start(self, state: GanState) -> None:
        del state  # draws for itself

    def images(self, epoch: int) -> tuple[Array, int]:
        del epoch
        return self._images, CHUNK

    def close(self) -> None:
        pass


class Streamed:
    """Batches for some rounds at a time, sent to the devices while they work on those before.

    The first are for one round and each next for twice as many, up to `MOST_BYTES`, so that the
    device soon has something to do. All have the same shape, for the program's sake.
    """

    def __init__(self, game: Game, dataset: Dataset, key: Array) -> None:
        from wgan_jax.data.stream import BatchStream

        settings = game.settings
        self.waited = 0.0
        self._game, self._settings, self._size = game, settings, len(dataset)
        rows = devices.own_rows(game.mesh, settings.batch_size)
        order = jax.random.key_data(jax.random.fold_in(key, Stream.ORDER))
        self._stream = BatchStream(dataset, np.asarray(order), settings.batch_size, rows)
        self._shape = (updates_at_once(game), rows.stop - rows.start, *game.image_shape)
        self._pool = ThreadPoolExecutor(1, "stream")
        self._coming: Future[Batches] | None = None

    def start(self, state: GanState) -> None:
        self._abandon()
        self._stream.start(int(state.passes), int(state.position))
        self._epoch, self._rounds, self._update = int(state.epoch), 0, int(state.critic_updates)
        self._begin(1)

    def images(self, epoch: int) -> tuple[Batches, int]:
        if epoch == self._epoch + self._rounds:
            clock = time.perf_counter()
            assert self._coming is not None, "start comes first"
            self._batches = self._coming.result()
            self.waited += time.perf_counter() - clock
            self._epoch, self._rounds = epoch, self._begun
            self._begin(2 * self._rounds)
        return self._batches, self._epoch + self._rounds - epoch

    def close(self) -> None:
        self._abandon()
        self._pool.shutdown()

    def _abandon(self) -> None:
        """Give up the batches under way: after a rollback, or at the end, nobody needs them."""
        self._stream.close()
        if self._coming is not None:
            self._coming.exception()

    def _begin(self, rounds: int) -> None:
        """Begin to build the next batches: for so many rounds, or as many as have room."""
        epoch = self._epoch + self._rounds
        while critic_updates(self._settings, epoch, rounds) > self._shape[0]:
            rounds -= 1
        updates = critic_updates(self._settings, epoch, rounds)
        self._coming = self._pool.submit(self._build, self._update, updates)
        self._begun, self._update = rounds, self._update + updates

    def _build(self, first: int, updates: int) -> Batches:
        own = np.zeros(self._shape, np.uint8)
        own[:updates] = self._stream.take(updates)
        whole = devices.put(np.int32(first), devices.everywhere(self._game.mesh))
        return Batches(devices.join_rows(own, self._game.mesh), whole, self._size)
