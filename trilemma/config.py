"""Configurations: loading with overrides, comparing, and the checks that need no data."""

import math

from ml_collections import ConfigDict

from trilemma.exits import UserError, choose
from trilemma.parallel import MODES

# What may differ when a run goes on: how far, how often, and on what.
FREE = {
  'parallel', 'train.steps', 'train.inner_steps', 'train.log_every', 'train.eval_every',
  'train.eval_batches', 'train.fd_proxy', 'train.sample_every', 'train.save_every',
  'train.save_minutes', 'train.keep', 'train.max_skipped', 'train.resident_gb',
}  # fmt: skip


def flatten(config, prefix=''):
  """{'train.steps': 100, ...} of a ConfigDict or nested dict; tuples become lists."""
  flat = {}
  for key, value in config.items():
    if isinstance(value, ConfigDict | dict):
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = list(value) if isinstance(value, tuple) else value
  return flat


def _schedules(flat):
  return {v for k, v in flat.items() if k.startswith('optim.') and k.endswith('.schedule')}


def differences(old, new):
  """{key: (old, new)} of what must not change while a run goes on; '(none)' for an absent key.

  The number of steps may change, except where a cosine learning rate depends on it.
  """
  old, new = flatten(old), flatten(new)
  free = FREE - {'train.steps'} if 'cosine' in _schedules(new) else FREE
  keys = [k for k in sorted({*old, *new}) if k not in free and not k.startswith('sample.')]
  pairs = {k: (old.get(k, '(none)'), new.get(k, '(none)')) for k in keys}
  return {k: (a, b) for k, (a, b) in pairs.items() if a != b}


def with_defaults(saved):
  """A saved configuration, a dict, with the keys that were added since, at their defaults.

  KeyError or AttributeError where it is no configuration of this project.
  """
  from configs import base  # experiments come after this package

  family = getattr(base, saved['family'])
  default = family(saved['model']['noisy']) if saved['family'] == 'classifier' else family()
  default = default.to_dict()
  default['net'] = getattr(base, saved['net']['name'])().to_dict()
  default['optim'] = {player: base.optimizer().to_dict() for player in saved['optim']}

  def filled(saved, default):
    deeper = {
      k: filled(saved[k], v) for k, v in default.items() if isinstance(v, dict) and k in saved
    }
    return {**default, **saved, **deeper}

  return filled(saved, default)


def check_train(config):
  """Raises UserError for training settings that cannot work."""
  c = config.train
  for name in ('steps', 'batch_size', 'inner_steps', 'log_every', 'save_every', 'keep'):
    if c[name] < 1:
      raise UserError(f'config.train.{name}={c[name]} must be at least 1')
  for name in ('eval_every', 'sample_every'):
    if c[name] < 0:
      raise UserError(f'config.train.{name}={c[name]}: use 0 for never')
  if c.eval_every and c.eval_batches < 1:
    raise UserError(f'config.train.eval_batches={c.eval_batches} must be at least 1')
  for name in ('steps', 'log_every', 'eval_every', 'sample_every', 'save_every'):
    if c[name] % c.inner_steps:
      raise UserError(
        f'config.train.{name}={c[name]} is no multiple of config.train.inner_steps={c.inner_steps}'
      )
  if not 0 <= c.seed < 2**31:
    raise UserError(f'config.train.seed={c.seed} must be in 0..{2**31 - 1}')
  if not 0 <= config.ema < 1:
    raise UserError(f'config.ema={config.ema} must be in [0, 1)')
  if config.sample.n < 1:
    raise UserError(f'config.sample.n={config.sample.n} must be at least 1')
  if c.max_skipped < 0:
    raise UserError(f'config.train.max_skipped={c.max_skipped} must be at least 0')
  choose('config.parallel', config.parallel, MODES)
  if config.data.resolution < 0:
    raise UserError(f'config.data.resolution={config.data.resolution}: use 0 for as stored')
  for player, optim in config.optim.items():
    where = f'config.optim.{player}'
    for name in ('learning_rate', 'weight_decay', 'clip'):
      if not (math.isfinite(optim[name]) and optim[name] >= 0):
        raise UserError(f'{where}.{name}={optim[name]} must be at least 0')
    if optim.schedule not in ('constant', 'cosine'):
      raise UserError(f'{where}.schedule={optim.schedule!r}: choose constant or cosine')
    if optim.accumulate < 1:
      raise UserError(f'{where}.accumulate={optim.accumulate} must be at least 1')
    if optim.warmup < 0 or (optim.schedule == 'cosine' and optim.warmup >= c.steps):
      raise UserError(f'{where}.warmup={optim.warmup} does not fit {c.steps} steps')
