"""DDPM's losses and bound against oracles and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny
from helpers import refuses

import ddpm.model
from ddpm.model import bound_term, prior_term
from ddpm.schedule import gamma_table, reverse_log_variance
from trilemma import gaussian
from trilemma.data import known_spec

T = 1000


class Oracle:
  """Stands in for the net: eps_hat(z, g), told gamma from the time that the model passes."""

  def __init__(self, eps_hat, gammas):
    self.eps_hat, self.gammas = eps_hat, jnp.asarray(gammas, jnp.float32)

  def init(self, *args):
    return {'params': {}}

  def apply(self, variables, z, t, label, train, rngs=None):
    position = jnp.round(t * (len(self.gammas) - 1)).astype(jnp.int32) + 1
    return self.eps_hat(z, self.gammas[position])


def with_oracle(monkeypatch, config, eps_hat):
  gammas = gamma_table(config.model.schedule, config.model.steps, config.model.rescale_betas)
  monkeypatch.setattr(ddpm.model, 'make_net', lambda *a, **k: Oracle(eps_hat, gammas))
  return ddpm.model.make(config, known_spec(config.data))


def batch_of(image):
  n = len(image)
  return {'image': image, 'label': jnp.zeros(n, jnp.int32), 'index': jnp.arange(n)}


def total(model, params, batch, seed=3):
  """The bound in bits/dim, f32[B]: every term of every part."""
  terms = jax.jit(model.bits.terms)
  parts = [terms(params, jax.random.key(seed), batch, n) for n in range(model.bits.parts)]
  return sum(value for part in parts for value in part.values())


def test_oracle_eps_has_zero_loss_and_brings_back_the_point(monkeypatch, config):
  image = jnp.arange(64, dtype=jnp.uint8).reshape(8, 8, 1) % 17
  x = gaussian.to_model_scale(image, 17)
  model = with_oracle(monkeypatch, config, lambda z, g: gaussian.eps_from_x(z, g, x))
  batch = batch_of(jnp.stack([image] * 16))
  loss, _ = model.losses['net']({'net': {}}, jax.random.key(0), batch, 0, True)
  assert loss < 1e-9
  keys = jax.random.split(jax.random.key(1), 3)
  drawn = model.sample({'net': {}}, keys, jnp.zeros(3, jnp.int32))
  np.testing.assert_array_equal(drawn, np.stack([image] * 3))


@pytest.mark.parametrize('kind', ['fixed_large', 'fixed_small'])
def test_bound_on_unit_gaussian_data_is_its_closed_form(kind):
  """With eps_hat = sigma z, E(x - alpha z)^2 = sigma^2, and the KL is linear in that square.

  So evaluating each term at z = 0, x = sigma, x_hat = 0 gives its expectation exactly. beta is the
  true reverse variance: 'fixed_large' gives ln((1 - abar_T) / (1 - abar_1)) / 2 nats.
  """
  with jax.enable_x64(True):
    table = gamma_table('linear', T)
    i = jnp.arange(2, T + 1)
    x = gaussian.sigma(jnp.asarray(table)[i])
    log_variance = jnp.asarray(reverse_log_variance(table, kind)[0])[i]
    terms = bound_term(x, 0 * x, 0 * x, i, jnp.asarray(table), log_variance, 256)
    total = float(terms.sum())
  if kind == 'fixed_large':
    assert total == pytest.approx(4.605150006, rel=1e-9)
  else:
    assert total > 4.606


def test_bound_term_is_the_weighted_eps_loss():
  """beta^2 / (2 beta alpha (1 - abar)) of 'fixed_large' at index 1; the rest cancels."""
  with jax.enable_x64(True):
    table = jnp.asarray(gamma_table('linear', T))
    log_variance = jnp.asarray(reverse_log_variance(np.asarray(table), 'fixed_large')[0])[2]
    i, x, eps, eps_hat = jnp.array([2]), jnp.array([0.2]), 0.5, -0.4
    z = gaussian.diffuse(x, table[i], eps)
    exact = bound_term(x, z, x, i, table, log_variance, 256)
    off = bound_term(x, z, gaussian.x_from_eps(z, table[i], eps_hat), i, table, log_variance, 256)
  assert float((off - exact)[0]) == pytest.approx(0.272692 * 0.9**2, rel=1e-5)


def test_first_term_is_the_discretised_decoder():
  """mean = x at the smallest scale: 1.3053777 bits for an interior level."""
  table = np.float32(gamma_table('linear', T))
  log_variance = jnp.float32(reverse_log_variance(table, 'fixed_large')[0][1])
  x = jnp.array([[1 / 255]])
  z = gaussian.diffuse(x, jnp.asarray(table)[1], 0.3)
  nats = bound_term(x, z, x, jnp.array([1]), jnp.asarray(table), log_variance, 256)
  assert float(nats[0, 0]) / np.log(2) == pytest.approx(1.3053777, rel=1e-4)


def test_prior_term():
  with jax.enable_x64(True):
    g = jnp.asarray(gamma_table('linear', T))[-1]
    bits = prior_term(jnp.array([0.0, 1.0]), g) / np.log(2)
  np.testing.assert_allclose(bits, [5.87478e-10, 2.9112945e-5], rtol=1e-5)


@pytest.mark.parametrize('steps', [2, 32])
def test_bits_sum_every_term_and_the_vlb_loss_estimates_them(monkeypatch, config, steps):
  """A net that is wrong by a constant: T times one term agrees with the full sum on average.

  With T = 2 a T - 1 for T, or a term left out, is far outside the tolerance.
  """
  config.model.update({'loss': 'vlb', 'schedule': 'cosine', 'rescale_betas': False, 'steps': steps})
  config.sample.steps = 2
  config.sample.clip = False
  model = with_oracle(monkeypatch, config, lambda z, g: 0.8 * z)
  image = jax.random.randint(jax.random.key(0), (1, 8, 8, 1), 0, 17).astype(jnp.uint8)
  many = batch_of(jnp.repeat(image, 4096, 0))
  loss, metrics = jax.jit(model.losses['net'], static_argnums=4)(
    {'net': {}}, jax.random.key(2), many, 0, True
  )
  assert metrics['bits_per_dim'] == loss
  repeats = total(model, {'net': {}}, batch_of(jnp.repeat(image, 64, 0)))
  assert float(loss) == pytest.approx(float(repeats.mean()), rel=0.1)


class Fixed:
  """Stands in for the net: its parameters are its output, the same for every image."""

  def init(self, key, z, t, label, train):
    return {'params': jnp.zeros((*z.shape[1:-1], 2 * z.shape[-1]))}

  def apply(self, variables, z, t, label, train, rngs=None):
    return jnp.broadcast_to(variables['params'], (len(z), *variables['params'].shape))


def hybrid_gradient(monkeypatch, config, loss, weight=0.001):
  monkeypatch.setattr(ddpm.model, 'make_net', lambda *a, **k: Fixed())
  config.model.update({'variance': 'learned', 'loss': loss, 'vlb_weight': weight})
  model = ddpm.model.make(config, known_spec(config.data))
  image = jax.random.randint(jax.random.key(0), (64, 8, 8, 1), 0, 17).astype(jnp.uint8)
  params = {'net': 0.1 * jnp.ones((8, 8, 2))}
  f = lambda p: model.losses['net'](p, jax.random.key(1), batch_of(image), 0, True)[0]
  return np.asarray(jax.grad(f)(params)['net'])


def test_the_hybrid_loss_trains_eps_by_the_simple_one_alone(monkeypatch, config):
  """The bound reaches the variance's channel only, in proportion to its weight."""
  small, large, none = (
    hybrid_gradient(monkeypatch, config, 'hybrid', weight) for weight in (0.001, 1.0, 0.0)
  )
  np.testing.assert_array_equal(small[..., 0], none[..., 0])
  np.testing.assert_array_equal(large[..., 0], none[..., 0])
  assert not none[..., 1].any() and small[..., 1].all()
  np.testing.assert_allclose(large[..., 1], 1000 * small[..., 1], rtol=1e-4)
  vlb = hybrid_gradient(monkeypatch, config, 'vlb')
  np.testing.assert_allclose(vlb[..., 1], large[..., 1], rtol=1e-4)
  assert not np.allclose(vlb[..., 0], large[..., 0], rtol=0.1)


