"""WGAN with weight clipping on CIFAR-10: the training guide's network and hyper-parameters.

Paper: Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875 (Algorithm 1: RMSProp 5e-5, c = 0.01,
five critic updates). The guide's: batch 512 (the paper's is 64), 12,000 rounds, and the network,
which is the default of the settings: a critic of four 5x5 convolutions without a norm, a generator
of three upsampling layers with batch norm. Differences: a critic update is one step on real images
and fakes together (there half a step on each), and batch norms use the batch's statistics in its
fakes (there running averages: --config.generator.fakes_statistics=running).
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets).

    python run.py --config experiments/cifar_wgan.py

The guide trains on one class of CIFAR-10: add --config.data.classes=horse.
Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:cifar10"
    config.image_size = 32
    config.epochs = 12_000
    config.batch_size = 512
    config.n_critic = 5
    config.clip = 0.01
    return config
