"""BFN on CIFAR-10, discretised or continuous, 256 or 16 bins: the authors' net and settings.

python scripts/train.py --config=configs/cifar10_bfn.py --workdir=runs/cifar10_bfn
30,722,584 parameters discretised, 30,722,188 continuous. Quoted, bits/dim in continuous time: 256
bins 2.68 discretised, 2.66 continuous; 16 bins 0.92 and 0.96.
"""

from configs import base

KIND = {'discretised': {}, 'continuous': {'model.kind': 'continuous'}}
BINS = {
  '256': {},
  '16': {
    'data.bins': 16,
    'model.sigma_1': 1e-3**0.5,
    'model.final_spread': 0.7,
  },
}


def get_config(variant=''):
  config = base.bfn()
  config.data.name = 'cifar10'
  config.net = base.vdm_unet()
  config.net.update({'fourier': (5, 6), 'readout': 'concat', 'extra': False})
  config.optim.net.update({'b2': 0.99, 'weight_decay': 0.01, 'clip': 5.0})
  config.train.update({
    'steps': 1_000_000, 'batch_size': 32, 'inner_steps': 10, 'log_every': 1000,
    'eval_every': 10_000, 'sample_every': 10_000, 'save_every': 10_000,
  })  # fmt: skip
  config.sample.steps = 1000
  return base.variants(config, variant, KIND, BINS)
