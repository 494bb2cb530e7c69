"""BFN on dynamically binarised MNIST, discrete data of two classes.

python scripts/train.py --config=configs/mnist_bfn.py --workdir=runs/mnist_bfn
`paper` is the authors' net and settings (24,808,961 parameters): quoted after 1M steps, 77.87 nats
per image. Without it a small net for a CPU. beta_1 is 9 as in the authors' code; the paper says 3.
The time enters as 1000 t where they have 4000 t, both class probabilities where they have one.
"""

from configs import base

SIZE = {
  'small': {},
  'paper': {
    'net.channels': 128, 'net.multipliers': (1, 2, 2), 'net.blocks': 2, 'net.attention': (),
    'net.heads': 4, 'net.dropout': 0.5, 'net.readout': 'concat',
    'optim.net.learning_rate': 1e-4, 'optim.net.b2': 0.98, 'optim.net.weight_decay': 0.01,
    'optim.net.clip': 5.0, 'optim.net.schedule': 'constant', 'optim.net.warmup': 0,
    'ema': 0.9999, 'train.steps': 1_000_000, 'train.batch_size': 512, 'train.inner_steps': 10,
    'train.log_every': 1000, 'train.eval_every': 10_000, 'train.sample_every': 10_000,
    'train.save_every': 10_000, 'sample.steps': 1000,
  },
}  # fmt: skip
BETA = {'beta9': {}, 'beta3': {'model.beta_1': 3.0}}


def get_config(variant=''):
  config = base.bfn()
  config.data.update({'name': 'mnist', 'binarise': True})
  config.net.update({
    'channels': 32, 'multipliers': (1, 2, 2), 'blocks': 1, 'attention': (7,), 'dropout': 0.0,
  })  # fmt: skip
  config.model.kind = 'discrete'
  config.optim.net.update({'learning_rate': 1e-3, 'warmup': 100, 'schedule': 'cosine'})
  config.ema = 0.999
  config.train.update({'steps': 10_000, 'sample_every': 2000})
  config.sample.steps = 100
  return base.variants(config, variant, SIZE, BETA)
