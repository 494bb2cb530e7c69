"""Checkpoints: a state and a JSON of facts per step. The only file that imports orbax."""

import itertools
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from trilemma.exits import UserError


def layout(state):
  """[dtype, shape] of every leaf, as kept in the facts: orbax would cast a dtype silently."""
  return [[str(leaf.dtype), list(leaf.shape)] for leaf in jax.tree.leaves(state)]


def finite(state):
  """Whether every number in a pytree is finite."""
  return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


class Checkpoints:
  """The checkpoints under `directory`, the newest `keep` of them; writes in the background."""

  def __init__(self, directory, keep=3, read_only=False):
    self.directory = Path(directory).absolute()
    self.keep, self.read_only = keep, read_only
    self._open(cleanup=not read_only)

  def _open(self, cleanup=False):
    options = ocp.CheckpointManagerOptions(
      max_to_keep=None if self.read_only else self.keep,
      read_only=self.read_only,
      create=not self.read_only,
      cleanup_tmp_directories=cleanup,
    )
    self._manager = ocp.CheckpointManager(self.directory, options=options)

  def steps(self):
    """Every step on disk, in order; the newest may be broken."""
    return sorted(self._manager.all_steps())

  def save(self, state, facts):
    """Starts writing `state` under its step, once; False, after a warning, where that failed.

    A state that is not finite is refused, so that it never pushes out a good one. A failure of the
    save before, which ran in the background, is only a warning: training goes on.
    """
    step = int(state.step)
    self._report()
    if step in self._manager.all_steps():
      return True
    if not finite(state):
      print(f'warning: step {step} is not finite and was not saved', file=sys.stderr)
      return False  # and no new manager: the save before may still be under way
    # A copy, because the next train step donates the state while this is still being written.
    state = jax.tree.map(jnp.copy, state)
    args = ocp.args.Composite(
      state=ocp.args.StandardSave(state),
      facts=ocp.args.JsonSave({**facts, 'step': step, 'layout': layout(state)}),
    )
    try:
      self._manager.save(step, args=args, force=True)
    except Exception as e:  # whatever the file system or orbax raises, the run must go on
      return self._warn(e)
    return True

  def wait(self):
    """Blocks until everything is written; False, after a warning, where that failed."""
    try:
      self._manager.wait_until_finished()
    except Exception as e:
      return self._warn(e)
    return self._report()

  def _report(self):
    try:
      self._manager.check_for_errors()
    except Exception as e:
      return self._warn(e)
    return True

  def _warn(self, error):
    line = str(error).strip().splitlines()
    print(
      f'warning: a checkpoint could not be written ({line[0] if line else type(error).__name__}); '
      'the next period tries again',
      file=sys.stderr,
    )
    # What of it can be removed is. Orbax's threads may still be writing other parts of it, so that
    # its own cleanup could fail, and the next save with it.
    for leftover in self.directory.glob('*.orbax-checkpoint-tmp'):
      shutil.rmtree(leftover, ignore_errors=True)
    self._open()  # forget the step that never arrived
    return False

  def restore(self, abstract, step=None):
    """(state, facts) of `step`, or of the newest step that is whole; None where there is none.

    `abstract` is the state as jax.ShapeDtypeStruct leaves. A newer step that is broken (truncated,
    empty, not finite, of another step) is reported and renamed to STEP.bad once an older one
    has been found good. Raises UserError if there are checkpoints and none is whole.
    """
    steps = self.steps()
    if step is not None and step not in steps:
      known = ', '.join(map(str, steps)) or 'none'
      raise UserError(f'no checkpoint of step {step} in {self.directory}: there is {known}')
    broken = []
    for candidate in [step] if step is not None else reversed(steps):
      try:
        restored = self._restore(abstract, candidate)
      except Exception as e:  # orbax has no one error for a damaged checkpoint
        line = str(e).strip().splitlines()
        broken.append((candidate, line[0][:200] if line else type(e).__name__))
        continue
      self._set_aside(broken)
      return restored
    if not broken:
      return None
    reasons = '; '.join(f'{number}: {reason}' for number, reason in broken)
    raise UserError(
      f'no checkpoint in {self.directory} can be restored, none was touched ({reasons})'
    )

  def _restore(self, abstract, step):
    facts = self._manager.restore(step, args=ocp.args.Composite(facts=ocp.args.JsonRestore())).facts
    if facts['step'] != step:
      raise ValueError(f'holds step {facts["step"]}')
    if facts['layout'] != layout(abstract):
      raise ValueError('its arrays have other shapes or types than this configuration makes')
    here = SingleDeviceSharding(jax.devices()[0])  # it may have been saved on other devices
    placed = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(jax.tree.map(placed, abstract)))
    state = self._manager.restore(step, args=args).state
    if not finite(state):
      raise ValueError('holds values that are not finite')
    return state, facts

  def _set_aside(self, broken):
    for step, reason in broken:
      print(f'warning: checkpoint {step} is broken ({reason}); going back', file=sys.stderr)
      if not self.read_only:
        names = itertools.chain([f'{step}.bad'], (f'{step}.bad.{n}' for n in itertools.count(2)))
        free = next(name for name in names if not (self.directory / name).exists())
        (self.directory / str(step)).rename(self.directory / free)
    if broken:
      self._open()


def save_once(directory, state):
  """Writes one state to a new directory, for a post-mortem."""
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(Path(directory).absolute(), state, force=True)
