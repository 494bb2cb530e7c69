"""A trained run, opened for sampling or evaluation from nothing but its workdir."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from ddpm.classifier import make_guide
from trilemma import families
from trilemma.checkpoint import Checkpoints
from trilemma.data import Spec
from trilemma.exits import UserError
from trilemma.model import Model
from trilemma.step import State, init_state, make_tx
from trilemma.workdir import open_config


def make_model(config, spec):
  """The Model of config, with the classifier in the workdir config.sample.classifier as its guide.

  Raises UserError for settings that cannot work and for a classifier of other data.
  """
  workdir = config.sample.get('classifier', '')
  return families.make(config, spec, _open_guide(workdir, spec) if workdir else None)


def _open_guide(workdir, spec):
  run = open_checkpoint(workdir)
  if run.config.family != 'classifier':
    raise UserError(f'{workdir} is no classifier but a run of the family {run.config.family}')
  for what in ('name', 'shape', 'levels', 'classes'):
    theirs, ours = getattr(run.spec, what), getattr(spec, what)
    if theirs != ours:
      raise UserError(
        f'the classifier in {workdir} is for other data: its {what} is {theirs}, not {ours}'
      )
  return make_guide(run.config, run.spec, run.state.ema)


class Run(NamedTuple):
  """config and spec of the workdir, the model they make, and the state of one checkpoint."""

  config: ConfigDict
  spec: Spec
  model: Model
  state: State
  facts: dict[str, Any]


def open_checkpoint(workdir, step=-1, sample=None):
  """The Run of `workdir` at `step` (-1: the newest whole one), with changes to config.sample.

  Raises UserError for a workdir without a run or a checkpoint, and for a bad change.
  """
  workdir = Path(workdir)
  config, spec = open_config(workdir)
  config.sample.update(sample or {})
  model = make_model(config, spec)
  tx = {player: make_tx(config.optim[player], config.train.steps) for player in model.losses}
  abstract = jax.eval_shape(lambda: init_state(model, tx, jax.random.key(0)))
  directory = workdir / 'checkpoints'
  found = directory.is_dir() and Checkpoints(directory, read_only=True).restore(
    abstract, None if step < 0 else step
  )
  if not found:
    raise UserError(f'{workdir} has no checkpoint yet: train longer or sooner save_every')
  return Run(config, spec, model, *found)
