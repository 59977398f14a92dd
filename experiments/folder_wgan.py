"""WGAN with weight clipping on your own pictures, with the guide's network.

Needs: a folder of PNG, JPEG, WebP or BMP pictures, at least a batch of them; each is cropped to its
centre square and resized.

    python run.py --config experiments/folder_wgan.py --config.data.name=folder:my_pictures

For 64x64 take experiments/lsun_dcgan64.py, with the same --config.data.name. Of a few hundred
pictures hold some out, --config.data.held_out=50: the run then says when its critic knows the
others by heart. --config.augmentation=translation,cutout may make that later.
Result: depends on your pictures.
"""

from ml_collections import ConfigDict

from wgan_jax import config as configs


def get_config() -> ConfigDict:
    config = configs.base()
    config.data.name = "folder:my_pictures"
    config.data.flip = True
    config.image_size = 32
    config.batch_size = 64
    return config
