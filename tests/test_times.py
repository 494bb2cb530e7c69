"""Importance-sampled times: the ring of last losses, the probabilities, no bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny

from ddpm import times
from trilemma import families, parallel
from trilemma.data import known_spec
from trilemma.step import init_state, make_tx, train_step


def test_the_last_ten_losses_of_each_time_stay():
  """Against a list per time, with batches that hold a time more than ten times."""
  random, steps = np.random.default_rng(0), 4
  history, lists = times.empty(steps), [[] for _ in range(steps)]
  update = jax.jit(times.remember)
  for _ in range(6):
    position = random.choice([1, 2, 2, 2, 4], size=16)
    loss = random.normal(size=16).astype(np.float32)
    loss[3] = np.nan
    history = update(history, jnp.asarray(position), jnp.asarray(loss))
    for p, value in zip(position, loss, strict=True):
      if np.isfinite(value):
        lists[p - 1].append(value)
  for t in range(steps):
    kept = np.asarray(history['losses'][t])
    expected = lists[t][-times.KEPT :]
    np.testing.assert_array_equal(np.sort(kept[: len(expected)]), np.sort(expected))
    seen = len(lists[t])
    assert history['count'][t] == (seen if seen < 20 else 10 + seen % 10)


def test_probabilities_are_uniform_until_every_time_has_ten():
  history = times.empty(3)
  scale = jnp.array([1.0, 2.0, 4.0])
  for number in range(times.KEPT):
    np.testing.assert_allclose(times.probabilities(history), 1 / 3, rtol=1e-6)
    sign = -1 if number % 2 else 1  # the root mean square, not the mean
    history = times.remember(history, jnp.array([1, 2, 3]), sign * scale)
  expected = 0.999 * scale / 7 + 0.001 / 3
  np.testing.assert_allclose(times.probabilities(history), expected, rtol=1e-6)


def importance_config():
  config = tiny()
  config.model.update({'loss': 'vlb', 'times': 'importance', 'conditional': False})
  return config


def test_the_weighted_loss_has_the_uniform_losss_mean():
  """With a history far from the truth: the weight 1 / (T p) takes the bias out."""
  config = importance_config()
  model = families.make(config, known_spec(config.data))
  params = model.init(jax.random.key(0))
  n = 8192
  image = jax.random.randint(jax.random.key(1), (1, 8, 8, 1), 0, 17).astype(jnp.uint8)
  batch = {
    'image': jnp.repeat(image, n, 0), 'label': jnp.zeros(n, jnp.int32), 'index': jnp.arange(n),
  }  # fmt: skip
  size = jnp.linspace(3, 1, 32)
  skewed = {'losses': size[:, None] * jnp.ones((32, 10)), 'count': jnp.full(32, 10)}
  loss = jax.jit(model.losses['net'], static_argnums=4)
  key = jax.random.key(2)
  weighted, metrics = loss({**params, 'times': skewed}, key, batch, 0, True)
  uniform, plain = loss({**params, 'times': skewed}, key, batch, 0, False)
  assert float(weighted) == pytest.approx(float(uniform), rel=0.03)
  assert 'notes' not in plain
  drawn = np.bincount(np.asarray(metrics['notes']['position']) - 1, minlength=32) / n
  np.testing.assert_allclose(drawn, times.probabilities(skewed), atol=0.01)


@pytest.mark.parametrize('mode', ['jit', 'pmap'])
def test_a_step_remembers_the_whole_batch_on_any_number_of_devices(mode):
  config = importance_config()
  model = families.make(config, known_spec(config.data))
  tx = {'net': make_tx(config.optim.net, 4)}
  batch = {
    'image': np.zeros((1, 8, 8, 8, 1), np.uint8), 'label': np.zeros((1, 8), np.int32),
    'index': np.arange(8, dtype=np.int32)[None],
  }  # fmt: skip
  found = []
  for devices in (jax.devices()[:1], jax.devices()[:4]):
    state = init_state(model, tx, jax.random.key(0))
    step = lambda *a, **k: train_step(model, tx, 0.9, *a, **k)
    runner = parallel.make(mode, step, devices, 8)
    state, _ = runner.step(runner.replicate(state), jax.random.key(3), {}, runner.shard(batch))
    found.append(jax.device_get(state.params['times']))
  assert found[0]['count'].sum() == 8
  np.testing.assert_array_equal(found[0]['count'], found[1]['count'])
  np.testing.assert_allclose(found[0]['losses'], found[1]['losses'], rtol=2e-4)
