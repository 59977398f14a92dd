"""Spectral normalisation on CIFAR-10: the residual networks of the paper, with the hinge loss.

Paper: Miyato et al. 2018, https://arxiv.org/abs/1802.05957, table 4. Recipe: the authors' own
configuration, sn_cifar10_unconditional of https://github.com/pfnet-research/sngan_projection:
generator of 256 channels, critic of 128 with features summed over the image and no bias behind
them, Glorot's weights, Adam 2e-4 with betas 0 and 0.9, decayed linearly over 50,000 rounds, five
critic updates, batch 64, 128 fakes in the generator's update, noise on the real images. The paper
reports IS 8.22 and FID 21.7 for these networks. Its FID is of 5,000 samples against 10,000 images;
so few make FIDs larger. docs/metrics.md has a FID of such networks of 50,000 samples, as here.
Differences: in a round the critic plays first; one step of power iteration serves a critic update
(there reals and fakes take one each, and the generator's update one more); Adam's epsilon is
optax's, and that of batch norms 1e-5 (there 2e-5).
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets), and a GPU: on two CPU cores a round
takes seconds.

    python run.py --config experiments/cifar_sngan.py

Samples are measured by 50,000 of them against the training set.
Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:cifar10"
    config.data.dequantize = True
    config.objective = "hinge"
    config.epochs = 50_000
    config.batch_size = 64
    config.generator_batches = 2
    config.n_critic = 5
    config.latent_dim = 128
    for network in (config.critic, config.generator):
        network.blocks = "residual"
        network.kernel = 3
        network.activation = "relu"
        network.init = "glorot"
    config.critic.normalization = "spectral"
    config.critic.filters = (128, 128, 128, 128)
    config.critic.strides = (2, 2, 1, 1)
    config.critic.pooling = "sum"
    config.critic.score_bias = False
    config.generator.base_filters = 256
    config.generator.filters = (256, 256, 256)
    config.generator.norm_momentum = 0.9
    for optimizer in (config.critic_optimizer, config.generator_optimizer):
        optimizer.name = "adam"
        optimizer.learning_rate = 2e-4
        optimizer.b1, optimizer.b2 = 0.0, 0.9
        optimizer.schedule = "linear"
    config.quality_every = 5_000
    config.quality.n = 50_000
    config.sample_every = 5_000
    config.checkpoint_every = 5_000
    config.log_every = 1_000
    return config
