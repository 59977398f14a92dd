"""Measures what a generator's samples are worth, against the real images it learnt from."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from tqdm import tqdm

from wgan_jax import devices, hosts
from wgan_jax.backend import RANDOM_BITS, compiler_options, waiting
from wgan_jax.bands import OVERFITS
from wgan_jax.data.dataset import Dataset
from wgan_jax.data.digits import read_labelled
from wgan_jax.data.held_out import some
from wgan_jax.errors import UserError
from wgan_jax.files import NOT_KEPT, cache_dir, if_writable
from wgan_jax.gan.state import Game, GanState, Stream, Tree, root_key, to_uint8
from wgan_jax.keys import measured_by
from wgan_jax.measurement import Quality
from wgan_jax.overfitting import Overfitting
from wgan_jax.quality.compare import compare
from wgan_jax.quality.encoders import Encoding, Wanted, build
from wgan_jax.quality.pixels import PixelMoments, batch_moments, pixel_variance
from wgan_jax.quality.statistics import Collector, Protocol, Statistics, load
from wgan_jax.quality.weights import WeightsAbsent
from wgan_jax.settings import DataSettings, encoder_of

BAR_AFTER = 2.0  # seconds of work before a progress bar shows
FEW = 256  # of the data, for the variance of its pixels
ENOUGH = 1000  # samples for the variance of pixels, where nothing else is measured
FLATTERS = "the critic overfits: FID against the images it trained on flatters samples"
NOT_KNOWN = "overfitting: not known, for the critic hardly tells images it trained on from samples"
TOLD_AFTER = 5.0  # seconds of measuring before a line tells of it, where no bar can show


class Evaluator:
    """Measures one game's generator, as often as asked; never changes its state.

    Built once per run. The real images' statistics are computed then, or read from the cache
    directory, where they are kept by the images' fingerprint and the protocol.

    Attributes:
      encoder: whose features they are, as in `Quality`.
      note: one line that says why FID is off and which command turns it on; "" where it is on.
        It is said at once, and is a caveat of every measurement.
    """

    def __init__(
        self,
        game: Game,
        dataset: Dataset,
        say: Callable[[str], None] = print,
        *,
        dtype: str = "float32",
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Build the encoder, and compute or read the real images' statistics.

        Args:
          game: whose samples are measured; its settings say how.
          dataset: the real images.
          say: is told of what takes long.
          dtype: of the encoder's arithmetic, float32 or bfloat16.
          between: called before each batch, also of the real images; what it raises ends the work.
        """
        self.game, self._say, self._between = game, say, between
        self.encoder, self.note = encoder_of(game.settings), ""
        self._encoding: Encoding | None = None
        self._real: Statistics | None = None
        self._batch_size = game.settings.quality.batch_size
        self._data_variance = _variance_of(dataset)
        self._find_encoder(dataset, dtype)
        self._key = np.asarray(jax.random.key_data(root_key(game.settings.seed)))
        self._sampler, self._program = self._programs()
        self._overfitting = None if dataset.held_out is None else Overfitting(game, dataset)

    def _find_encoder(self, dataset: Dataset, dtype: str) -> None:
        """Build the encoder and its real statistics, or note why there is none."""
        settings = self.game.settings
        quality = settings.quality
        if self.encoder == "none":
            self.note = "FID and IS are off: config.quality.encoder is none"
            self._say(self.note)
            return
        try:
            wanted = Wanted(
                self.encoder, quality.weights, quality.resize, dtype, digits=read_labelled
            )
            encoder = build(wanted)
        except WeightsAbsent as absent:
            self.encoder, self.note = "none", f"FID and IS are off: {absent}"
            self._say(self.note)
            hosts.check_same("The encoder's weights", self.encoder)
            return
        protocol = encoder.protocol
        hosts.check_same("The encoder's weights", repr(protocol))
        self.encoder = measured_by(protocol.encoder, protocol.weights)
        encoding = Encoding(encoder, quality.batch_size, self.game.mesh)
        self._encoding, self._batch_size = encoding, encoding.batch_size
        self._real = real_statistics(encoding, dataset, settings.data, self._say, self._between)

    def measure(
        self, state: GanState, epoch: int, *, n: int = 0, all_distances: bool = False
    ) -> Quality:
        """Generate, encode and compare.

        The samples depend on the run's seed and on nothing else, so that two epochs are compared
        on the same latents.

        Args:
          state: arrays of the game; only read.
          epoch: epochs trained, for the record.
          n: how many samples; 0: `quality.n`. Without features no more than `ENOUGH`.
          all_distances: also KID, precision and recall, which take seconds more.
        """
        n = n or self.game.settings.quality.n
        if self._encoding is None:
            n = min(n, ENOUGH)
        with self._told(n):
            if self._encoding is not None:
                state = jax.device_put(state, self._encoding.everywhere)
            sampler = self._sampler(state, self._key)
            pixels, fake = self._generate(sampler, n)
            overfit, said = self._overfit(state, sampler)
            protocol = self._protocol(n) | {"epoch": epoch}
            found = hosts.by_first(
                lambda: asdict(self._compared(pixels, fake, protocol, all_distances))
            )
        values, caveats = found["values"], tuple(found["caveats"])
        if values:  # else the samples are no numbers, and that is said
            values, caveats = values | overfit, caveats + said
        return Quality(**found | {"values": values, "caveats": caveats})

    def _overfit(self, state: GanState, sampler: Tree) -> tuple[dict[str, float], tuple[str, ...]]:
        """How far the critic overfits, where images are held out, and what must be said of it."""
        if self._overfitting is None:
            return {}, ()
        found = self._overfitting.measure(state, sampler, self._key)
        if found is None:
            return {}, (NOT_KNOWN,)
        flatters = found >= OVERFITS and self._encoding is not None
        return {"critic_overfit": found}, (FLATTERS,) if flatters else ()

    def _told(self, n: int) -> AbstractContextManager[None]:
        """Where there is no terminal, and so no bar: say that measuring takes long, if it does."""
        if sys.stderr.isatty():
            return nullcontext()
        return waiting(self._say, f"Measuring {n:,} samples ...", TOLD_AFTER)

    def _compared(
        self,
        pixels: PixelMoments,
        fake: Statistics | None,
        protocol: dict[str, Any],
        all_distances: bool,
    ) -> Quality:
        values = pixels.values() | {"real_pixel_variance": self._data_variance}
        if not np.isfinite(list(values.values())).all():
            caveat = "generated images hold NaN or infinities: nothing was measured"
            return Quality({}, self.encoder, protocol, (caveat,))
        if fake is None or self._real is None or self._encoding is None:
            return Quality(values, "none", protocol, (self.note,))
        comparison = compare(fake, self._real, all_distances=all_distances)
        names = self._encoding.encoder.class_names
        shares = () if fake.class_shares is None else fake.class_shares.tolist()
        return Quality(
            values=comparison.values | values,
            encoder=self.encoder,
            protocol=protocol,
            caveats=comparison.caveats,
            real=self._real.scores(),
            class_shares=dict(zip(names, shares, strict=True)) if names else {},
        )

    def _protocol(self, n: int) -> dict[str, Any]:
        settings = self.game.settings
        about: dict[str, Any] = {"encoder": self.encoder}
        if self._encoding is not None and self._real is not None:
            about |= self._encoding.encoder.protocol.described()
            about |= {"real": self._real.source, "n_real": self._real.n}
        return about | {
            **_chosen(settings.data),
            "n_fake": n,
            "seed": settings.seed,
            "ema": settings.ema > 0,
        }

    def _generate(self, sampler: Tree, n: int) -> tuple[PixelMoments, Statistics | None]:
        """Pixels and features of n samples; images stay on the device."""
        pixels, collector = PixelMoments(), None
        if self._encoding is not None:
            encoder = self._encoding.encoder
            collector = Collector(encoder.protocol, "generated", n, encoder.dim, encoder.classes)
        for count, moments, encoded in self._batches(sampler, n):
            pixels.add(count, *(np.asarray(moment) for moment in moments))
            if collector is not None:
                features, logits = (np.asarray(part)[:count] for part in encoded)
                collector.add(features, logits)
        return pixels, collector.statistics() if collector is not None else None

    def _batches(
        self, sampler: Tree, n: int
    ) -> Iterator[tuple[int, tuple[Array, Array], tuple[Array, ...]]]:
        """For each batch: how many of its samples count, their pixels' moments, their encoding.

        The device works on the next batch while the host takes in the last.
        """
        params = self._encoding.params if self._encoding else None
        running: tuple[int, Any] | None = None
        with progress(n, "Quality") as bar:
            for start in range(0, n, self._batch_size):
                self._between()
                begun = self._program(sampler, params, self._key, start, n)
                if running is not None:
                    yield running[0], *running[1]
                    bar.update(running[0])
                running = (min(self._batch_size, n - start), begun)
            if running is not None:
                yield running[0], *running[1]

    def _programs(self) -> tuple[Callable[..., Tree], Callable[..., Any]]:
        """Two jitted functions; keys are words, uint32 [2], which several processes can share.

        The first maps (state, root key) to the sampler, the second (sampler, encoder's params, root
        key, start, n) to the pixels' moments and the encoding of samples `start` and following.
        Sample i is drawn from the key's i-th child, so that it does not depend on the batch.
        """
        encoding, game, size = self._encoding, self.game, self._batch_size

        def sampler(state: GanState, words: Array) -> Tree:
            return game.sampler(state, jax.random.wrap_key_data(words, impl=RANDOM_BITS))

        def latent(key: Array, i: Array) -> Array:
            return game.latents(jax.random.fold_in(key, i), 1)[0]

        def batch(
            sampler: Tree, params: Any, words: Array, start: Array, n: Array
        ) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
            key = jax.random.wrap_key_data(words, impl=RANDOM_BITS)
            key = jax.random.fold_in(key, Stream.EVALUATION)
            index = start + jnp.arange(size)
            latents = jax.vmap(latent, (None, 0))(key, index)
            if encoding is not None:
                latents = jax.lax.with_sharding_constraint(latents, encoding.by_batch)
            images = game.generate(sampler, latents)
            moments = batch_moments(images, index < n)
            if encoding is None:
                return moments, ()
            return moments, encoding.encoder.apply(params, to_uint8(images))

        compiled = partial(
            jax.jit,
            out_shardings=devices.everywhere(game.mesh),
            compiler_options=compiler_options(),
        )
        return compiled(sampler), compiled(batch)