@pytest.mark.parametrize('raw', [-1.0, 1.0])
def test_a_learned_variance_at_its_ends_has_the_fixed_bound(monkeypatch, config, raw):
  """v = -1 is the posterior's variance, v = 1 is beta, which 'fixed_large' has but at i = 1."""
  config.sample.clip = False

  class Net(Fixed):
    def apply(self, variables, z, t, label, train, rngs=None):
      eps = 0.7 * z
      return jnp.concatenate([eps, jnp.full_like(eps, raw)], -1) if learned else eps

  found = []
  image = jax.random.randint(jax.random.key(0), (4, 8, 8, 1), 0, 17).astype(jnp.uint8)
  for learned in (True, False):
    monkeypatch.setattr(ddpm.model, 'make_net', lambda *a, **k: Net())
    fixed = 'fixed_small' if raw < 0 else 'fixed_large'
    config.model.update({
      'variance': 'learned' if learned else fixed, 'loss': 'hybrid' if learned else 'simple',
    })  # fmt: skip
    model = ddpm.model.make(config, known_spec(config.data))
    terms = jax.jit(model.bits.terms)
    parts = [terms({'net': {}}, jax.random.key(3), batch_of(image), n) for n in range(32)]
    found.append({k: np.sum([p[k] for p in parts], 0) for k in parts[0]})
  np.testing.assert_allclose(found[0]['diffusion'], found[1]['diffusion'], rtol=1e-5)
  if raw < 0:
    np.testing.assert_allclose(found[0]['reconstruction'], found[1]['reconstruction'], rtol=1e-5)


