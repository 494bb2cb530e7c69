"""VDM on the 2-D swirl, 1,024 points of 8 bits, as in Kingma et al.'s example: minutes on a CPU.

python scripts/train.py --config=configs/swirl_vdm.py --workdir=runs/swirl_vdm
python scripts/train.py --config=configs/swirl_vdm.py:variance --workdir=runs/swirl_net
The empirical entropy of the points is 4.735 bits/dim, which no bound on them can be below.
"""

from configs import base

GAMMA = {g: {'model.gamma': g} for g in ('fixed_linear', 'learned_linear', 'learned_net')}
# what trains the interior of learned_net
OBJECTIVE = {
  o: {'model.gamma': 'learned_net', 'model.gamma_objective': o} for o in ('none', 'vlb', 'variance')
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
  return base.variants(config, variant, GAMMA, OBJECTIVE)
