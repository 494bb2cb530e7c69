"""DDPM's losses and bound against oracles and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny

import ddpm.model
from ddpm.model import bound_term, prior_term
from ddpm.schedule import gamma_table, reverse_log_variance
from trilemma import gaussian
from trilemma.data import known_spec
from trilemma.exits import UserError

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
    log_variance = jnp.asarray(reverse_log_variance(table, kind))
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
    log_variance = jnp.asarray(reverse_log_variance(np.asarray(table), 'fixed_large'))
    i, x, eps, eps_hat = jnp.array([2]), jnp.array([0.2]), 0.5, -0.4
    z = gaussian.diffuse(x, table[i], eps)
    exact = bound_term(x, z, x, i, table, log_variance, 256)
    off = bound_term(x, z, gaussian.x_from_eps(z, table[i], eps_hat), i, table, log_variance, 256)
  assert float((off - exact)[0]) == pytest.approx(0.272692 * 0.9**2, rel=1e-5)


def test_first_term_is_the_discretised_decoder():
  """mean = x at the smallest scale: 1.3053777 bits for an interior level."""
  table = np.float32(gamma_table('linear', T))
  log_variance = jnp.asarray(np.float32(reverse_log_variance(table, 'fixed_large')))
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
  batch, many = batch_of(image), batch_of(jnp.repeat(image, 4096, 0))
  bits = jax.jit(model.bits)({'net': {}}, jax.random.key(1), batch)
  parts = bits['prior'] + bits['diffusion'] + bits['reconstruction']
  np.testing.assert_allclose(bits['total'], parts)
  loss, metrics = jax.jit(model.losses['net'], static_argnums=4)(
    {'net': {}}, jax.random.key(2), many, 0, True
  )
  assert metrics['bits_per_dim'] == loss
  repeats = jax.jit(model.bits)({'net': {}}, jax.random.key(3), batch_of(jnp.repeat(image, 64, 0)))
  assert float(loss) == pytest.approx(float(repeats['total'].mean()), rel=0.1)


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
  ('model.loss', 'mse', 'simple, vlb'),
  ('model.schedule', 'quadratic', 'cosine, linear'),
  ('model.label_drop', 1.5, 'no probability'),
  ('model.steps', 1, 'at least 2'),
  ('sample.sampler', 'euler', 'ancestral, ddim'),
  ('sample.steps', 33, '1..32'),
  ('sample.eta', 2.0, 'deterministic'),
  ('net.name', 'mlp', 'cnn, unet'),
  ('net.name', 'unet', r'base\.unet'),
  ('net.dtype', 'float16', 'bfloat16, float32'),
  ('net.activation', 'relu', 'gelu, selu, swish'),
  ('net.kernel', 0, 'at least 1'),
  ('net.widths', (), 'at least 1'),
  ('model.schedule', 'cosine', 'rescale_betas is for the linear'),
])  # fmt: skip
def test_settings_that_cannot_work_say_so(key, value, message):
  config = tiny()
  section, name = key.split('.')
  config[section][name] = value
  with pytest.raises(UserError, match=message):
    ddpm.model.make(config, known_spec(config.data))
