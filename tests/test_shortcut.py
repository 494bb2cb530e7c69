"""Shortcut-MCMC chains and the fidelity term that trains for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import batch_of
from vdm_oracles import tiny

import vdm.model
from trilemma import families, gaussian
from trilemma.data import Spec, known_spec
from trilemma.samplers import noise_like
from vdm import shortcut

GREY = Spec('grey', (1, 1, 1), 256, 256, ())


class Linear:
  """Stands in for the net: eps_hat = w (t + 1/2) z, whatever the label."""

  def init(self, *args):
    return {'params': {'w': jnp.float32(0.6)}}

  def apply(self, variables, z, t, label, train, rngs=None):
    return variables['params']['w'] * (t + 0.5).reshape(-1, 1, 1, 1) * z


@pytest.mark.parametrize('few', [1, 3, 10])
@pytest.mark.parametrize('noise', ['fixed', 'predicted'])
def test_a_shortcut_chain_with_a_perfect_denoiser_stays_on_the_straight_path(few, noise):
  keys = jax.random.split(jax.random.key(0), 5)
  x = jax.random.uniform(jax.random.key(1), (5, 2, 2, 1), minval=-1)
  eps = noise_like(keys, 0, x)
  gammas = -5 + 8 * shortcut.draw_times(keys, few, 10) / 10
  z, frames = shortcut.chain(
    lambda z, g: x, gammas, gaussian.diffuse(x, gammas[0], eps), eps, keys, noise, frames=few
  )
  np.testing.assert_allclose(z, gaussian.diffuse(x, gammas[-1], eps), atol=1e-4)
  for frame, g in zip(frames, gammas[1:], strict=True):
    np.testing.assert_allclose(frame, gaussian.diffuse(x, g, eps), atol=1e-4)


def test_a_fresh_shortcut_chain_has_the_right_marginal():
  keys = jax.random.split(jax.random.key(0), 20_000)
  x = jnp.full((20_000, 1), 0.5)
  gammas = -1 + 3 * shortcut.draw_times(keys, 3, 10) / 10
  z, _ = shortcut.chain(lambda z, g: x, gammas, x, None, keys, 'fresh')
  g = jnp.float32(-1)
  assert float(z.mean()) == pytest.approx(float(gaussian.alpha(g)) * 0.5, abs=0.02)
  assert float(z.std()) == pytest.approx(float(gaussian.sigma(g)), rel=0.02)


def test_shortcut_steps_are_drawn_anew_for_every_key_even_under_jit():
  draw = jax.jit(shortcut.draw_times, static_argnums=(1, 2))
  one, other = (draw(jax.random.split(jax.random.key(k), 4), 10, 200) for k in range(2))
  assert not np.array_equal(one, other) and not np.array_equal(one[:, 0], one[:, 1])
  for times in (one, other):
    assert (np.diff(times, axis=0) < 0).all() and (times[0] == 200).all() and (times[-1] == 0).all()
  every = draw(jax.random.split(jax.random.key(0), 2), 200, 200)
  np.testing.assert_array_equal(every[:, 0], np.arange(200, -1, -1))
  once = draw(jax.random.split(jax.random.key(0), 2), 1, 200)
  np.testing.assert_array_equal(once[:, 0], [200, 0])


def test_the_fidelity_terms_gradient_goes_through_the_whole_chain(monkeypatch):
  """A net eps_hat = w z on one-number data: against finite differences of the written-out chain."""
  config = tiny(
    gamma='fixed_linear', fidelity_every=2, fidelity_few=3, gamma_min=-4.0, gamma_max=3.0
  )

  monkeypatch.setattr(vdm.model, 'make_net', lambda *a, **k: Linear())
  model = vdm.model.make(config, GREY)
  params = model.init(jax.random.key(0))
  batch = batch_of(jnp.array([40, 200], jnp.uint8).reshape(2, 1, 1, 1))

  def fidelity(w):
    p = {'net': {**params['net'], 'net': {'w': w}}}
    return model.losses['net'](p, jax.random.key(4), batch, 1, True)[1]['fidelity']

  value, slope = jax.value_and_grad(fidelity)(jnp.float32(0.6))
  by_hand = (fidelity(jnp.float32(0.61)) - fidelity(jnp.float32(0.59))) / 0.02
  assert slope == pytest.approx(float(by_hand), rel=0.02) and value > 0


def test_every_second_step_is_the_fidelitys_alone(monkeypatch):
  monkeypatch.setattr(vdm.model, 'make_net', lambda *a, **k: Linear())
  model = vdm.model.make(tiny(gamma='learned_linear', fidelity_every=2), GREY)
  params = model.init(jax.random.key(0))
  batch = batch_of(jnp.array([40, 200], jnp.uint8).reshape(2, 1, 1, 1))
  loss = jax.value_and_grad(model.losses['net'], has_aux=True)
  for step, name, other in ((2, 'bits_per_dim', 'fidelity'), (3, 'fidelity', 'bits_per_dim')):
    (total, metrics), slope = loss(params, jax.random.key(4), batch, step, True)
    assert total == metrics[name] != metrics[other]
    slope = slope['net']
    assert slope['net']['w'] != 0 and bool(slope['gamma']['ends']['rise']) == (name != 'fidelity')
  (total, metrics), _ = loss(params, jax.random.key(4), batch, 0, False)
  assert total == metrics['bits_per_dim'] and jnp.isfinite(metrics['fidelity'])


@pytest.mark.parametrize('few', [1, 2])
def test_the_fidelity_of_a_linear_net_is_its_closed_form(monkeypatch, few):
  """eps_hat = w z gives x_hat = c z, c = (1 - w sigma) / alpha, w of the time: all is linear.

  After one step x_hat = c_1 z_1, z_1 = alpha_1 f + sigma_1 eps; after two it is
  c_h (alpha_h c_1 z_1 + sigma_h eps). So x_hat - f = a f + b eps, of mean square
  a^2 |f|^2 + D b^2.
  """
  monkeypatch.setattr(vdm.model, 'make_net', lambda *a, **k: Linear())
  config = tiny(
    gamma='fixed_linear', gamma_min=-2.0, gamma_max=2.0, fidelity_every=2, fidelity_few=few,
    fidelity_steps=few,
  )  # fmt: skip
  model = vdm.model.make(config, GREY._replace(shape=(2, 2, 1)))
  n, level = 4000, np.array([30, 100, 180, 240], np.uint8)
  batch = batch_of(jnp.broadcast_to(level.reshape(2, 2, 1), (n, 2, 2, 1)))
  f = (2 * level.astype(float) + 1) / 256 - 1
  alpha, sigma = (lambda g, s=s: np.sqrt(1 / (1 + np.exp(s * g))) for s in (1, -1))
  c = lambda g: (1 - 0.6 * ((g + 2) / 4 + 0.5) * sigma(g)) / alpha(g)
  a, b = c(2) * alpha(2), c(2) * sigma(2)
  if few == 2:
    a, b = c(0) * alpha(0) * a, c(0) * (alpha(0) * b + sigma(0))
  expected = (a - 1) ** 2 * (f**2).sum() + 4 * b**2
  _, metrics = model.losses['net'](model.init(jax.random.key(0)), jax.random.key(1), batch, 1, True)
  assert float(metrics['fidelity']) == pytest.approx(expected, rel=0.04)


def test_a_guided_chain_keeps_each_images_own_steps(monkeypatch):
  """A net that sees the time and not the label: guidance, with its doubled batch, does nothing."""
  monkeypatch.setattr(vdm.model, 'make_net', lambda *a, **k: Linear())
  config, images = tiny(conditional=True, label_drop=0.1), []
  for scale in (1.0, 2.0):
    config.sample.update({'sampler': 'shortcut', 'guidance': scale})
    model = families.make(config, known_spec(config.data))
    keys = jax.random.split(jax.random.key(1), 6)
    images.append(model.sample(model.init(jax.random.key(0)), keys, jnp.arange(6)))
  np.testing.assert_array_equal(*images)
  assert model.nfe == 2 * config.sample.few
