"""Cold diffusion: what its degradations keep, and sampling with a net that knows the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import StandIn, batch_of, refuses

import cold.model
from cold.degrade import DEGRADATIONS
from configs import base
from trilemma import data as data_lib
from trilemma import families
from trilemma.data import Spec, known_spec
from trilemma.run import open_checkpoint
from trilemma.train import train

SPEC = Spec('x', (28, 28, 1), 256, 256, ())
KINDS = ['columns', 'rows', 'blur']


def tiny(**model):
  """A cold diffusion of digits with a net that compiles in a second."""
  config = base.cold()
  config.data.name = 'digits'
  config.net = base.cnn()
  config.net.update({'widths': (4,), 'kernel': 3})
  config.model.update({'components': 2, **model})
  config.train.update({'steps': 2, 'batch_size': 8, 'log_every': 1, 'save_every': 1})
  config.train.update({'eval_every': 0, 'sample_every': 0})
  return config


def made(kind='columns', shape=(28, 28, 1), **model):
  c = base.cold().model
  c.update(model)
  return DEGRADATIONS[kind](shape, c)


def images(n=3, shape=(28, 28, 1), seed=0):
  return jax.random.uniform(jax.random.key(seed), (n, *shape), minval=-1)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shape', [(28, 28, 1), (12, 8, 3)])
def test_a_degradation_starts_clean_is_linear_and_ends_with_its_code(kind, shape):
  d, x, y = made(kind, shape), images(shape=shape), images(shape=shape, seed=1)
  np.testing.assert_allclose(d.apply(x, 0), x, atol=1e-5)
  end = d.apply(x, d.steps)
  np.testing.assert_allclose(d.expand(d.code(x)), end, atol=1e-5)
  s = jnp.array([1, d.steps // 2, d.steps])
  np.testing.assert_allclose(
    d.apply(2 * x - 3 * y, s), 2 * d.apply(x, s) - 3 * d.apply(y, s), atol=1e-4
  )
  each = [d.apply(x[i : i + 1], s[i])[0] for i in range(3)]  # every image has its own step
  np.testing.assert_allclose(d.apply(x, s), each, atol=1e-5)
  # the code survives any degradation, so a chain from it can be consistent
  np.testing.assert_allclose(d.code(d.apply(x, s)), d.code(x), atol=1e-5)


@pytest.mark.parametrize('kind', ['columns', 'rows'])
def test_averages(kind):
  """Idempotent, in steps of whole groups, each column (or row) at its own step."""
  axis = {'columns': 2, 'rows': 1}[kind]
  for group in (1, 4):
    d, x = made(kind, group=group), images()
    assert d.steps == 28 // group
    for s in (1, d.steps // 2, d.steps):
      once = d.apply(x, s)
      np.testing.assert_allclose(d.apply(once, s), once, atol=1e-6)
      changed = np.abs(np.asarray(once - x)).max((0, 3)).max(2 - axis) > 1e-6
      assert changed.sum() == s * group
      assert (changed.reshape(-1, group).all(1) | ~changed.reshape(-1, group).any(1)).all()
    assert float(jnp.abs(jnp.diff(d.apply(x, d.steps), axis=3 - axis)).max()) < 1e-6


def test_orders():
  """1-based as in the report: 1, 28, 2, 27, ... outside in, and that from behind inside out."""

  def order(name, seed=0):
    d, x = made(order=name, order_seed=seed), images(1)
    gone = [np.abs(np.asarray(d.apply(x, s) - x))[0].max((0, 2)) > 1e-6 for s in range(29)]
    return [int(np.flatnonzero(gone[s] & ~gone[s - 1])[0]) + 1 for s in range(1, 29)]

  assert order('outside_in')[:5] == [1, 28, 2, 27, 3]
  assert order('inside_out')[:4] == [15, 14, 16, 13]
  assert sorted(order('random')) == list(range(1, 29))
  assert order('random') == order('random') != order('random', 1)


def test_blur_spreads_a_point_as_a_gaussian():
  """Away from the borders a point of light becomes a normal density, of deviation sigma."""
  d = made('blur', (33, 33, 1), steps=5)
  x = jnp.zeros((1, 33, 33, 1)).at[0, 16, 16, 0].set(1.0)
  sigma = np.geomspace(0.5, 16.5, 4)[1]
  found = np.asarray(d.apply(x, 2))[0, :, :, 0]
  at = np.arange(33) - 16
  normal = np.exp(-(at**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
  np.testing.assert_allclose(found, normal[:, None] * normal, atol=2e-4)
  assert found.sum() == pytest.approx(1, abs=1e-4)


def with_net(monkeypatch, config, f, spec=None):
  monkeypatch.setattr(cold.model, 'make_net', lambda *a, **k: StandIn(f))
  return cold.model.make(config, spec or known_spec(config.data))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('sampler', ['improved', 'naive'])
def test_a_perfect_net_brings_back_the_image_from_its_own_start(monkeypatch, kind, sampler):
  config = tiny(degradation=kind)
  config.sample.update({'sampler': sampler, 'start': 'real', 'start_noise': 0.0})
  data = data_lib.load(config.data, 'train')
  x = jnp.asarray(data.image[:1], jnp.float32) / 8 - 1
  model = with_net(monkeypatch, config, lambda z, t: jnp.broadcast_to(x, z.shape))
  params = model.prepare(model.init(jax.random.key(0)), data.image[:1].repeat(9, 0))
  found = model.sample(params, jax.random.split(jax.random.key(0), 3), jnp.zeros(3, jnp.int32))
  np.testing.assert_array_equal(found, data.image[:1].repeat(3, 0))


def test_the_improved_algorithm_keeps_every_columns_mean(monkeypatch):
  """Whatever the net says: the mean of the start's columns is the images'; the naive one's not."""
  config, spec = tiny(), SPEC._replace(shape=(8, 8, 1))
  config.sample.update({'start': 'gmm', 'start_noise': 0.0, 'frames': 'state'})
  image = np.random.default_rng(0).integers(100, 156, (50, 8, 8, 1)).astype(np.uint8)
  means = []
  for sampler in ('improved', 'naive'):
    config.sample.sampler = sampler
    wild = lambda z, t: 0.2 * jnp.sin(40 * z + jnp.arange(8)[:, None, None])
    model = with_net(monkeypatch, config, wild, spec)
    params = model.prepare(model.init(jax.random.key(0)), image)
    keys = jax.random.split(jax.random.key(0), 4)
    _, frames = model.sample(params, keys, jnp.zeros(4, jnp.int32), 8)
    means.append(np.asarray(frames, float).mean(2) / 127.5 - 1)
  steps, end = means[0][:, :, :, 0], means[0][-1, :, :, 0]
  np.testing.assert_allclose(steps, np.broadcast_to(end, steps.shape), atol=0.01)
  assert np.abs(means[1][0] - means[1][-1]).max() > 0.05


