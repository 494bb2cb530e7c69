"""VDM on CIFAR-10 without augmentation (Kingma et al. 2021): 30,578,181 parameters.

python scripts/train.py --config=configs/cifar10_vdm.py --workdir=runs/cifar10_vdm
Quoted from the paper after 10M steps: 2.65 bits/dim (the authors' checkpoint: 2.637). A port with
fixed_linear reports 2.72 at 2M steps.
"""

from configs import base, swirl_vdm


def get_config(variant=''):
  config = base.vdm()
  config.data.name = 'cifar10'
  config.train.update({
    'steps': 10_000_000, 'inner_steps': 10, 'log_every': 1000, 'eval_every': 10_000,
    'sample_every': 50_000, 'save_every': 10_000,
  })  # fmt: skip
  return base.variants(config, variant, swirl_vdm.GAMMA)
