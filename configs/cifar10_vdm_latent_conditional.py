"""Latent VDM, conditional on classes: a learned encoder and decoder around a diffused vector.

python scripts/train.py --config=configs/cifar10_vdm_latent_conditional.py --workdir=runs/latent
`mnist` is the same on binarised MNIST, nearer to the CS726 report's model: Bernoulli pixels drawn
anew at every access, a label unknown with chance 0.2, T = 1000, log SNR from 1 to -5.
"""

from configs import base

DATA = {
  'cifar10': {},
  'mnist': {'data.name': 'mnist', 'data.binarise': True, 'model.latent': 32},
}


def get_config(variant=''):
  config = base.vdm()
  config.data.name = 'cifar10'
  config.net = base.latent_net()
  config.model.update({
    'gamma': 'fixed_linear', 'gamma_min': -1.0, 'gamma_max': 5.0, 'steps': 1000, 'latent': 128,
    'conditional': True, 'label_drop': 0.2,
  })  # fmt: skip
  config.optim.net.update({
    'learning_rate': 8e-4, 'warmup': 250, 'schedule': 'cosine', 'weight_decay': 1e-4,
  })  # fmt: skip
  config.ema = 0.999
  config.train.update({'steps': 20_000, 'sample_every': 2000})
  config.sample.n = 100
  return base.variants(config, variant, DATA)
