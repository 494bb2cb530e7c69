"""DCGAN on scikit-learn's 8x8 digits: a minute on a CPU.

python scripts/train.py --config=configs/digits_dcgan.py --workdir=runs/digits_dcgan
`smoothed` has the cats report's labels of 0.9 and 0.1 and its fading noise.
"""

from configs import base

LABELS = {
  'plain': {},
  'smoothed': {
    'model.real_label': 0.9, 'model.fake_label': 0.1, 'model.generator_label': 0.9,
    'model.noise': 0.1,
  },
}  # fmt: skip
CLASSES = {'unconditional': {}, 'conditional': {'model.conditional': True}}


def get_config(variant=''):
  config = base.dcgan()
  config.data.name = 'digits'
  config.model.noise_steps = 3000
  config.train.update({
    'steps': 6000, 'batch_size': 64, 'log_every': 500, 'eval_every': 1000, 'sample_every': 2000,
    'save_every': 1000,
  })  # fmt: skip
  config.sample.n = 100
  return base.variants(config, variant, LABELS, CLASSES)
