"""VDM on the 2-D swirl, trained with the fidelity term and sampled by shortcut MCMC (Chen 2023).

python scripts/train.py --config=configs/swirl_vdm_shortcut.py --workdir=runs/swirl_shortcut
python scripts/sample.py --workdir=runs/swirl_shortcut --n=1024 --few=200
`k10` and `k200` draw 10 or all of the 200 steps, in training and sampling; the cost of a fidelity
step is in proportion. Steps on the bound and on the fidelity take turns, as in the original; the
clipping keeps Adam's moments usable, since gradients through the chain reach norms of 1e17. It is
an experiment: its results (README.md) are better than the plain VDM's at K = 10, worse at 200.
"""

from configs import base, swirl_vdm

FEW = {f'k{k}': {'model.fidelity_few': k, 'sample.few': k} for k in (10, 200)}


def get_config(variant=''):
  config = swirl_vdm.get_config()
  config.model.update({'fidelity_every': 2, 'fidelity_few': 10})
  config.optim.net.clip = 1.0
  config.train.update({
    'steps': 8000, 'batch_size': 256, 'log_every': 500, 'eval_every': 2000, 'sample_every': 2000,
    'save_every': 2000,
  })  # fmt: skip
  config.sample.update({'sampler': 'shortcut', 'few': 10})
  return base.variants(config, variant, FEW)
