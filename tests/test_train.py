"""One training step, and that it does not depend on how it is run."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny

from configs import base
from trilemma import data, families, parallel
from trilemma.config import check_train
from trilemma.exits import UserError
from trilemma.model import Model
from trilemma.step import init_state, make_tx, train_step


def quadratic(losses):
  """A model of scalars whose losses are given as functions of the params and the step."""
  players = {
    name: (lambda params, key, batch, step, train, f=f: (f(params, step), {}))
    for name, f in losses.items()
  }
  init = lambda key: {name: jnp.ones(()) for name in losses}
  return Model(init, players, None, None)


def run(model, steps, ema=0.9, **optimizer):
  section = base.optimizer()
  section.update({'learning_rate': 0.1, 'clip': 0.0, **optimizer})
  tx = {player: make_tx(section, steps) for player in model.losses}
  state, history = init_state(model, tx, jax.random.key(0)), []
  step = jax.jit(partial(train_step, model, tx, ema))
  for n in range(steps):
    state, metrics = step(state, jax.random.key(n), {})
    history.append((state, metrics))
  return history


def test_a_non_finite_update_is_skipped_and_counted():
  bad = lambda params, step: params['net'] ** 2 + jnp.where((step == 1) | (step == 2), jnp.nan, 0.0)
  history = run(quadratic({'net': bad}), 5)
  values = [float(state.params['net']) for state, _ in history]
  assert values[0] == values[1] == values[2] > values[3] > values[4]
  in_row = [int(metrics['train/net/skipped_in_row']) for _, metrics in history]
  assert in_row == [0, 1, 2, 0, 0]
  assert int(history[-1][1]['train/net/skipped']) == 2


def test_an_infinite_loss_with_finite_gradient_counts_as_non_finite():
  history = run(quadratic({'net': lambda params, step: params['net'] + jnp.inf}), 1)
  assert int(history[0][1]['train/net/skipped']) == 1


def test_players_are_updated_in_turn_each_seeing_the_last():
  losses = {'a': lambda p, step: p['a'] ** 2, 'b': lambda p, step: (p['b'] - p['a']) ** 2}
  (state, metrics), *_ = run(quadratic(losses), 1)
  # Adam's first step is the learning rate: a = 0.9 first, so that b's loss is 0.01, not 0
  assert float(state.params['a']) == pytest.approx(0.9, abs=1e-5)
  assert float(metrics['train/b/loss']) == pytest.approx(0.01, abs=1e-5)


def test_running_mean_starts_as_a_copy_and_warms_up():
  history = run(quadratic({'net': lambda p, step: p['net'] ** 2}), 3, ema=0.9)
  expected = 1.0
  for n, (state, _) in enumerate(history):
    decay = min(0.9, (1 + n) / (10 + n))
    expected = decay * expected + (1 - decay) * float(state.params['net'])
    assert float(state.ema['net']) == pytest.approx(expected, rel=1e-5)


def test_running_mean_of_a_drift_lags_by_decay_over_one_minus_decay():
  """Adam on a constant gradient moves by the learning rate: the mean lags by 9 of those."""
  state, _ = run(quadratic({'net': lambda p, step: p['net']}), 300, ema=0.9)[-1]
  assert float(state.ema['net'] - state.params['net']) == pytest.approx(0.9, rel=1e-2)


def test_accumulated_batches_make_one_update():
  loss = lambda p, step: (step + 1.0) * p['net']
  history = run(quadratic({'net': loss}), 4, accumulate=2)
  values = [float(state.params['net']) for state, _ in history]
  assert values[0] == 1 and values[1] == values[2] < 1 and values[3] < values[2]


def test_schedules_count_updates_where_batches_are_accumulated():
  history = run(quadratic({'net': lambda p, step: p['net']}), 8, accumulate=2, schedule='cosine')
  values = [1.0] + [float(state.params['net']) for state, _ in history][1::2]
  expected = 0.05 * (1 + np.cos(np.pi * np.arange(4) / 4))
  np.testing.assert_allclose(-np.diff(values), expected, atol=1e-5)


def test_learning_rate_schedules():
  slow = run(quadratic({'net': lambda p, step: p['net']}), 4, warmup=2)
  values = [1.0] + [float(state.params['net']) for state, _ in slow]
  np.testing.assert_allclose(-np.diff(values), [0, 0.05, 0.1, 0.1], atol=1e-5)
  decayed = run(quadratic({'net': lambda p, step: p['net']}), 4, schedule='cosine')
  values = [1.0] + [float(state.params['net']) for state, _ in decayed]
  expected = 0.05 * (1 + np.cos(np.pi * np.arange(4) / 4))
  np.testing.assert_allclose(-np.diff(values), expected, atol=1e-5)


def trained(mode, devices, steps=4, k=1, batch_size=16):
  """(params, losses) of the tiny digits model after `steps` steps, k per dispatch."""
  config = tiny()
  loaded = data.load(config.data)
  model = families.make(config, loaded.spec)
  tx = {'net': make_tx(config.optim.net, steps)}
  runner = parallel.make(mode, partial(train_step, model, tx, 0.99), devices, batch_size)
  key = jax.random.key(1)
  state = runner.replicate(init_state(model, tx, key))
  placed = runner.replicate({'image': loaded.image, 'label': loaded.label})
  losses = []
  for step in range(0, steps, k):
    rows = np.stack([data.rows_at(0, step + i, 1498, batch_size) for i in range(k)])
    index = np.broadcast_to(np.arange(batch_size, dtype=np.int32), rows.shape)
    state, metrics = runner.step(state, key, placed, runner.shard({'row': rows, 'index': index}))
    losses.extend(np.asarray(metrics['train/net/loss']))
  return jax.device_get(state), np.array(losses)


@pytest.fixture(scope='module')
def reference():
  return trained('jit', jax.devices()[:1])


@pytest.mark.parametrize(('mode', 'count', 'k'), [
  ('jit', 8, 1), ('pmap', 8, 1), ('pmap', 1, 1), ('jit', 1, 2), ('jit', 8, 4),
])  # fmt: skip
def test_every_way_to_run_gives_the_same(reference, mode, count, k):
  """One device equals eight, pmap equals jit, a scan over steps equals single steps."""
  state, losses = trained(mode, jax.devices()[:count], k=k)
  np.testing.assert_allclose(losses, reference[1], rtol=1e-5)
  assert int(state.step) == 4
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(reference[0]), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def test_a_batch_that_does_not_divide_over_devices_is_refused():
  with pytest.raises(UserError, match='does not divide over 8 devices: use 8'):
    parallel.make('jit', None, jax.devices(), 12)
  with pytest.raises(UserError, match='jit, pmap'):
    parallel.make('xmap', None, jax.devices(), 8)


@pytest.mark.parametrize(('key', 'value', 'message'), [
  ('train.steps', 0, 'at least 1'),
  ('train.log_every', 3, 'no multiple of config.train.inner_steps=2'),
  ('train.eval_every', -1, '0 for never'),
  ('train.seed', -1, 'seed'),
  ('ema', 1.0, r'\[0, 1\)'),
  ('sample.n', 0, 'at least 1'),
  ('optim.net.schedule', 'step', 'constant or cosine'),
  ('optim.net.accumulate', 0, 'at least 1'),
  ('optim.net.warmup', -1, 'warmup'),
  ('optim.net.learning_rate', float('nan'), 'learning_rate=nan'),
  ('parallel', 'xmap', 'jit, pmap'),
  ('data.resolution', -4, 'as stored'),
])  # fmt: skip
def test_training_settings_that_cannot_work_say_so(key, value, message):
  config = tiny()
  config.train.inner_steps = 2
  config.update_from_flattened_dict({key: value})
  with pytest.raises(UserError, match=message):
    check_train(config)
