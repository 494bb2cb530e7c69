"""BFN on scikit-learn's 8x8 digits, their 17 levels discretised: minutes on a CPU.

python scripts/train.py --config=configs/digits_bfn.py --workdir=runs/digits_bfn
`discrete` has 17 classes per pixel instead; `binarised` draws each pixel anew as 0 or 1.
"""

from configs import base

KIND = {
  'discretised': {},
  'continuous': {'model.kind': 'continuous', 'model.final_spread': 0.7},
  'discrete': {'model.kind': 'discrete', 'model.beta_1': 3.0},
  'binarised': {'model.kind': 'discrete', 'data.binarise': True},
}


def get_config(variant=''):
  config = base.bfn()
  config.data.name = 'digits'
  config.net.update({'channels': 32, 'multipliers': (1, 2), 'blocks': 1, 'attention': (4,)})
  config.model.update({'sigma_1': 1e-3**0.5, 'conditional': True, 'label_drop': 0.1})
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({
    'steps': 2000, 'batch_size': 64, 'eval_every': 500, 'sample_every': 1000, 'save_every': 500,
  })  # fmt: skip
  config.sample.update({'n': 100, 'steps': 100})
  return base.variants(config, variant, KIND)
