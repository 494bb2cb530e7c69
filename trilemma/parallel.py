"""The step over devices: the only code that knows how many there are."""

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trilemma.exits import UserError, choose


def jit(f, once=False, **kwargs):
  """jax.jit with the compiler options that this backend needs; XLA_FLAGS has the last word.

  On CPU, jaxlib 0.10's default convolutions run at half the speed of the older path, which an empty
  xla_cpu_experimental_ynn_fusion_type brings back, and the pass that drops the barriers of
  nets/layers.py before fusion is left out. A program that runs `once` is compiled without
  optimisation, four times sooner.
  """
  options = {
    'xla_cpu_experimental_ynn_fusion_type': '',
    'xla_disable_hlo_passes': 'cse_barrier_expander',
  }
  if once:
    options['xla_backend_optimization_level'] = 0
  if jax.default_backend() == 'cpu':
    flags = os.environ.get('XLA_FLAGS', '')
    kwargs['compiler_options'] = {k: v for k, v in options.items() if k not in flags}
  return jax.jit(f, **kwargs)


def shardings(devices, axis=0):
  """(replicated, sharded): shardings that copy an array to `devices` or split it along `axis`."""
  mesh = Mesh(np.array(devices), ('batch',))
  split = PartitionSpec(*[None] * axis, 'batch')
  return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, split)


class Parallel(NamedTuple):
  """How a run uses its devices.

  step(state, key, data, batch) -> (state, metrics): `batch` leaves are [k,B,...] and k steps run
  under one dispatch; the state is donated where the mode can; metrics are stacked [k].
  replicate(tree), shard(batch) place arrays for it.
  """

  step: Callable
  replicate: Callable
  shard: Callable


def fetch(data, batch):
  """The batch that a model sees: rows i32[B] looked up in the resident `data`, if there is any."""
  if 'row' not in batch:
    return batch
  found = {name: array[batch['row']] for name, array in data.items()}
  return {**found, 'index': batch['index']}


def _run(train_step, state, key, data, batch):
  def body(state, batch):
    key_now = jax.random.fold_in(key, state.step)  # nothing random is carried
    return train_step(state, key_now, fetch(data, batch))

  if batch['index'].shape[0] > 1:
    return jax.lax.scan(body, state, batch)
  # XLA:CPU runs convolution gradients inside a loop 18 times slower: a single step is no loop
  state, metrics = body(state, jax.tree.map(lambda x: x[0], batch))
  return state, jax.tree.map(lambda x: x[None], metrics)


def _jit(train_step, devices):
  replicated, sharded = shardings(devices, axis=1)
  step = jit(partial(_run, train_step), donate_argnums=0, out_shardings=replicated)
  return Parallel(
    step, lambda tree: jax.device_put(tree, replicated), lambda tree: jax.device_put(tree, sharded)
  )


def _pmap(train_step, devices):
  """The step under pmap: the same but for dropout masks, which each device draws for its share."""
  mean = partial(jax.lax.pmean, axis_name='batch')
  gather = partial(jax.lax.all_gather, axis_name='batch', tiled=True)
  pmapped = jax.pmap(
    partial(_run, partial(train_step, mean=mean, gather=gather)), axis_name='batch',
    devices=devices, in_axes=(None, None, None, 0), out_axes=None,
  )  # fmt: skip

  def shard(batch):  # [k,B,...] -> [devices,k,B/devices,...]
    split = lambda x: np.stack(np.split(np.asarray(x), len(devices), axis=1))
    return jax.tree.map(split, batch)

  everywhere, _ = shardings(devices)
  return Parallel(pmapped, lambda tree: jax.device_put(tree, everywhere), shard)


MODES = {'jit': _jit, 'pmap': _pmap}


def make(mode, train_step, devices, batch_size):
  """The Parallel of config.parallel. Raises UserError for a batch that does not divide."""
  if batch_size % len(devices):
    raise UserError(
      f'config.train.batch_size={batch_size} does not divide over {len(devices)} devices: '
      f'use {max(1, batch_size // len(devices)) * len(devices)}'
    )
  return choose('config.parallel', mode, MODES)(train_step, list(devices))
