"""WGAN with gradient penalty on CIFAR-10 with residual networks, by a published recipe.

Paper: Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, appendix F. Settings and networks of
pytorch-gan-collections (https://github.com/w86763777/pytorch-gan-collections,
configs/WGANGP_CIFAR10_RES.txt): generator of 256 channels, critic of 128 without a norm and with
features summed over the image, Glorot's weights, Adam 2e-4 with betas 0 and 0.9, decayed linearly
over 100,000 rounds, five critic updates, batch 64, 128 fakes in the generator's update, images
mirrored at random. For its own code it reports IS 7.95 and FID 16.95 (50,000 samples against the
training set). docs/metrics.md says what differs here. The paper's networks differ in two things:
128 channels in the generator, and the mean of the critic's features instead of their sum; its code
also adds noise to the 8-bit images, mirrors none of them, and is told their classes by default.
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets), and a GPU: on two CPU cores a round
takes seconds.

    python run.py --config experiments/cifar_wgan_gp_resnet.py

Samples are measured as there: 50,000 against the training set, by the `pytorch` input protocol
(docs/metrics.md).
Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:cifar10"
    config.data.flip = True
    config.objective = "wgan_gp"
    config.gradient_penalty = 10.0
    config.epochs = 100_000
    config.batch_size = 64
    config.generator_batches = 2
    config.n_critic = 5
    config.latent_dim = 128
    for network in (config.critic, config.generator):
        network.blocks = "residual"
        network.kernel = 3
        network.activation = "relu"
        network.init = "glorot"
    config.critic.filters = (128, 128, 128, 128)
    config.critic.strides = (2, 2, 1, 1)
    config.critic.pooling = "sum"
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
    config.quality.resize = "pytorch"
    config.sample_every = 5_000
    config.checkpoint_every = 5_000
    config.log_every = 1_000
    return config
