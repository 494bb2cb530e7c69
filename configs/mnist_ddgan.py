"""Denoising-diffusion GAN on 28x28 MNIST.

python scripts/train.py --config=configs/mnist_ddgan.py --workdir=runs/mnist_ddgan
"""

from configs import base, digits_ddgan


def get_config(variant=''):
  config = base.ddgan()
  config.data.name = 'mnist'
  config.net.update({
    'channels': 16, 'multipliers': (1, 2, 4), 'blocks': 1, 'attention': (7,), 'style': 64,
    'mapping': 2,
  })  # fmt: skip
  # down to 3x3: without the last halving it judges strokes, not digits
  config.discriminator.update({'channels': 16, 'multipliers': (1, 2, 8, 8), 'embedding': 64})
  config.model.update({'latent': 64, 'r1': 0.05})
  # as for the digits: a small discriminator must learn faster than the generator
  config.optim.discriminator.learning_rate = 5e-4
  config.optim.generator.learning_rate = 5e-5
  config.ema = 0.999
  config.train.update({'steps': 10_000, 'batch_size': 64, 'sample_every': 1000})
  return base.variants(config, variant, digits_ddgan.STEPS)
