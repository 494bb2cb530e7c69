"""Cold diffusion on MNIST (Cambridge report): averaged columns or rows, one or four a step; blur.

python scripts/train.py --config=configs/mnist_cold.py --workdir=runs/mnist_cold
python scripts/train.py --config=configs/mnist_cold.py:columns4,inside_out,mse,report \
  --workdir=runs/mnist_cold_report
`report` is the report's CNN (291,217 parameters) and settings.
"""

from configs import base

DEGRADATION = {
  'columns': {},
  'columns4': {'model.group': 4},
  'rows': {'model.degradation': 'rows'},
  'rows4': {'model.degradation': 'rows', 'model.group': 4},
  'blur': {'model.degradation': 'blur'},
}
ORDER = {k: {'model.order': k} for k in ('random', 'outside_in', 'inside_out')}
LOSS = {k: {'model.loss': k} for k in ('l1', 'mse')}
NET = {'small': {}, 'report': {}}


def get_config(variant=''):
  config = base.cold()
  config.data.name = 'mnist'
  if 'report' in variant.split(','):
    config.net = base.cnn()
    config.optim.net.learning_rate = 2e-4
    config.train.steps = 46_900  # 100 epochs
  else:
    config.net.update({
      'channels': 32, 'multipliers': (1, 2, 2), 'blocks': 1, 'attention': (7,), 'dropout': 0.0,
    })  # fmt: skip
    config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
    config.train.steps = 10_000
  config.ema = 0.999
  return base.variants(config, variant, DEGRADATION, ORDER, LOSS, NET)
