"""Unconditional DDPM on CIFAR-10 with the settings of Ho et al. 2020 (35.7M parameters).

python scripts/train.py --config=configs/cifar10_ddpm.py --workdir=runs/cifar10_ddpm
Quoted from the paper, after 800,000 steps: FID 3.17, IS 9.46, at most 3.75 bits/dim.
"""

from configs import base


def get_config(variant=''):
  config = base.ddpm()
  config.data.update({'name': 'cifar10', 'flip': True})
  config.optim.net.warmup = 5000
  config.train.update({
    'steps': 800_000, 'inner_steps': 10, 'eval_every': 10_000, 'sample_every': 10_000,
    'save_every': 10_000,
  })  # fmt: skip
  return base.variant(config, variant)
