"""A classifier of MNIST's digits: of clean images (LeNet), or of noisy ones to guide a DDPM.

python scripts/train.py --config=configs/mnist_classifier.py --workdir=runs/mnist_classifier
python scripts/train.py --config=configs/mnist_classifier.py:noisy --workdir=runs/mnist_noisy
python scripts/sample.py --workdir=runs/mnist --classifier=runs/mnist_noisy --label=3
`cosine` is for a DDPM with the cosine schedule; guidance works across schedules, better within.
"""

from configs import base, mnist_ddpm

KIND = {'clean': {}, 'noisy': {}}


def get_config(variant=''):
  config = base.classifier('noisy' in variant.split(','))
  config.data.name = 'mnist'
  config.train.update({'steps': 4690, 'eval_batches': 78, 'save_every': 1000})  # 10 epochs
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
  config.optim.net.weight_decay = 0.05
  config.ema = 0.999
  config.net.dropout = 0.1 if config.model.noisy else 0.5
  return base.variants(config, variant, KIND, mnist_ddpm.SCHEDULE)
