"""Denoising-diffusion GAN on scikit-learn's 8x8 digits: minutes on a CPU.

python scripts/train.py --config=configs/digits_ddgan.py --workdir=runs/digits_ddgan
`t2`, `t4` and `t8` are the numbers of steps.
"""

from configs import base

STEPS = {f't{n}': {'model.steps': n} for n in (2, 4, 8)}


def get_config(variant=''):
  config = base.ddgan()
  config.data.name = 'digits'
  config.net.update({
    'channels': 32, 'multipliers': (1, 2), 'blocks': 1, 'attention': (4,), 'style': 64,
    'mapping': 2,
  })  # fmt: skip
  config.discriminator.update({'channels': 32, 'multipliers': (1, 2, 4), 'embedding': 64})
  config.model.update({'latent': 32, 'r1': 0.05})
  # at equal rates the generator outruns a discriminator this small, which then tells it nothing
  config.optim.discriminator.learning_rate = 5e-4
  config.optim.generator.learning_rate = 5e-5
  config.ema = 0.999
  config.train.update({
    'steps': 3000, 'batch_size': 64, 'log_every': 200, 'eval_every': 1000, 'sample_every': 1000,
    'save_every': 1000,
  })  # fmt: skip
  config.sample.n = 100
  return base.variants(config, variant, STEPS)
