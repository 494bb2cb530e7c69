"""VDM on MNIST with 256 levels and a small UNet.

python scripts/train.py --config=configs/mnist_vdm.py --workdir=runs/mnist_vdm
"""

from configs import base, swirl_vdm


def get_config(variant=''):
  config = base.vdm()
  config.data.name = 'mnist'
  config.net = base.unet()
  config.net.update({
    'channels': 32, 'multipliers': (1, 2, 2), 'blocks': 1, 'attention': (7,), 'dropout': 0.0,
  })  # fmt: skip
  config.optim.net.update({'learning_rate': 1e-3, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({'steps': 10_000, 'sample_every': 2000})
  config.sample.steps = 250
  return base.variants(config, variant, swirl_vdm.GAMMA)
