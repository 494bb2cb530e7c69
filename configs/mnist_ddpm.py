"""DDPM on MNIST: schedule x attention, with a small net or with that of the DTU report's table 1.

python scripts/train.py --config=configs/mnist_ddpm.py --workdir=runs/mnist_ddpm
python scripts/train.py --config=configs/mnist_ddpm.py:cosine,no_attention,report --workdir=runs/x
Quoted from the report, after 30 epochs, in a Frechet distance of its own on 8,192 samples, against
training / test images: linear 2.286 / 2.803, linear attention 2.849 / 3.490, cosine 2.105 / 2.724,
cosine attention 1.766 / 2.385.
"""

from configs import base

SCHEDULE = {'linear': {'model.schedule': 'linear'}, 'cosine': {'model.schedule': 'cosine'}}
ATTENTION = {'attention': {}, 'no_attention': {'net.attention': (), 'net.middle_attention': False}}
# three levels of two blocks, 64-128-256 channels; README.md says how the report's own net differs
REPORT = {
  'net.channels': 64, 'net.multipliers': (1, 2, 4), 'net.blocks': 2, 'net.dropout': 0.1,
  'optim.net.learning_rate': 1e-4, 'optim.net.warmup': 0, 'optim.net.schedule': 'constant',
  'ema': 0.9999, 'train.inner_steps': 10, 'sample.sampler': 'ancestral', 'sample.steps': 0,
}  # fmt: skip
SIZE = {'small': {}, 'report': {**REPORT, 'train.steps': 14_060}}  # 30 epochs of 128


def get_config(variant=''):
  config = base.ddpm()
  config.data.name = 'mnist'
  config.net.update({'channels': 32, 'multipliers': (1, 2, 2), 'blocks': 1, 'attention': (7,)})
  config.net.dropout = 0.0
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 200, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({'steps': 10_000, 'sample_every': 2000})
  config.sample.update({'sampler': 'ddim', 'steps': 50})
  return base.variants(config, variant, SIZE, SCHEDULE, ATTENTION)
