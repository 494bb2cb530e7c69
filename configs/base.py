"""Every configuration key with its default. An experiment starts from a family's function here.

Values are never None: 0, '' or 'all' stand for 'not used', as each comment says.
"""

from ml_collections import ConfigDict


def optimizer():
  """One player's optimizer: optax, in the order clip, AdamW, learning-rate schedule."""
  return ConfigDict(
    {
      'learning_rate': 2e-4,
      'warmup': 0,  # steps of linear warm-up
      'schedule': 'constant',  # or 'cosine', to 0 at train.steps
      'b1': 0.9,
      'b2': 0.999,
      'eps': 1e-8,
      'weight_decay': 0.0,
      'clip': 1.0,  # global gradient norm; 0: no clipping
      'accumulate': 1,  # batches per update
    }
  )


def common():
  """What every family shares."""
  return ConfigDict(
    {
      'parallel': 'jit',  # or 'pmap': the same step, the same checkpoints
      'data': {
        'name': 'digits',  # mnist, cifar10, swirl, folder:PATH
        'classes': 'all',  # or a subset: 'cats', 'cats+frogs'
        'resolution': 0,  # resize to this side; 0: as stored
        'flip': False,  # random horizontal flips in training
        'binarise': False,  # each pixel redrawn from Bernoulli(its value) at every access
      },
      'net': unet(),
      'optim': {'net': optimizer()},
      'ema': 0.9999,  # decay of the parameters' running mean, per step; warm-up (1 + t) / (10 + t)
      'train': {
        'steps': 10_000,
        'batch_size': 128,  # over all devices
        'inner_steps': 1,  # steps under one dispatch; a CPU always takes 1
        'log_every': 100,
        'eval_every': 1000,  # validation loss on the test split; 0: never
        'eval_batches': 4,
        'sample_every': 2000,  # a picture of sample.n images; 0: never
        'save_every': 1000,
        'save_minutes': 10.0,  # whichever comes first
        'keep': 3,  # checkpoints kept
        'max_skipped': 10,  # non-finite updates in a row before the run stops
        'resident_gb': 8.0,  # a training split up to this size lives on the device
        'seed': 0,
      },
      'sample': {'n': 64},
    }
  )


def unet():
  """The UNet of Ho et al. 2020 for CIFAR-10."""
  return ConfigDict(
    {
      'name': 'unet',
      'channels': 128,
      'multipliers': (1, 2, 2, 2),
      'blocks': 2,  # residual blocks per level
      'attention': (16,),  # resolutions with self-attention
      'middle_attention': True,
      'heads': 1,
      'dropout': 0.1,
      'dtype': 'float32',  # or 'bfloat16': compute; parameters and statistics stay float32
    }
  )


def cnn():
  """The shallow CNN of the Cambridge M2 report."""
  return ConfigDict(
    {
      'name': 'cnn',
      'widths': (16, 32, 32, 16),
      'kernel': 7,
      'activation': 'gelu',  # or 'selu', 'swish'
      'dtype': 'float32',
    }
  )


def ddpm():
  """A DDPM."""
  config = common()
  config.family = 'ddpm'
  config.model = {
    'schedule': 'linear',  # or 'cosine'
    'steps': 1000,  # T
    'rescale_betas': False,  # linear betas times 1000 / T
    'loss': 'simple',  # or 'vlb'
    'variance': 'fixed_large',  # or 'fixed_small'
    'conditional': False,  # on the data's classes
    'label_drop': 0.0,  # probability of training an example without its label
  }
  config.sample.update(
    {
      'sampler': 'ancestral',  # or 'ddim'
      'steps': 0,  # evenly spaced steps of T; 0: all
      'eta': 0.0,  # of ddim: 0 deterministic, 1 ancestral
      'clip': True,  # x_hat to the data's range, in sampling and bits/dim
    }
  )
  return config


def variant(config, name):
  """The config, or with name 'tiny' the same shrunk to seconds for tests."""
  if name not in ('', 'tiny'):
    raise ValueError(f'unknown variant {name!r}: choose tiny')
  return shrink(config) if name == 'tiny' else config


def shrink(config):
  """The same experiment with a tiny net, 32 diffusion steps and four training steps."""
  small = {
    'channels': 8,
    'multipliers': (1, 2),
    'blocks': 1,
    'attention': (),
    'widths': (4, 4),
    'kernel': 3,
  }
  config.net.update({k: v for k, v in small.items() if k in config.net})
  config.model.steps = 32
  config.model.rescale_betas = config.model.schedule == 'linear'
  for optim in config.optim.values():
    optim.warmup = 0
  config.sample.update({'n': 8, 'steps': min(config.sample.steps, 8)})
  config.train.update({
    'steps': 4, 'batch_size': 8, 'inner_steps': 1, 'log_every': 2, 'eval_every': 4,
    'eval_batches': 1, 'sample_every': 4, 'save_every': 2,
  })  # fmt: skip
  return config