def test_the_loss_is_the_mean_error_over_steps_one_to_all(monkeypatch):
  seen = []
  config = tiny()
  for name, expected in (('l1', 0.5), ('mse', 0.25)):
    config.model.loss = name
    model = with_net(monkeypatch, config, lambda z, t: seen.append(t) or jnp.full_like(z, 0.5))
    batch = batch_of(jnp.full((4000, 8, 8, 1), 8, jnp.uint8))
    loss, _ = model.losses['net'](model.init(jax.random.key(0)), jax.random.key(1), batch, 0, True)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
  t, counts = np.unique(np.asarray(seen[-1]), return_counts=True)
  np.testing.assert_allclose(t, np.arange(1, 9) / 8)  # both ends: t = T is trained
  assert counts.min() > 400


def test_starts_have_the_codes_moments(tmp_path):
  """Drawn codes against those of the training set: mean and covariance; a bank of real ones."""
  config = tiny()
  state = train(config, tmp_path / 'run', devices=jax.devices()[:1])
  data = data_lib.load(config.data, 'train')
  code = (data.image.astype(float) / 8 - 1).mean(1).reshape(len(data.image), -1)
  start = open_checkpoint(tmp_path / 'run').state.ema['start']
  np.testing.assert_allclose(start['gaussian']['means'][0], code.mean(0), atol=1e-4)
  scale = np.asarray(start['gaussian']['scales'][0])
  np.testing.assert_allclose(scale @ scale.T, np.cov(code, rowvar=False), atol=2e-3)
  weights, means = (np.asarray(start['gmm'][k]) for k in ('weights', 'means'))
  np.testing.assert_allclose(weights @ means, code.mean(0), atol=1e-3)
  assert weights.sum() == pytest.approx(1, abs=1e-5)
  distances = np.abs(np.asarray(start['real'])[:20, None] - code).max(-1).min(1)
  assert distances.max() < 1e-5
  for name in ('gaussian', 'gmm', 'real'):
    config.sample.update({'start': name, 'start_noise': 0.0, 'sampler': 'naive'})
    model = families.make(config, known_spec(config.data))
    sample = jax.jit(lambda p, k, model=model: model.sample(p, k, jnp.zeros(len(k)), 1)[0])
    one, other = (sample(state.ema, jax.random.split(jax.random.key(k), 8)) for k in range(2))
    assert one.dtype == jnp.uint8 and one.shape == (8, 8, 8, 1) and (one != other).any()


@pytest.mark.parametrize(('key', 'value', 'message'), [
  ('model.degradation', 'snow', 'blur, columns, rows'),
  ('model.group', 3, 'does not divide 8'),
  ('model.order', 'sorted', 'inside_out, outside_in, random'),
  ('model.loss', 'huber', 'l1, mse'),
  ('model.components', 0, 'at least 1'),
  ('sample.start', 'noise', 'gaussian, gmm, real'),
  ('sample.sampler', 'ddim', 'improved, naive'),
  ('sample.start_noise', -1.0, 'at least 0'),
  ('sample.frames', 'all', 'guess, state'),
])  # fmt: skip
def test_settings_that_cannot_work_say_so(key, value, message):
  refuses(tiny(), key, value, message)
