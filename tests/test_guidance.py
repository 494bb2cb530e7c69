"""Classifier-free and classifier guidance against exact identities and Gaussian data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny

import ddpm.model
from ddpm.classifier import guidance
from ddpm.schedule import gamma_table
from trilemma import families, gaussian
from trilemma.data import known_spec
from trilemma.exits import UserError
from trilemma.run import make_model, open_checkpoint, open_guide
from trilemma.samplers import SAMPLERS, noise_like
from trilemma.train import train


def guided_config(variance='fixed_large', **sample):
  config = tiny()
  config.model.update({'label_drop': 0.1, 'variance': variance, 'loss': 'simple'})
  if variance == 'learned':
    config.model.loss = 'hybrid'
  config.sample.update({'sampler': 'ddim', 'steps': 4, **sample})
  return config


def shaken(model, seed=0):
  """Parameters away from their initial zeros, so that label and time matter."""
  params = model.init(jax.random.key(seed))
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
  noise = [x + 0.1 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
  return jax.tree.unflatten(tree, noise)


def test_a_guided_step_takes_two_net_calls():
  nfe = lambda scale: families.make(guided_config(guidance=scale), known_spec(tiny().data)).nfe
  assert [nfe(scale) for scale in (0.0, 1.0, 2.0)] == [4, 4, 8]


def drawn(label, params=None, **sample):
  config = guided_config(**sample)
  model = families.make(config, known_spec(config.data))
  keys = jax.random.split(jax.random.key(5), 3)
  return np.asarray(jax.jit(model.sample)(params or shaken(model), keys, jnp.full(3, label)))


@pytest.mark.parametrize('sampler', sorted(SAMPLERS))
def test_scale_one_is_conditional_and_zero_unconditional_to_the_bit(sampler):
  config = guided_config()
  config.model.label_drop = 0.0  # a model that knows no guidance
  config.sample.sampler = sampler
  model = families.make(config, known_spec(config.data))
  params, keys = shaken(model), jax.random.split(jax.random.key(5), 3)
  plain, null = (np.asarray(jax.jit(model.sample)(params, keys, jnp.full(3, k))) for k in (3, 10))
  np.testing.assert_array_equal(drawn(3, params, sampler=sampler, guidance=1.0), plain)
  np.testing.assert_array_equal(drawn(3, params, sampler=sampler, guidance=0.0), null)
  assert not np.array_equal(plain, null)
  assert not np.array_equal(drawn(3, params, sampler=sampler, guidance=3.0), plain)
  # what the doubled batch tends to, up to rounding
  for scale, limit in ((1 + 1e-6, plain), (1e-6, null)):
    near = drawn(3, params, sampler=sampler, guidance=scale)
    np.testing.assert_allclose(near.astype(int), limit, atol=1)
    assert (near == limit).mean() > 0.98


@pytest.mark.parametrize('variance', ['fixed_large', 'learned'])
def test_the_doubled_batch_mixes_what_two_calls_would(monkeypatch, variance):
  """eps = eps_null + s (eps_label - eps_null); the variance is the conditional's."""

  class Net:
    def init(self, *args):
      return {'params': {}}

    def apply(self, variables, z, t, label, train, rngs=None):
      out = jnp.where(label < 10, 1.0, 0.25)[:, None, None, None] * jnp.ones_like(z)
      variance = jnp.where(label < 10, -0.5, 0.5)[:, None, None, None] * jnp.ones_like(z)
      return jnp.concatenate([out, variance], -1) if learned else out

  learned = variance == 'learned'
  monkeypatch.setattr(ddpm.model, 'make_net', lambda *a, **k: Net())
  seen = []

  def record(denoise, grid, z, keys, **kwargs):
    x_hat, log_variance = denoise(z, 2)
    seen.append((z, grid, x_hat, log_variance))
    return z, None

  monkeypatch.setitem(SAMPLERS, 'ancestral', record)
  config = guided_config(variance=variance, sampler='ancestral', guidance=3.0, clip=False)
  model = families.make(config, known_spec(config.data))
  model.sample({'net': {}}, jax.random.split(jax.random.key(0), 2), jnp.zeros(2, jnp.int32))
  z, grid, x_hat, log_variance = seen[0]
  eps = gaussian.eps_from_x(z, jnp.float32(grid[2]), x_hat)
  np.testing.assert_allclose(eps, 0.25 + 3 * (1 - 0.25), rtol=1e-4)
  if learned:  # the conditional's: frac = (-0.5 + 1) / 2
    lower, upper = ddpm.model.reverse_log_variance(grid, 'learned')
    np.testing.assert_allclose(log_variance, 0.25 * upper[2] + 0.75 * lower[2], rtol=1e-4)


