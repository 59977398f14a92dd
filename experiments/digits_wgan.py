from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "digits"
    config.image_size = 8
    config.epochs = 300
    config.batch_size = 64
    config.critic.filters=(32,64)
    config.critic.strides=(2,2)
    config.critic.kernel=3
    config.generator.filters=(32,)
    config.quality_every=100
    config.log_every=100
    config.sample_every=100
    return config
