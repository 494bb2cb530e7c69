"""Class-conditional DDPM on MNIST with classifier-free guidance, as in the ProbAI report.

python scripts/train.py --config=configs/mnist_guided_ddpm.py --workdir=runs/mnist_guided
python scripts/sample.py --workdir=runs/mnist_guided --guidance=0,1,2,4
The label enters through one-hot -> Dense -> GELU -> Dense, or a table (`table`). The report says:
30 epochs, linear schedule, digits good from epoch 16 on, '4' and '8' weak.
"""

from configs import base, mnist_ddpm

LABEL = {'mlp': {}, 'table': {'net.label': 'table'}}


def get_config(variant=''):
  config = mnist_ddpm.get_config()
  config.net.label = 'mlp'
  config.model.update({'conditional': True, 'label_drop': 0.1})
  config.train.steps = 14_060  # 30 epochs of 128
  config.sample.update({'n': 100, 'guidance': 2.0})
  return base.variants(config, variant, mnist_ddpm.SCHEDULE, LABEL)
