"""One update of each player: `(game, state, inputs) -> (state, metrics)`, pure."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from wgan_jax.gan.augmentation import augment
from wgan_jax.gan.metrics import gradient_norm
from wgan_jax.gan.objectives import gradient_penalty
from wgan_jax.gan.state import Game, GanState, Player, Stream, Tree, from_uint8
from wgan_jax.gan.transforms import project

Metrics = dict[str, Array]


def fakes_for_critic(game: Game, state: GanState, update: Array, key: Array) -> Array:
    """The fakes for the critic update of that number: float32 [batch, h, w, c] in [-1, 1].

    The generator's norm uses batch statistics, as in the authors' code, or running averages, as in
    the guide's. These change in the generator's own update only, so that the fakes of a whole round
    may be made at once.
    """
    latent_key, *_ = _critic_keys(key, update)
    latents = game.sharded(game.latents(latent_key, game.settings.batch_size))
    params, stats = state.generator.params, state.generator.stats
    if game.settings.generator.fakes_statistics == "batch":
        return _generate(game, params, stats, latents)[0]
    return game.generate({"params": params, **stats}, latents)


def critic_step(
    game: Game, state: GanState, batch: Array, fake: Array, key: Array
) -> tuple[GanState, Metrics]:
    """One critic update on a batch of real images and as many fakes.

    Args:
      game: the static part.
      state: before the update.
      batch: real images, uint8 [batch, h, w, c].
      fake: those of `fakes_for_critic` for this update.
      key: the run's root key.

    Returns:
      The state after the update, and scalars measured before it: `d_loss_real`, `d_loss_fake`,
      `d_loss`, `wasserstein_distance`, `critic_grad_norm` and the objective's extras.
    """
    _, flip_key, real_key, fake_key, mix_key = _critic_keys(key, state.critic_updates)
    if game.settings.data.dequantize:
        real = _dequantized(batch, _noise(key, state.critic_updates, batch.shape))
    else:
        real = from_uint8(batch)
    if game.settings.data.flip:
        real = _flip(real, flip_key)
    number, size = state.critic_updates, len(batch)
    real = augment(real, game.views(size, key, Stream.REAL_VIEWS, number))
    fake = augment(fake, game.views(size, key, Stream.FAKE_VIEWS, number))

    def loss(params: Tree) -> tuple[Array, tuple[Tree, Metrics]]:
        real_scores, fake_scores, stats = _score_both(
            game, params, state.critic.stats, (real, fake), (real_key, fake_key)
        )
        real_term = game.objective.real(real_scores).mean()
        fake_term = game.objective.fake(fake_scores).mean()
        total = real_term + fake_term
        metrics = {
            "d_loss_real": real_term,
            "d_loss_fake": fake_term,
            "d_loss": 0.5 * total,
            "wasserstein_distance": real_scores.mean() - fake_scores.mean(),
        }
        if game.kind.log_loss:
            right = jnp.mean(real_scores > 0) + jnp.mean(fake_scores < 0)
            metrics["d_accuracy"] = 0.5 * right
        if game.kind.penalizes:
            penalty = gradient_penalty(
                lambda x: _score(game, params, stats, x, fake_key)[0], real, fake, mix_key
            ).mean()
            metrics["gradient_penalty"] = penalty
            total = total + game.settings.gradient_penalty * penalty
        return total, (stats, metrics)

    grads, (stats, metrics) = jax.grad(loss, has_aux=True)(state.critic.params)
    critic = _update(game.critic_optimizer, state.critic, grads, stats, state.rate_factor)
    if game.kind.clips:
        critic = critic.replace(params=project(critic.params, game.settings.clip))
    metrics["critic_grad_norm"] = gradient_norm(grads)
    return state.replace(critic=critic, critic_updates=state.critic_updates + 1), metrics


def generator_step(game: Game, state: GanState, key: Array) -> tuple[GanState, Metrics]:
    """One generator update against the critic as it stands.

    Returns:
      The state after the update, and scalars measured before it: `g_loss`,
      `generator_grad_norm` and, for a log loss, `g_accuracy`.
    """
    step_key = jax.random.fold_in(jax.random.fold_in(key, Stream.GENERATOR), state.epoch)
    latent_key, dropout_key = jax.random.split(step_key)
    size = game.settings.generator_batches * game.settings.batch_size
    latents = game.sharded(game.latents(latent_key, size))

    def loss(params: Tree) -> tuple[Array, tuple[Tree, Metrics]]:
        fakes, stats = _generate(game, params, state.generator.stats, latents)
        fakes = augment(fakes, game.views(size, key, Stream.GENERATOR_VIEWS, state.epoch))
        scores, _ = _score(game, state.critic.params, state.critic.stats, fakes, dropout_key)
        value = game.objective.generator(scores).mean()
        metrics = {"g_loss": value}
        if game.kind.log_loss:
            metrics["g_accuracy"] = jnp.mean(scores > 0)
        return value, (stats, metrics)

    grads, (stats, metrics) = jax.grad(loss, has_aux=True)(state.generator.params)
    generator = _update(game.generator_optimizer, state.generator, grads, stats, state.rate_factor)
    metrics["generator_grad_norm"] = gradient_norm(grads)
    ema = state.ema
    if ema is not None:
        ema = optax.incremental_update(generator.params, ema, 1 - game.settings.ema)
    return state.replace(generator=generator, ema=ema), metrics


def _critic_keys(key: Array, update: Array) -> Array:
    """Keys [5] of a critic update: latents, flips, dropout on reals, dropout on fakes, mixing."""
    step_key = jax.random.fold_in(jax.random.fold_in(key, Stream.CRITIC), update)
    return jax.random.split(step_key, 5)


def _score(game: Game, params: Tree, stats: Tree, images: Array, key: Array) -> tuple[Array, Tree]:
    """Scores [batch] of images as in training, and what the critic's normalisation then keeps."""
    variables = game.critic_variables(params, stats)
    scores, changed = game.critic.apply(
        variables, images, train=True, rngs={"dropout": key}, mutable=list(stats)
    )
    return scores, dict(changed)


