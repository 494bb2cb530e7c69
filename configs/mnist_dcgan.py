"""DCGAN on 28x28 MNIST.

python scripts/train.py --config=configs/mnist_dcgan.py --workdir=runs/mnist_dcgan
"""

from configs import base, digits_dcgan


def get_config(variant=''):
  config = base.dcgan()
  config.data.name = 'mnist'
  config.model.noise_steps = 5000
  config.train.update({'steps': 10_000, 'batch_size': 64, 'sample_every': 1000})
  return base.variants(config, variant, digits_dcgan.LABELS, digits_dcgan.CLASSES)
