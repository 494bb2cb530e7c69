"""DDPM on CIFAR-10's airplanes at 16x16: how many steps T, raw and rescaled betas (CS726 report).

python scripts/train.py --config=configs/cifar10_airplanes_ddpm.py:t100,rescaled --workdir=runs/x
Quoted from the report, raw betas, by eye: T = 20, 50, 100 give noise, 500 and 1000 good images. Raw
betas leave abar_T = 0.82, 0.60, 0.36 of the signal at T = 20, 50, 100, though sampling starts from
none; rescaled ones reach noise at every T. At T = 20 they reach 1, which is refused.
"""

from configs import base

STEPS = {f't{t}': {'model.steps': t} for t in (20, 50, 100, 500, 1000)}
BETAS = {'raw': {}, 'rescaled': {'model.rescale_betas': True}}


def get_config(variant=''):
  config = base.ddpm()
  config.data.update({'name': 'cifar10', 'classes': 'airplanes', 'resolution': 16})
  config.net.update({
    'channels': 64, 'multipliers': (1, 2, 4), 'blocks': 1, 'attention': (), 'dropout': 0.0,
  })  # fmt: skip
  config.ema = 0.999
  config.train.update({
    'steps': 20_000, 'inner_steps': 10, 'sample_every': 2000, 'save_every': 2000,
  })  # fmt: skip
  return base.variants(config, variant, STEPS, BETAS)
