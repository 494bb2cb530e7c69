"""Training from end to end: checks, then the loop until the last step or a signal."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from trilemma import data as data_lib
from trilemma import parallel
from trilemma.config import check_train
from trilemma.exits import Preempted, RunError, Stop, UserError
from trilemma.loop import Loop
from trilemma.run import make_model
from trilemma.step import State, init_state, make_tx, train_step
from trilemma.workdir import compare, locked, record


def parameters(tree):
  """The number of parameters in a pytree."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


class Setup(NamedTuple):
  """What a run is made of, before any array is on a device."""

  data: data_lib.Data
  test: data_lib.Data | None
  model: Any
  tx: dict
  abstract: State  # shapes and types of the state


def set_up(config, data_dir=''):
  """Everything that can fail for a user's mistake: settings, data, shapes. Raises UserError."""
  check_train(config)
  data = data_lib.load(config.data, 'train', data_dir)
  test = data_lib.load(config.data, 'test', data_dir) if config.train.eval_every else None
  model = make_model(config, data.spec)
  missing = set(model.losses) - set(config.optim)
  if missing:
    raise UserError(f'config.optim has no section for {", ".join(sorted(missing))}')
  tx = {player: make_tx(config.optim[player], config.train.steps) for player in model.losses}
  abstract = jax.eval_shape(lambda: init_state(model, tx, jax.random.key(0)))
  return Setup(data, test, model, tx, abstract)


def describe(config, setup, workdir, devices):
  """The lines that say what will run."""
  data, train = setup.data, config.train
  counts = {player: parameters(setup.abstract.params[player]) for player in setup.model.losses}
  shape = 'x'.join(map(str, data.spec.shape))
  return '\n'.join([
    f'family   {config.family}, {sum(counts.values()):,} parameters',
    f'data     {data.spec.name} {data.split}: {len(data.image):,} images {shape}, '
    f'{data.spec.levels} levels, {len(data.spec.classes)} classes',
    f'training {train.steps:,} steps of {train.batch_size} = '
    f'{train.steps * train.batch_size / len(data.image):.1f} epochs, seed {train.seed}',
    f'devices  {len(devices)} x {devices[0].device_kind} ({devices[0].platform})',
    f'workdir  {workdir}',
  ])  # fmt: skip


def train(config, workdir, data_dir='', stop=None, devices=None, allowed=()):
  """Trains config in workdir until config.train.steps, or goes on where it was; the last State.

  `stop` is the flag that signals set, `allowed` names the settings that may differ from the
  workdir's. Raises UserError (nothing is changed), Diverged (see workdir/diverged), Preempted
  (saved: the same call goes on) and RunError (the last checkpoint could not be written).
  """
  stop, workdir = stop or Stop(), Path(workdir)
  setup = set_up(config, data_dir)
  devices = devices or jax.devices()
  step_fn = partial(train_step, setup.model, setup.tx, config.ema)
  runner = parallel.make(config.parallel, step_fn, devices, config.train.batch_size)
  print(describe(config, setup, workdir, devices), flush=True)
  with locked(workdir):
    changes = compare(workdir, config, setup.data, allowed)
    loop = Loop(config, setup, runner, workdir, stop, devices)
    record(workdir, config, setup.data, changes)
    whole = True
    try:
      loop.look(again=True)
      while loop.step < config.train.steps:
        loop.advance()
        if loop.due(config.train.log_every) or stop.requested:
          loop.log()
        stop.check()
        loop.look()
        loop.save_if_due()
      whole = loop.save()
    except Preempted:
      loop.save()
      raise
    finally:
      whole = loop.close() and whole
    if not whole:
      raise RunError(f'the last checkpoint could not be written to {workdir / "checkpoints"}')
    return loop.state
