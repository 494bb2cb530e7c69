"""DDPM on a directory of images; sub-directories, if there are any, are the classes.

python scripts/train.py --config=configs/folder_ddpm.py --config.data.name=folder:PATH \
  --config.data.resolution=64 --workdir=runs/folder_ddpm
"""

from configs import base


def get_config(variant=''):
  config = base.ddpm()
  config.data.update({'name': 'folder:images', 'resolution': 64, 'flip': True})
  config.net.update({'channels': 64, 'multipliers': (1, 2, 3, 4), 'attention': (16, 8)})
  config.optim.net.warmup = 1000
  config.train.update({'steps': 200_000, 'batch_size': 64, 'inner_steps': 10})
  config.sample.update({'sampler': 'ddim', 'steps': 100})
  return base.variants(config, variant)