def progress(n: int, what: str) -> Any:
    """A bar of n images; on a terminal only, and once the work has taken two seconds."""
    return tqdm(total=n, unit="image", desc=what, delay=BAR_AFTER, leave=False, disable=None)


def with_progress(
    batches: Iterable[NDArray[np.uint8]],
    n: int,
    what: str,
    between: Callable[[], None] = lambda: None,
) -> Iterator[NDArray[np.uint8]]:
    """Batches of n images in all, as they are, beneath a bar; `between` is called before each."""
    with progress(n, what) as bar:
        for batch in batches:
            between()
            yield batch
            bar.update(len(batch))


def _chosen(data: DataSettings) -> dict[str, str]:
    """Split and classes, where they choose the images: only TFDS has splits, an array neither."""
    chosen = {}
    if data.name.startswith("tfds:"):
        chosen["split"] = data.split
    if data.classes and data.name != "arrays":
        chosen["classes"] = data.classes
    return chosen


def _variance_of(dataset: Dataset) -> float:
    """PixVar of the data, from images spread evenly over it; that of samples should be like it."""
    return pixel_variance(some(dataset.source, min(len(dataset), FEW)))


def real_statistics(
    encoding: Encoding,
    dataset: Dataset,
    data: DataSettings,
    say: Callable[[str], None] = print,
    between: Callable[[], None] = lambda: None,
) -> Statistics | None:
    """Statistics of a dataset by an encoder, with the covariance's root; computed once and kept
    where they can be. Their source says which images `data` chose.

    None on a process that is not the first, where only the first has the kept copy: it alone
    compares.
    """
    protocol, count = encoding.encoder.protocol, len(dataset)
    chosen, source = _chosen(data), dataset.name
    if "split" in chosen:
        source += f"/{chosen['split']}"
    if "classes" in chosen:
        source += f" (classes {chosen['classes']})"
    path = _statistics_path(repr(protocol), dataset.fingerprint)
    kept = _kept_statistics(path, protocol, count, say)
    if hosts.by_first(lambda: kept is not None):
        return None if kept is None else replace(kept, source=source)
    say(f"Encoding the {count:,} real images of {source} (once) ...")
    batches = with_progress(dataset.batches(encoding.batch_size), count, "Real images", between)
    statistics = encoding.collect(batches, count, source).with_root()

    def keep() -> None:
        with if_writable(say, f"these statistics are {NOT_KEPT}"):
            statistics.save(path)

    hosts.by_first(keep)
    return statistics


def _kept_statistics(
    path: Path, protocol: Protocol, n: int, say: Callable[[str], None]
) -> Statistics | None:
    """The statistics in a file, if they are of n images by this protocol."""
    if not os.path.exists(path):  # `path.exists` raises where the folder may not be looked into
        return None
    try:
        found = load(path)
    except UserError as error:
        say(f"Computed anew: {error}")
        return None
    fits = found.protocol == protocol and found.n == n and found.score is not None
    return found if fits else None


def _statistics_path(protocol: str, fingerprint: str) -> Path:
    name = hashlib.blake2b(protocol.encode(), digest_size=8).hexdigest()
    return cache_dir() / "statistics" / f"{fingerprint}-{name}.npz"
