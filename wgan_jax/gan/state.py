"""The game's static part (`Game`) and its arrays (`GanState`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh

from wgan_jax import devices
from wgan_jax.backend import RANDOM_BITS, check_flags
from wgan_jax.gan.augmentation import Draws, draw
from wgan_jax.gan.metrics import WINDOW
from wgan_jax.gan.networks import Critic, Generator, pooled
from wgan_jax.gan.objectives import OBJECTIVES, Objective
from wgan_jax.gan.spectral import first_directions, normalized
from wgan_jax.gan.transforms import clip_weights, optimizer
from wgan_jax.keys import ROUND_KEYS
from wgan_jax.limits import OBJECTIVES as KINDS
from wgan_jax.limits import Kind
from wgan_jax.settings import Settings, critic_updates

Tree = Any
GRID = 64  # samples in a grid
SPECTRAL = "spectral"  # the collection of what spectral normalisation keeps
STANDING = 1024  # latents for standing statistics, rounded up to whole batches


class Stream(IntEnum):
    """Independent sources of randomness: `fold_in(root key, stream)`, then `fold_in(step)`."""

    CRITIC_INIT = 0
    GENERATOR_INIT = 1
    ORDER = 2
    CRITIC = 3
    GENERATOR = 4
    SAMPLES = 5
    EVALUATION = 6
    GRID = 7
    STANDING = 8
    SPECTRAL = 9
    DEQUANTIZATION = 10
    REAL_VIEWS = 11
    FAKE_VIEWS = 12
    GENERATOR_VIEWS = 13
    HELD_OUT = 14
    HELD_OUT_VIEWS = 15


def root_key(seed: int) -> Array:
    """The key that all randomness of a run is derived from."""
    return jax.random.key(seed, impl=RANDOM_BITS)


class Player(flax.struct.PyTreeNode):
    """One network in training.

    Attributes:
      params: trainable weights.
      stats: what its normalisation keeps, by collection: running averages, or directions of
        spectral normalisation; empty where there is none.
      opt_state: its optimiser's arrays.
    """

    params: Tree
    stats: Tree
    opt_state: optax.OptState


class GanState(flax.struct.PyTreeNode):
    """All that changes from round to round, arrays only: what a checkpoint holds.

    Attributes:
      epoch: rounds played, int32.
      critic_updates: critic updates played, int32; numbers their randomness.
      passes: whole passes over the data, uint32.
      position: images drawn in the current pass, uint32, below the size of the dataset.
      critic: the critic.
      generator: the generator.
      ema: exponential average of the generator's weights; None where off.
      recent_d_loss: critic loss of the last epochs, float32 [WINDOW], a ring.
      rate_factor: multiplies both learning rates, float32; 1 until a rollback lowers it.
    """

    epoch: Array
    critic_updates: Array
    passes: Array
    position: Array
    critic: Player
    generator: Player
    ema: Tree
    recent_d_loss: Array
    rate_factor: Array


@dataclass(frozen=True)
class Game:
    """What is fixed in a run: settings, networks, objective, optimisers. Hashable, no arrays.

    Attributes:
      settings: resolved settings.
      image_shape: (height, width, channels).
      mesh: the devices that share every batch.
      critic, generator: the networks.
      objective: what both minimise.
      critic_optimizer, generator_optimizer: optax transforms; the critic's clips where it must.
    """

    settings: Settings
    image_shape: tuple[int, int, int]
    mesh: Mesh
    critic: Critic
    generator: Generator
    objective: Objective
    critic_optimizer: optax.GradientTransformationExtraArgs
    generator_optimizer: optax.GradientTransformationExtraArgs

    @property
    def kind(self) -> Kind:
        """What is true of the objective."""
        return KINDS[self.settings.objective]

    @property
    def metric_keys(self) -> tuple[str, ...]:
        """Names of the columns that a round measures, in order."""
        extra: tuple[str, ...] = ()
        if self.kind.log_loss:
            extra += ("d_accuracy", "g_accuracy")
        if self.kind.penalizes:
            extra += ("gradient_penalty",)
        return ROUND_KEYS + extra

    def new_state(self, key: Array) -> GanState:
        """Initial weights and empty counters, from the run's root key. Pure: to be jitted."""
        settings = self.settings
        critic = _new_player(
            self.critic,
            self.critic_optimizer,
            jax.random.fold_in(key, Stream.CRITIC_INIT),
            jnp.zeros((1, *self.image_shape)),
        )
        if settings.critic.normalization == "spectral":
            directions = first_directions(critic.params, jax.random.fold_in(key, Stream.SPECTRAL))
            critic = critic.replace(stats=critic.stats | {SPECTRAL: directions})
        generator = _new_player(
            self.generator,
            self.generator_optimizer,
            jax.random.fold_in(key, Stream.GENERATOR_INIT),
            jnp.zeros((1, settings.latent_dim)),
        )
        return GanState(
            epoch=jnp.int32(0),
            critic_updates=jnp.int32(0),
            passes=jnp.uint32(0),
            position=jnp.uint32(0),
            critic=critic,
            generator=generator,
            # A copy: donated buffers must not be the same ones twice.
            ema=jax.tree.map(jnp.copy, generator.params) if settings.ema else None,
            recent_d_loss=jnp.zeros(WINDOW, jnp.float32),
            rate_factor=jnp.float32(1),
        )

    def sharded(self, rows: Array) -> Array:
        """The same rows [n, ...], each device with its share; n a multiple of the mesh's size."""
        shares: Array = lax.with_sharding_constraint(rows, devices.by_batch(self.mesh))
        return shares

    def latents(self, key: Array, n: int) -> Array:
        """Generator inputs [n, latent_dim], float32, from N(0, 1)."""
        return jax.random.normal(key, (n, self.settings.latent_dim), jnp.float32)

    def grid_latents(self, key: Array) -> Array:
        """The latents of every sample grid [GRID, latent_dim], from the run's root key."""
        return self.latents(jax.random.fold_in(key, Stream.GRID), GRID)

    def sampler(self, state: GanState, key: Array, standing: int = STANDING) -> Tree:
        """The generator's variables for making samples, from the run's root key. Pure.

        The weights are the averaged ones where averaging is on. The normalisation uses standing
        statistics (Brock et al. 2019, appendix C.1): those of `standing` latents with these very
        weights. Running averages would not fit: they come from the weights of earlier rounds.
        """
        params = state.generator.params if state.ema is None else state.ema
        still = replace(self.settings.generator, norm_momentum=0.0)  # statistics of the batch alone
        generator = self.generator.clone(settings=still)

        def of_batch(key: Array) -> Tree:
            latents = self.latents(key, self.settings.batch_size)
            variables, changing = {"params": params, **state.generator.stats}, ["batch_stats"]
            return generator.apply(variables, latents, train=True, mutable=changing)[1]

        batches = -(-standing // self.settings.batch_size)
        keys = jax.random.split(jax.random.fold_in(key, Stream.STANDING), batches)
        return {"params": params, **pooled(lax.map(of_batch, keys))}

    def generate(self, sampler: Tree, latents: Array) -> Array:
        """Samples [n, h, w, c] in [-1, 1] from latents [n, latent_dim]. Pure."""
        images: Any = self.generator.apply(sampler, latents, train=False)
        return jnp.asarray(images)

    def pictures(self, sampler: Tree, latents: Array) -> Array:
        """Samples as they are saved and measured: uint8 [n, h, w, c], 0 to 255."""
        return to_uint8(self.generate(sampler, latents))

    def views(self, n: int, key: Array, stream: Stream, step: Array | int) -> Draws:
        """What is done to n images before the critic sees them: nothing where that is off.

        Args:
          n: how many images.
          key: the run's root key, from which `stream` and `step` derive that of these images.
        """
        if not self.settings.augmentation:
            return {}
        kinds = tuple(self.settings.augmentation.split(","))
        step_key = jax.random.fold_in(jax.random.fold_in(key, stream), step)
        return draw(kinds, step_key, n, self.settings.image_size)

    def critic_variables(self, params: Tree, stats: Tree) -> Tree:
        """The variables that the critic scores with: spectrally normalised where it is so.

        They hold what its normalisation keeps, too, after one more step of it.
        """
        if SPECTRAL not in stats:
            return {"params": params, **stats}
        params, directions = normalized(params, stats[SPECTRAL])
        return {"params": params, **stats, SPECTRAL: directions}

    def scores(self, state: GanState, images: Array) -> Array:
        """The critic's scores float32 [n] of images [n, h, w, c], without dropout. Pure.

        Images are whole numbers, 0 to 255, or floats in [-1, 1], as `generate` makes them and
        gradients go through.
        """
        variables = self.critic_variables(state.critic.params, state.critic.stats)
        pixels = images if jnp.issubdtype(images.dtype, jnp.floating) else from_uint8(images)
        scores: Any = self.critic.apply(variables, pixels, train=False)
        return jnp.asarray(scores)


def from_uint8(images: Array) -> Array:
    """uint8 0..255 -> float32 [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(images: Array) -> Array:
    """[-1, 1] -> uint8 0..255, rounded (half to even)."""
    return jnp.clip(jnp.round(127.5 * images + 127.5), 0, 255).astype(jnp.uint8)


def new_game(settings: Settings, channels: int, mesh: Mesh | None = None) -> Game:
    """The static part of a run on images with so many channels.

    Without a mesh it is for all devices of this machine, whatever devices the run was trained on.

    Raises:
      UserError: jax's flags would make other numbers (`backend.check_flags`).
    """
    check_flags()
    epochs = settings.critic_optimizer.decay_epochs or settings.epochs
    critic_tx = optimizer(settings.critic_optimizer, critic_updates(settings, 0, epochs))
    if KINDS[settings.objective].clips:
        critic_tx = optax.chain(critic_tx, clip_weights(settings.clip))
    size = settings.image_size
    return Game(
        settings=settings,
        image_shape=(size, size, channels),
        mesh=mesh or devices.mesh(),
        critic=Critic(settings.critic, settings.precision),
        generator=Generator(settings.generator, size, channels, settings.precision),
        objective=OBJECTIVES[settings.objective],
        critic_optimizer=critic_tx,
        generator_optimizer=optimizer(
            settings.generator_optimizer,
            settings.generator_optimizer.decay_epochs or settings.epochs,
        ),
    )


def _new_player(
    network: Critic | Generator, tx: optax.GradientTransformation, key: Array, example: Array
) -> Player:
    variables = dict(network.init(key, example, train=False))
    params = variables.pop("params")
    return Player(params=params, stats=variables, opt_state=tx.init(params))
