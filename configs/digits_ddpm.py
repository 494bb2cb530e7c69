"""Class-conditional DDPM on scikit-learn's 8x8 handwritten digits: the demo, 5 minutes on 2 cores.

python scripts/train.py --config=configs/digits_ddpm.py --workdir=runs/digits_ddpm
"""

from configs import base


def get_config(variant=''):
  config = base.ddpm()
  config.data.name = 'digits'
  config.net.update({'channels': 32, 'multipliers': (1, 2), 'blocks': 1, 'attention': (4,)})
  config.model.update({'schedule': 'cosine', 'steps': 500, 'conditional': True, 'label_drop': 0.1})
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({
    'steps': 2000, 'batch_size': 64, 'eval_every': 500, 'sample_every': 1000, 'save_every': 500,
  })  # fmt: skip
  config.sample.update({'n': 100, 'sampler': 'ddim', 'steps': 50})
  return base.variants(config, variant)
