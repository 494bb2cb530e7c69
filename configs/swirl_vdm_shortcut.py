"""VDM on the 2-D swirl, trained with the fidelity term and sampled by shortcut MCMC (Chen 2023).

python scripts/train.py --config=configs/swirl_vdm_shortcut.py --workdir=runs/swirl_shortcut
python scripts/sample.py --workdir=runs/swirl_shortcut --n=1024 --few=200
`k10` and `k200` draw 10 or all of the 200 steps, in training and sampling; a step of training costs
as many net calls, half a second on 2 cores for k10. The paper has pictures only.
Not yet a recipe that works: from scratch the gradient through the chain explodes (norms of 1e18
after 200 steps, with learning rates of 3e-3 and 3e-4) and the fidelity term grows.
"""

from configs import base, swirl_vdm

FEW = {f'k{k}': {'model.fidelity_few': k, 'sample.few': k} for k in (10, 200)}


def get_config(variant=''):
  config = swirl_vdm.get_config()
  config.model.update({'fidelity': 1.0, 'fidelity_few': 10})
  config.optim.net.clip = 1.0  # of gradients through a chain of ten nets
  config.train.update({
    'steps': 1000, 'inner_steps': 10, 'log_every': 50, 'eval_every': 500, 'sample_every': 500,
    'save_every': 100,
  })  # fmt: skip
  config.sample.update({'sampler': 'shortcut', 'few': 10})
  return base.variants(config, variant, FEW)
