"""VDM on the 2-D swirl, 1,024 points of 8 bits, as in Kingma et al.'s example: minutes on a CPU.

python scripts/train.py --config=configs/swirl_vdm.py --workdir=runs/swirl_vdm
python scripts/train.py --config=configs/swirl_vdm.py:variance --workdir=runs/swirl_net
The empirical entropy of the training points is 4.735 bits/dim, which no bound on them can be below;
--metrics=bits --split=train measures it, the default the bound on another draw.
"""

from configs import base

NET = {'model.gamma': 'learned_net'}
GAMMA = {
  'learned_linear': {'model.gamma': 'learned_linear'},
  'fixed_linear': {'model.gamma': 'fixed_linear'},
  'learned_net': NET,  # its ends are trained; its interior by these:
  'vlb': {**NET, 'model.gamma_objective': 'vlb'},
  'variance': {**NET, 'model.gamma_objective': 'variance'},
}


def get_config(variant=''):
  config = base.vdm()
  config.data.name = 'swirl'
  config.net = base.mlp()
  config.model.update({'center': (115.567, 135.311), 'spread': (47.216, 41.607)})
  config.optim.net.update({
    'learning_rate': 3e-3, 'warmup': 0, 'schedule': 'cosine', 'b2': 0.999, 'weight_decay': 1e-4,
  })  # fmt: skip
  config.ema = 0.999
  config.train.update({
    'steps': 20_000, 'batch_size': 1024, 'inner_steps': 100, 'log_every': 1000,
    'eval_every': 5000, 'sample_every': 5000, 'save_every': 5000,
  })  # fmt: skip
  config.sample.update({'n': 1024, 'steps': 200})
  return base.variants(config, variant, GAMMA)
