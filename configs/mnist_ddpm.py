"""DDPM on MNIST, linear schedule.

python scripts/train.py --config=configs/mnist_ddpm.py --workdir=runs/mnist_ddpm
"""

from configs import base


def get_config(variant=''):
  config = base.ddpm()
  config.data.name = 'mnist'
  config.net.update({'channels': 32, 'multipliers': (1, 2, 2), 'blocks': 1, 'attention': (7,)})
  config.net.dropout = 0.0
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 200, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({'steps': 10_000, 'sample_every': 2000})
  config.sample.update({'sampler': 'ddim', 'steps': 50})
  return base.variant(config, variant)
