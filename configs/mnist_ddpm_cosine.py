"""DDPM on MNIST, cosine schedule.

python scripts/train.py --config=configs/mnist_ddpm_cosine.py --workdir=runs/mnist_ddpm_cosine
"""

from configs import base, mnist_ddpm


def get_config(variant=''):
  config = mnist_ddpm.get_config()
  config.model.schedule = 'cosine'
  return base.variant(config, variant)
