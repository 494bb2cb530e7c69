"""VDM on scikit-learn's 8x8 digits with 17 levels: minutes on a CPU.

python scripts/train.py --config=configs/digits_vdm.py --workdir=runs/digits_vdm
python scripts/train.py --config=configs/digits_vdm.py:variance --workdir=runs/digits_net
gamma_min fits 17 levels: a spacing of 2/17 is 9.6 sigma_0 at -8.8, as 2/256 is 6 at -13.3.
"""

from configs import base, swirl_vdm


def get_config(variant=''):
  config = base.vdm()
  config.data.name = 'digits'
  config.net = base.unet()
  config.net.update({'channels': 32, 'multipliers': (1, 2), 'blocks': 1, 'attention': (4,)})
  config.model.update({'gamma_min': -8.8, 'conditional': True, 'label_drop': 0.1})
  config.optim.net.update({'learning_rate': 1e-3, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({
    'steps': 2000, 'batch_size': 64, 'eval_every': 500, 'sample_every': 1000, 'save_every': 500,
  })  # fmt: skip
  config.sample.update({'n': 100, 'steps': 100})
  return base.variants(config, variant, swirl_vdm.GAMMA)
