"""Cold diffusion on scikit-learn's 8x8 digits: columns are averaged, one by one; minutes on a CPU.

python scripts/train.py --config=configs/digits_cold.py --workdir=runs/digits_cold
python scripts/sample.py --workdir=runs/digits_cold --start=real
The second line reconstructs degraded images of the training set; the default start is a sample.
"""

from configs import base, mnist_cold


def get_config(variant=''):
  config = base.cold()
  config.data.name = 'digits'
  config.net.update({'channels': 32, 'multipliers': (1, 2), 'blocks': 1, 'attention': (4,)})
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({
    'steps': 2000, 'batch_size': 64, 'eval_every': 500, 'sample_every': 1000, 'save_every': 500,
  })  # fmt: skip
  config.sample.n = 100
  return base.variants(config, variant, mnist_cold.DEGRADATION, mnist_cold.ORDER, mnist_cold.LOSS)
