"""The WGAN paper's DCGAN on LSUN bedrooms, 64x64.

Paper: Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, figure 5, and the authors' code
(https://github.com/martinarjovsky/WassersteinGAN): critic 4x4 convolutions of stride 2
(64-128-256-512), generator mirrored, batch 64, c = 0.01, RMSProp 5e-5, and 100 critic updates in
the first 25 rounds and in every 500th. What differs from their code: the critic has no batch norm
here (clipping crushes its scales), weights are clipped after each critic update, as in the paper's
Algorithm 1, and not before it, the critic's last layer and the generator's first and last have
biases, scales of batch norms start at exactly 1, pictures are made smaller by bicubic instead of
bilinear filters, and the run is shorter: its 100,000 rounds draw 11 times as many pictures as there
are, their default of 25 passes is 228,000 rounds.
Needs: LSUN bedrooms (43 GB, fetched once by TensorFlow Datasets). Its 3 million images would take
37 GB at 64x64, so they are streamed: decoded while the device works, by as many processes as
--config.data.workers says. Such a process decodes about 700 images a second. To try it on fewer
pictures, or to hold all of them on the device:

    python run.py --config experiments/lsun_dcgan64.py
    python run.py --config experiments/lsun_dcgan64.py --config.data.name=folder:my_pictures
    python run.py --config experiments/lsun_dcgan64.py --config.data.stream=false

The same DCGAN takes 32x32 pictures with --config.image_size=32.
Result with the real data: not yet measured.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "tfds:lsun/bedroom"
    config.data.stream = True
    config.data.workers = 8
    config.image_size = 64
    config.epochs = 100_000
    config.batch_size = 64
    config.n_critic_schedule.warm_epochs = 25
    config.n_critic_schedule.period = 500
    config.n_critic_schedule.long = 100
    config.critic.filters = (64, 128, 256, 512)
    config.critic.strides = (2, 2, 2, 2)
    config.critic.kernel = 4
    config.critic.bias = False
    config.generator.base_filters = 512
    config.generator.filters = (256, 128, 64)
    config.generator.kernel = 4
    config.generator.upsampling = "transposed"
    config.generator.double_output = True
    config.generator.activation = "relu"
    config.generator.norm_momentum = 0.9
    config.generator.bias = False
    config.quality_every = 5_000
    config.sample_every = 1_000
    config.checkpoint_every = 5_000
    config.log_every = 500
    return config