def test_an_analytic_classifier_gives_the_posterior_mean():
  """Two unit-variance classes at +-m: E[x | z, y] from E[x | z] and p(y | z), at every gamma."""
  m, prior = 0.8, 0.3
  z = jnp.linspace(-3, 3, 41)[:, None]
  label = jnp.zeros(len(z), jnp.int32)
  for gamma in (-6.0, -1.0, 0.0, 2.0, 5.0):
    g = jnp.float32(gamma)
    a = gaussian.alpha(g)
    # z | y ~ N(alpha m_y, 1): the log odds of y are linear in z
    log_odds = lambda z, a=a: 2 * m * a * z[:, 0] + jnp.log(prior / (1 - prior))
    log_prob = lambda z, g, label, f=log_odds: jax.nn.log_sigmoid(f(z))
    p = jax.nn.sigmoid(log_odds(z))[:, None]
    mean = lambda center, g=g, a=a: center + a * (z - a * center)
    unconditional = p * mean(m) + (1 - p) * mean(-m)
    eps = gaussian.eps_from_x(z, g, unconditional) - guidance(log_prob)(z, g, label)
    np.testing.assert_allclose(gaussian.x_from_eps(z, g, eps), mean(m), atol=2e-4)


def gaussian_oracle(monkeypatch, config, s):
  """E[x | z] = s^2 alpha z / (s^2 alpha^2 + sigma^2) of N(0, s^2) data, as the net's eps_hat."""
  gammas = jnp.asarray(gamma_table(config.model.schedule, config.model.steps, True), jnp.float32)

  class Net:
    def init(self, *args):
      return {'params': {}}

    def apply(self, variables, z, t, label, train, rngs=None):
      g = gammas[jnp.round(t * (len(gammas) - 1)).astype(int) + 1][:, None, None, None]
      a, n = jax.nn.sigmoid(-g), jax.nn.sigmoid(g)
      return jnp.sqrt(n) * z / (s**2 * a + n)

  monkeypatch.setattr(ddpm.model, 'make_net', lambda *a, **k: Net())
  return gammas


@pytest.mark.parametrize('sampler', sorted(SAMPLERS))
def test_guided_samplers_draw_the_posterior(monkeypatch, sampler):
  """x ~ N(0, s^2) and y | x ~ N(x, r^2): guidance by log p(y | z) gives N(mean, var) of x | y."""
  s, r, y, steps = 0.3, 0.3, 0.4, 200
  config = guided_config(sampler=sampler, steps=0, clip=False)
  config.model.update({'steps': steps, 'conditional': False, 'label_drop': 0.0})
  gaussian_oracle(monkeypatch, config, s)

  def log_prob(z, g, label):  # y | z ~ N(E[x | z], var[x | z] + r^2)
    a, n = jax.nn.sigmoid(-g), jax.nn.sigmoid(g)
    spread = s**2 * a + n
    mean = s**2 * jnp.sqrt(a) * z / spread
    return jnp.sum(-0.5 * (y - mean) ** 2 / (s**2 * n / spread + r**2), (1, 2, 3))

  spec = known_spec(config.data)._replace(levels=256)
  model = ddpm.model.make(config, spec, guidance(log_prob))
  keys = jax.random.split(jax.random.key(0), 300)
  images = jax.jit(model.sample)({'net': {}}, keys, jnp.zeros(300, jnp.int32))
  x = gaussian.to_model_scale(images, 256)
  expected = y * s**2 / (s**2 + r**2), s * r / np.sqrt(s**2 + r**2)
  assert float(x.mean()) == pytest.approx(expected[0], abs=0.01)
  assert float(x.std()) == pytest.approx(expected[1], rel=0.05)


