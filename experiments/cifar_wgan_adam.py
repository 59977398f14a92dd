"""WGAN with weight clipping on CIFAR-10, by a published recipe.

Settings and networks of pytorch-gan-collections
(https://github.com/w86763777/pytorch-gan-collections, configs/WGAN_CIFAR10_CNN.txt): a critic of
3x3 and strided 4x4 convolutions by turns, without a norm; a DCGAN generator whose last convolution
is 3x3; c 0.1, Adam 2e-4 with betas 0 and 0.9, decayed linearly over 100,000 rounds, one critic
update a round, batch 128, 256 fakes in the generator's update, images mirrored at random. For its
own code it reports IS 6.62 and FID 40.03 (50,000 samples against the training set). docs/metrics.md
says what differs here.
Needs: CIFAR-10 (162 MB, fetched once by TensorFlow Datasets).

    python run.py --config experiments/cifar_wgan_adam.py

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
    config.epochs = 100_000
    config.batch_size = 128
    config.generator_batches = 2
    config.n_critic = 1
    config.clip = 0.1
    config.critic.filters = (64, 128, 128, 256, 256, 512, 512)
    config.critic.strides = (1, 2, 1, 2, 1, 2, 1)
    config.critic.kernels = (3, 4, 3, 4, 3, 4, 3)
    config.critic.leak = 0.1
    config.generator.base_filters = 512
    config.generator.filters = (256, 128, 64)
    config.generator.kernel = 4
    config.generator.output_kernel = 3
    config.generator.upsampling = "transposed"
    config.generator.activation = "relu"
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
