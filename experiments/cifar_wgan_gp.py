"""WGAN with gradient penalty on CIFAR-10, with the guide's small networks.

Paper: Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028 (Algorithm 1: lambda 10, Adam 1e-4
with betas 0 and 0.9, five critic updates; section 4: layer norm instead of batch norm in the
critic). The networks are not the paper's.
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets).

    python run.py --config experiments/cifar_wgan_gp.py

Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:cifar10"
    config.objective = "wgan_gp"
    config.gradient_penalty = 10.0
    config.critic.normalization = "layer"
    config.epochs = 100_000
    config.batch_size = 64
    config.n_critic = 5
    for optimizer in (config.critic_optimizer, config.generator_optimizer):
        optimizer.name = "adam"
        optimizer.learning_rate = 1e-4
        optimizer.b1, optimizer.b2 = 0.0, 0.9
    config.quality_every = 5_000
    config.sample_every = 5_000
    config.checkpoint_every = 5_000
    config.log_every = 1_000
    return config