def test_the_clean_baseline_has_no_sigma():
  log_prob = lambda z, g, label: -(z[:, 0] ** 2)
  z, g = jnp.array([[0.5]]), jnp.float32(1.0)
  noisy, clean = (guidance(log_prob, noisy=n)(z, g, None) for n in (True, False))
  assert clean[0, 0] == -1.0
  assert noisy[0, 0] == pytest.approx(-float(gaussian.sigma(g)))


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
  from configs import digits_classifier

  workdir = tmp_path_factory.mktemp('classifier')
  config = digits_classifier.get_config('noisy,tiny')
  config.train.update({'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0})
  train(config, workdir, devices=jax.devices()[:1])
  return workdir


def test_a_trained_classifier_guides_every_image_by_its_own_label(classifier):
  config = guided_config(classifier=str(classifier), classifier_scale=50.0, clip=False)
  spec = known_spec(config.data)
  model = make_model(config, spec)
  params = shaken(model)
  keys = jax.random.split(jax.random.key(5), 3)
  sample = jax.jit(model.sample)
  mixed = sample(params, keys, jnp.array([3, 7, 3]))
  same = sample(params, keys, jnp.array([3, 3, 3]))
  np.testing.assert_array_equal(mixed[0], same[0])
  assert not np.array_equal(mixed[1], same[1])
  config.sample.classifier_scale = 0.0
  off = jax.jit(make_model(config, spec).sample)(params, keys, jnp.array([3, 3, 3]))
  assert not np.array_equal(off, same)
  np.testing.assert_array_equal(off, drawn(3, params=params, clip=False))


def test_no_label_is_not_guided_by_a_classifier(classifier):
  guide = open_guide(str(classifier), known_spec(tiny().data))
  z = noise_like(jax.random.split(jax.random.key(0), 2), 0, jnp.zeros((2, 8, 8, 1)))
  slope = guide(z, jnp.float32(0.0), jnp.array([4, 10]))
  assert jnp.abs(slope[0]).max() > 0 and not slope[1].any()


def test_a_classifier_that_does_not_fit_is_refused(classifier, tmp_path):
  config = guided_config(classifier=str(classifier))
  spec = known_spec(config.data)
  for change, message in (
    ({'name': 'mnist'}, 'its name is digits, not mnist'),
    ({'shape': (16, 16, 1)}, 'its shape'),
    ({'classes': ('a', 'b')}, 'its classes'),
  ):
    with pytest.raises(UserError, match=message):
      make_model(config, spec._replace(**change))
  config.sample.classifier = str(tmp_path / 'nothing')
  with pytest.raises(UserError, match='no run'):
    make_model(config, spec)
  train(tiny(), tmp_path / 'ddpm', devices=jax.devices()[:1])
  config.sample.classifier = str(tmp_path / 'ddpm')
  with pytest.raises(UserError, match='no classifier but a run of the family ddpm'):
    make_model(config, spec)
  with pytest.raises(UserError, match='needs classes'):
    families.make(open_checkpoint(classifier).config, spec._replace(classes=()))


@pytest.mark.parametrize(('conditional', 'drop', 'message'), [
  (False, 0.0, 'trained on classes'), (True, 0.0, 'some labels left out'),
])  # fmt: skip
def test_a_scale_without_what_it_needs_is_refused(conditional, drop, message):
  config = guided_config(guidance=2.0)
  config.model.update({'conditional': conditional, 'label_drop': drop})
  with pytest.raises(UserError, match=message):
    families.make(config, known_spec(config.data))
