"""A classifier of clean CIFAR-10 images, whose features evaluation can compare images by.

python scripts/train.py --config=configs/cifar10_classifier.py --workdir=runs/cifar10_classifier
python scripts/evaluate.py --workdir=RUN --extractor=runs/cifar10_classifier
The UNet's way down at one noise level, 64 to 256 channels; its accuracy was not measured. `lenet`
is smaller, for a CPU: 74.15% of the test images, and what trilemma/weights has. `r16` is for images
of 16x16.
"""

from configs import base

SIZE = {'encoder': {}, 'lenet': {'train.steps': 3910}}  # 10 epochs
RESOLUTION = {'r32': {}, 'r16': {'data.resolution': 16}}


def get_config(variant=''):
  config = base.classifier(False)
  config.data.update({'name': 'cifar10', 'flip': True})
  if 'lenet' in variant.split(','):
    config.net.update({'widths': (32, 64), 'dropout': 0.5})
  else:
    config.net = base.encoder()
    config.net.update({'channels': 64, 'multipliers': (1, 2, 4), 'blocks': 2, 'dropout': 0.1})
  config.train.update({'steps': 11_730, 'eval_batches': 78, 'save_every': 1000})  # 30 epochs
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
  config.optim.net.weight_decay = 0.05
  config.ema = 0.999
  return base.variants(config, variant, SIZE, RESOLUTION)
