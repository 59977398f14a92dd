"""WGAN with weight clipping on CIFAR-10, by the recipe behind the best published FID with clipping.

Recipe: pytorch-gan-collections' WGAN (c 0.1, Adam 2e-4 with betas 0 and 0.9, one critic update a
round, batch 128, 100,000 updates, linear decay, no batch norm in the critic), which reports IS 6.62
and FID 40.03 (50,000 samples against the training set) for its own code. The network here is the
guide's, not theirs.
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets).

    python run.py --config experiments/cifar_wgan_adam.py

Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:cifar10"
    config.data.flip = True
    config.epochs = 100_000
    config.batch_size = 128
    config.n_critic = 1
    config.clip = 0.1
    for optimizer in (config.critic_optimizer, config.generator_optimizer):
        optimizer.name = "adam"
        optimizer.learning_rate = 2e-4
        optimizer.b1, optimizer.b2 = 0.0, 0.9
        optimizer.schedule = "linear"
    config.quality_every = 5_000
    config.sample_every = 5_000
    config.checkpoint_every = 5_000
    config.log_every = 1_000
    return config
