"""DDPM on MNIST with the shallow CNN of the Cambridge M2 report, in both its settings.

python scripts/train.py --config=configs/mnist_cnn_ddpm.py:first --workdir=runs/mnist_cnn
`first` is its table 1.1 (T = 1000, Adam 2e-4, GELU), `second` its table 1.2 (T = 100, 6e-4, SELU),
both 100 epochs of 128; it gives no numbers. T = 100 with raw betas leaves 36% of the signal's power
at the end, from where sampling does not start; `rescaled` mends it.
"""

from configs import base

SETTINGS = {
  'first': {},
  'second': {
    'model.steps': 100, 'optim.net.learning_rate': 6e-4, 'net.activation': 'selu',
  },
}  # fmt: skip
BETAS = {'raw': {}, 'rescaled': {'model.rescale_betas': True}}


def get_config(variant=''):
  config = base.ddpm()
  config.data.name = 'mnist'
  config.net = base.cnn()
  config.optim.net.clip = 0.0
  config.ema = 0.999
  config.train.update({
    'steps': 46_900, 'inner_steps': 10, 'sample_every': 4690, 'save_every': 4690,
  })  # fmt: skip
  return base.variants(config, variant, SETTINGS, BETAS)