def _score_both(
    game: Game,
    params: Tree,
    stats: Tree,
    images: tuple[Array, Array],
    keys: tuple[Array, Array],
) -> tuple[Array, Array, Tree]:
    """Scores of real images and of fakes; in one pass where every image is judged by itself."""
    (real, fake), (real_key, fake_key) = images, keys
    critic = game.settings.critic
    if critic.normalization == "batch" or critic.dropout:
        real_scores, stats = _score(game, params, stats, real, real_key)
        fake_scores, stats = _score(game, params, stats, fake, fake_key)
    else:
        # Pairs, not halves: each device keeps its share of the batch.
        pairs = jnp.stack(images, axis=1).reshape(-1, *real.shape[1:])
        scores, stats = _score(game, params, stats, pairs, real_key)
        real_scores, fake_scores = scores[0::2], scores[1::2]
    return real_scores, fake_scores, stats


def _generate(game: Game, params: Tree, stats: Tree, latents: Array) -> tuple[Array, Tree]:
    """Images by batch statistics, and the generator's new running averages."""
    images, changed = game.generator.apply(
        {"params": params, **stats}, latents, train=True, mutable=list(stats)
    )
    return images, dict(changed)


def _update(
    tx: optax.GradientTransformationExtraArgs,
    player: Player,
    grads: Tree,
    stats: Tree,
    rate_factor: Array,
) -> Player:
    updates, opt_state = tx.update(grads, player.opt_state, player.params, rate_factor=rate_factor)
    params: Any = optax.apply_updates(player.params, updates)
    return Player(params=params, stats=stats, opt_state=opt_state)


def _noise(key: Array, update: Array, shape: tuple[int, ...]) -> Array:
    """What is added to the real images of a critic update, uniform from 0 to 1, float32."""
    step_key = jax.random.fold_in(jax.random.fold_in(key, Stream.DEQUANTIZATION), update)
    return jax.random.uniform(step_key, shape, jnp.float32)


def _dequantized(images: Array, noise: Array) -> Array:
    """uint8 0..255 with noise of less than a step -> float32 [-1, 1), without gaps between levels.

    As Miyato et al. 2018 train; Theis et al. 2016, section 3.1, say why: a critic can else tell
    real images by their levels alone.
    """
    return (images.astype(jnp.float32) + noise) / 128.0 - 1.0


def _flip(images: Array, key: Array) -> Array:
    """Each image mirrored left-right with probability 1/2."""
    mirror = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirror, images[:, :, ::-1], images)
