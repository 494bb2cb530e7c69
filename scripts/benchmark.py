"""Speed of one configuration on this machine, as one line of JSON; needs no data.

python scripts/benchmark.py --config=configs/cifar10_ddpm.py --config.train.batch_size=32
"""

import json
import resource
import statistics
import time
from functools import partial

from absl import flags

from trilemma import cli

CONFIG = cli.define_config()
REPEATS = flags.DEFINE_integer('repeats', 5, 'Timed repeats; the median counts.', lower_bound=1)
NFE = flags.DEFINE_integer('nfe', 4, 'Sampler steps timed, scaled to all.', 1)


def main(stop):
  import jax
  import numpy as np

  from trilemma import data, parallel
  from trilemma.config import check_train
  from trilemma.run import make_model
  from trilemma.step import init_state, make_tx, train_step
  from trilemma.train import parameters
  from trilemma.workdir import versions

  config = CONFIG.value
  check_train(config)
  c, devices = config.train, jax.devices()
  folder = config.data.name.startswith('folder:')
  spec = data.load(config.data).spec if folder else data.known_spec(config.data)
  model = make_model(config, spec)
  tx = {player: make_tx(config.optim[player], c.steps) for player in model.losses}
  step_fn = partial(train_step, model, tx, config.ema)
  runner = parallel.make(config.parallel, step_fn, devices, c.batch_size)
  inner = 1 if devices[0].platform == 'cpu' else c.inner_steps

  random, key = np.random.default_rng(0), jax.random.key(0)
  n = 4096
  stored = {
    'image': random.integers(0, spec.stored_levels, (n, *spec.shape), np.uint8),
    'label': random.integers(0, max(1, len(spec.classes)), n, np.int32),
  }
  placed = runner.replicate(stored)
  state = runner.replicate(parallel.jit(partial(init_state, model, tx), once=True)(key))
  count = parameters(state.params)

  def batch(step):
    rows = np.stack([data.rows_at(c.seed, step + i, n, c.batch_size) for i in range(inner)])
    index = np.broadcast_to(np.arange(c.batch_size, dtype=np.int32), rows.shape)
    return runner.shard({'row': rows, 'index': index})

  def timed(f):
    began = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - began

  def train_once(step):
    nonlocal state
    state, metrics = runner.step(state, key, placed, batch(step))
    return metrics

  compile_train = timed(lambda: train_once(0))
  timed(lambda: train_once(1))
  dispatch, seconds = [], []
  for repeat in range(REPEATS.value):
    stop.check()
    began = time.perf_counter()
    batch(2 + repeat)
    dispatch.append(time.perf_counter() - began)
    seconds.append(timed(lambda repeat=repeat: train_once(2 + repeat)))
  train_seconds = statistics.median(seconds) / inner
  host_seconds = statistics.median(dispatch) / inner

  sampling, compile_seconds = {}, {'train': compile_train}
  if model.sample:
    steps = few = model.nfe
    if 'steps' in config.sample:
      steps = config.sample.steps or config.model.steps
      few = min(NFE.value, steps)
      config.sample.steps = few
    sampler = parallel.jit(make_model(config, spec).sample)
    keys = jax.random.split(key, c.batch_size)
    label = np.zeros(c.batch_size, np.int32)
    draw = lambda: sampler(state.params, keys, label)
    compile_seconds['sample'] = timed(draw)
    nfe_seconds = statistics.median(timed(draw) for _ in range(REPEATS.value)) / few
    sampling = {
      'forward_seconds': nfe_seconds, 'sample_steps': steps, 'sample_steps_timed': few,
      'sample_images_per_second': c.batch_size / (nfe_seconds * steps),
    }  # fmt: skip

  memory = devices[0].memory_stats() or {}
  peak = memory.get('peak_bytes_in_use')
  print(
    json.dumps({
      'family': config.family, 'data': spec.name, 'parameters': count,
      'device': devices[0].device_kind, 'devices': len(devices), 'batch_size': c.batch_size,
      'dtype': config.net.get('dtype', 'float32'), 'inner_steps': inner,
      'train_step_seconds': train_seconds,
      'train_images_per_second': c.batch_size / train_seconds,
      'host_seconds_per_step': host_seconds,
      **sampling, 'compile_seconds': compile_seconds,
      'peak_memory_mb': (peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 1e6,
      'versions': versions(),
    })
  )  # fmt: skip


if __name__ == '__main__':
  cli.run(main, required=('config',))
