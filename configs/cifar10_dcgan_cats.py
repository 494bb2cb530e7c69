"""The cats report's DCGAN: 32x32 cats of CIFAR-10, G 1,183,616 and D 663,296 parameters.

python scripts/train.py --config=configs/cifar10_dcgan_cats.py:smoothed --workdir=runs/dcgan_cats
`epochs512` and `epochs1024` are its lengths; `conditional` is on cats and frogs. It gives Frechet
Inception distances of 1,000 images: 113.3 and 109.1, 125.6 smoothed after 1,024 epochs, 231.7 for
cats and 181.7 for frogs when conditional. The amount of noise is not in the report.
"""

from configs import base, digits_dcgan

EPOCHS = {'epochs512': {'train.steps': 40_000}, 'epochs1024': {'train.steps': 80_000}}
CLASSES = {'cats': {}, 'conditional': {'model.conditional': True, 'data.classes': 'cats+frogs'}}


def get_config(variant=''):
  config = base.dcgan()
  config.data.update({'name': 'cifar10', 'classes': 'cats'})
  config.model.update({'latent': 128, 'noise_steps': 20_000})
  config.train.update({'steps': 40_000, 'batch_size': 64})
  return base.variants(config, variant, digits_dcgan.LABELS, EPOCHS, CLASSES)
