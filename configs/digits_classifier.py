"""A classifier of scikit-learn's 8x8 digits: of clean images (LeNet), or of noisy ones to guide.

python scripts/train.py --config=configs/digits_classifier.py:noisy --workdir=runs/digits_noisy
python scripts/sample.py --workdir=runs/digits_ddpm --classifier=runs/digits_noisy --guidance=0
"""

from configs import base, mnist_classifier


def get_config(variant=''):
  config = mnist_classifier.get_config('noisy' if 'noisy' in variant.split(',') else '')
  config.data.name = 'digits'
  if config.model.noisy:
    config.net.multipliers = (1, 2)
  config.model.update({'schedule': 'cosine', 'steps': 500})
  config.train.update({'steps': 2000, 'batch_size': 64, 'save_every': 500})
  return base.variants(config, variant, mnist_classifier.KIND)
