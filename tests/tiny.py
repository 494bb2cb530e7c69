"""The tiny experiment of conftest.py as a configuration file, for tests of the command line."""

from configs import base


def get_config(variant=''):
  config = base.shrink(base.ddpm())
  config.net = base.cnn()
  config.net.update({'widths': (4,), 'kernel': 3})
  config.model.conditional = True
  config.sample.update({'sampler': 'ddim', 'steps': 4})
  config.train.update({
    'steps': 20, 'log_every': 20, 'save_every': 20, 'eval_every': 0, 'sample_every': 0, 'keep': 100,
  })  # fmt: skip
  return base.variants(config, variant)