def perfect(predict, x, z, g):
  """What a net that knows x would predict for z at g f32[N]."""
  eps = gaussian.eps_from_x(z, g, x)
  a, s = (gaussian.per_example(f(g), z) for f in (gaussian.alpha, gaussian.sigma))
  return {'eps': eps, 'x': jnp.broadcast_to(x, z.shape), 'v': a * eps - s * x}[predict]


@pytest.mark.parametrize('weighting', ['snr', 'min_snr_5'])
def test_a_weighted_loss_does_not_depend_on_what_is_predicted(monkeypatch, config, weighting):
  """x_hat = x + 0.1: |eps - eps_hat|^2 = SNR |x - x_hat|^2, |v - v_hat|^2 = (1 + SNR) |..|^2."""
  image = jnp.arange(64, dtype=jnp.uint8).reshape(8, 8, 1) % 17
  x = gaussian.to_model_scale(image, 17)
  gammas = jnp.float32(gamma_table('linear', 32, True))
  losses, seen = {}, []
  for predict in ('eps', 'x', 'v'):

    def wrong(z, g, predict=predict):
      seen.append(g)
      return perfect(predict, x + 0.1, z, g)

    for name in (weighting, 'own'):
      config.model.update({'predict': predict, 'weighting': name})
      model = with_oracle(monkeypatch, config, wrong)
      batch = batch_of(jnp.stack([image] * 16))
      losses[predict, name], _ = model.losses['net']({'net': {}}, jax.random.key(0), batch, 0, True)
  assert np.isin(seen[0], gammas).all()
  snr = jnp.exp(-seen[0])
  weight = snr if weighting == 'snr' else jnp.minimum(snr, 5)
  for predict in ('eps', 'x', 'v'):
    assert float(losses[predict, weighting]) == pytest.approx(float(0.01 * weight.mean()), rel=2e-3)
  own = {'eps': snr, 'x': jnp.ones(16), 'v': 1 + snr}
  for predict, weight in own.items():
    assert float(losses[predict, 'own']) == pytest.approx(float(0.01 * weight.mean()), rel=2e-3)


@pytest.mark.parametrize('predict', ['eps', 'x', 'v'])
def test_an_oracle_of_any_kind_brings_back_the_point(monkeypatch, config, predict):
  image = jnp.arange(64, dtype=jnp.uint8).reshape(8, 8, 1) % 17
  x = gaussian.to_model_scale(image, 17)
  config.model.predict = predict
  model = with_oracle(monkeypatch, config, lambda z, g: perfect(predict, x, z, g))
  drawn = model.sample({'net': {}}, jax.random.split(jax.random.key(1), 3), jnp.zeros(3, jnp.int32))
  np.testing.assert_array_equal(drawn, np.stack([image] * 3))


