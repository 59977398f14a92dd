"""The log-loss GAN (non-saturating) on CIFAR-10, with the guide's networks.

Papers: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661 (objective); Radford et al. 2016,
https://arxiv.org/abs/1511.06434 (DCGAN: Adam 2e-4, beta1 0.5, batch 128). Dropout in the critic and
the number of rounds are of no paper. Also reports D and G accuracy, by which the guide tells a mode
collapse.
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets).

    python run.py --config experiments/cifar_nsgan.py

Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:cifar10"
    config.objective = "nsgan"
    config.epochs = 50_000
    config.batch_size = 128
    config.n_critic = 1
    config.critic.dropout = 0.3
    for optimizer in (config.critic_optimizer, config.generator_optimizer):
        optimizer.name = "adam"
        optimizer.learning_rate = 2e-4
        optimizer.b1, optimizer.b2 = 0.5, 0.999
    config.quality_every = 2_500
    config.sample_every = 2_500
    config.checkpoint_every = 2_500
    config.log_every = 500
    return config
