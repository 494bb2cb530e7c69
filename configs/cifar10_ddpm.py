"""DDPM on CIFAR-10: the settings of Ho et al. 2020 (35.7M parameters), or schedule x attention.

python scripts/train.py --config=configs/cifar10_ddpm.py --workdir=runs/cifar10_ddpm
python scripts/train.py --config=configs/cifar10_ddpm.py:report,cosine,no_attention --workdir=runs/x
Quoted from the paper, after 800,000 steps: FID 3.17, IS 9.46, at most 3.75 bits/dim. Quoted from
the DTU report's table 2 (`report`, 60 epochs), in a distance of its own against training / test
images: linear 0.114 / 0.128, linear attention 0.165 / 0.153, cosine 49.393 / 49.058, cosine
attention 14.565 / 14.508.
"""

from configs import base, mnist_ddpm

SIZE = {'paper': {}, 'report': {**mnist_ddpm.REPORT, 'train.steps': 23_440, 'data.flip': False}}


def get_config(variant=''):
  config = base.ddpm()
  config.data.update({'name': 'cifar10', 'flip': True})
  config.optim.net.warmup = 5000
  config.train.update({
    'steps': 800_000, 'inner_steps': 10, 'eval_every': 10_000, 'sample_every': 10_000,
    'save_every': 10_000,
  })  # fmt: skip
  return base.variants(config, variant, SIZE, mnist_ddpm.SCHEDULE, mnist_ddpm.ATTENTION)