def test_bits_have_one_prior_and_one_reconstruction(monkeypatch, config):
  """However many parts, and where they do not divide T."""
  config.model.steps = 71
  model = ddpm.model.make(config, known_spec(config.data))
  assert model.bits.parts == 36
  image = jax.random.randint(jax.random.key(0), (2, 8, 8, 1), 0, 17).astype(jnp.uint8)
  params, terms = model.init(jax.random.key(1)), jax.jit(model.bits.terms)
  key, batch = jax.random.key(2), batch_of(image)
  parts = [terms(params, key, batch, n) for n in range(36)]
  for name in ('prior', 'reconstruction'):
    assert parts[0][name].all() and not any(part[name].any() for part in parts[1:])
  assert all(np.isfinite(part['diffusion']).all() and part['diffusion'].all() for part in parts)
  monkeypatch.setattr(ddpm.model, 'BITS_PARTS', 1)
  whole = ddpm.model.make(config, known_spec(config.data))
  assert whole.bits.parts == 1
  for name, value in jax.jit(whole.bits.terms)(params, key, batch, 0).items():
    np.testing.assert_allclose(sum(part[name] for part in parts), value, rtol=1e-5)


def test_dropped_labels_become_the_null_class(monkeypatch, config):
  seen = []
  config.model.label_drop = 0.25
  model = with_oracle(monkeypatch, config, lambda z, g: z)
  net = ddpm.model.make_net()
  apply = net.apply
  net.apply = lambda v, z, t, label, train, rngs=None: (
    seen.append(np.asarray(label)) or apply(v, z, t, label, train)
  )
  monkeypatch.setattr(ddpm.model, 'make_net', lambda *a, **k: net)
  model = ddpm.model.make(config, known_spec(config.data))
  batch = batch_of(jnp.zeros((2000, 8, 8, 1), jnp.uint8)) | {'label': jnp.full(2000, 3)}
  model.losses['net']({'net': {}}, jax.random.key(0), batch, 0, True)
  model.losses['net']({'net': {}}, jax.random.key(0), batch, 0, False)
  in_training, in_evaluation = seen
  assert set(in_training) == {3, 10} and set(in_evaluation) == {3}
  assert np.mean(in_training == 10) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(('key', 'value', 'message'), [
  ('model.loss', 'mse', 'hybrid, simple, vlb'),
  ('model.loss', 'hybrid', 'variance=learned'),
  ('model.variance', 'learned', 'hybrid or vlb'),
  ('model.times', 'importance', 'loss=vlb'),
  ('model.predict', 'score', 'eps, v, x'),
  ('model.weighting', 'min_snr', 'min_snr_5, own, snr'),
  ('sample.spacing', 'log', 'gamma, t'),
  ('sample.guidance', 2.0, 'label_drop=0.1'),
  ('sample.guidance', -1.0, 'at least 0'),
  ('sample.classifier_scale', float('nan'), 'at least 0'),
  ('sample.classifier_scale', 2.0, 'needs a classifier'),
  ('net.label', 'onehot', 'mlp, table'),
  ('model.schedule', 'quadratic', 'cosine, linear'),
  ('model.label_drop', 1.5, 'no probability'),
  ('model.steps', 1, 'at least 2'),
  ('sample.sampler', 'euler', 'ancestral, ddim, dpmpp_2m'),
  ('sample.steps', 33, '1..32'),
  ('sample.eta', 2.0, 'deterministic'),
  ('net.name', 'lenet', 'cnn, latent_net, mlp, unet, vdm_unet'),
  ('net.name', 'unet', r'base\.unet'),
  ('net.dtype', 'float16', 'bfloat16, float32'),
  ('net.activation', 'relu', 'gelu, selu, swish'),
  ('net.kernel', 0, 'at least 1'),
  ('net.widths', (), 'at least 1'),
  ('model.schedule', 'cosine', 'rescale_betas is for the linear'),
])  # fmt: skip
def test_settings_that_cannot_work_say_so(key, value, message):
  refuses(tiny(), key, value, message)
