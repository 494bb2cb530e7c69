"""A trained run, opened for sampling or evaluation from nothing but its workdir."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

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
  return families.make(config, spec, open_guide(workdir, spec) if workdir else None)


def open_guide(workdir, spec):
  """The guide that the classifier trained in `workdir` gives to a model of data `spec`."""
  run = open_checkpoint(workdir)
  if run.config.family not in families.GUIDES:
    raise UserError(f'{workdir} is no classifier but a run of the family {run.config.family}')
  for what in ('name', 'shape', 'levels', 'classes'):
    theirs, ours = getattr(run.spec, what), getattr(spec, what)
    if theirs != ours:
      raise UserError(
        f'the classifier in {workdir} is for other data: its {what} is {theirs}, not {ours}'
      )
  return families.GUIDES[run.config.family](run.config, run.spec, run.state.ema)


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
  _change(config, sample or {})
  model = make_model(config, spec)
  tx = {player: make_tx(config.optim[player], config.train.steps) for player in model.losses}
  abstract = jax.eval_shape(lambda: init_state(model, tx, jax.random.key(0)))
  directory = workdir / 'checkpoints'
  found = directory.is_dir() and Checkpoints(directory, read_only=True).restore(
    abstract, None if step < 0 else step
  )
  if not found:
    raise UserError(f'{workdir} has no checkpoint yet: run scripts/train.py on it again')
  return Run(config, spec, model, *found)


def _change(config, sample):
  for key, value in sample.items():
    if key not in config.sample:
      raise UserError(f'{key} is no setting of sampling from a {config.family}')
    config.sample[key] = value


def changed(run, sample):
  """The same Run, its model made with changes to config.sample. Raises UserError for a bad one."""
  config = run.config.copy_and_resolve_references()
  _change(config, sample)
  return run._replace(config=config, model=make_model(config, run.spec))


def digest(params):
  """sha256 over a pytree's arrays: which weights a result was made with."""
  sha = hashlib.sha256()
  for leaf in jax.tree.leaves(params):
    sha.update(np.ascontiguousarray(leaf))
  return sha.hexdigest()
