"""Samplers against oracles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpm.schedule import gamma_table, reverse_log_variance, spaced
from trilemma.gaussian import alpha, diffuse, eps_from_x, sigma
from trilemma.samplers import SAMPLERS, ancestral, ddim, dpmpp_2m, noise_like

KEYS = jax.random.split(jax.random.key(0), 3)
X = jnp.array([[0.5, -0.5], [1.0, 0.0], [-0.25, 0.75]])


def grid(steps, count):
  table = gamma_table('linear', steps)
  return np.concatenate([[-np.inf], table[spaced(table, count)]])


def oracle(x_hat):
  """denoise of a function x_hat(z, j), with the posterior's variance."""
  return lambda z, j: (x_hat(z, j), None)


@pytest.mark.parametrize('name', sorted(SAMPLERS))
@pytest.mark.parametrize('count', [1, 7, 50])
def test_an_oracle_brings_back_x(name, count):
  z = noise_like(KEYS, 0, X)
  x, _ = SAMPLERS[name](oracle(lambda z, j: X), grid(50, count), z, KEYS)
  np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize('count', [13, 40])
def test_ddim_with_eta_one_is_ancestral_with_the_posteriors_variance(count):
  gammas, z = grid(40, count), noise_like(KEYS, 0, X)
  stochastic, _ = ddim(oracle(lambda z, j: jnp.tanh(z)), gammas, z, KEYS, eta=1.0)
  small = jnp.asarray(reverse_log_variance(gammas, 'fixed_small')[0], jnp.float32)
  for log_variance in (lambda j: None, lambda j: small[j]):
    denoise = lambda z, j, f=log_variance: (jnp.tanh(z), f(j))
    other, _ = ancestral(denoise, gammas, z, KEYS)
    np.testing.assert_allclose(stochastic, other, atol=2e-5)


@pytest.mark.parametrize(('count', 'factor'), [(10, 0.8145862), (50, 0.9633826), (1000, 0.9981243)])
def test_ddim_on_unit_gaussian_data_multiplies_by_a_known_factor(count, factor):
  """The oracle x_hat = alpha z makes every step z_s = (alpha_s alpha_t + sigma_s sigma_t) z."""
  gammas = grid(1000, count)
  g = jnp.asarray(gammas, jnp.float32)
  x, _ = ddim(oracle(lambda z, j: alpha(g[j]) * z), gammas, X, KEYS)
  np.testing.assert_allclose(x, factor * X, rtol=2e-4)


def test_one_ddim_step_has_its_golden_value():
  table = gamma_table('linear', 1000)
  g_s, g_t, z, eps = table[481], table[501], 0.7, -0.3
  x_hat = (z - sigma(g_t) * eps) / alpha(g_t)
  assert x_hat == pytest.approx(3.5425656, rel=1e-5)
  assert diffuse(x_hat, g_s, eps_from_x(z, g_t, x_hat)) == pytest.approx(0.8057221, rel=1e-5)
  walk, _ = ddim(
    oracle(lambda z, j: x_hat + 0 * z), table[[481, 501]], jnp.full((1, 1), z), KEYS[:1]
  )
  assert float(walk[0, 0]) == pytest.approx(0.8057221, rel=1e-5)
  draws, many = jnp.full((20_000, 1), z), jax.random.split(jax.random.key(1), 20_000)
  noisy, _ = ddim(oracle(lambda z, j: x_hat + 0 * z), table[[481, 501]], draws, many, eta=1.0)
  assert noisy.mean() == pytest.approx(0.8350791, abs=0.01)
  assert noisy.std() == pytest.approx(0.4202654, rel=0.02)


def test_ancestral_sampling_of_unit_gaussian_data_stays_unit_gaussian():
  """beta is the exact reverse variance for unit data, so 'fixed_large' keeps the variance 1."""
  gammas, n = grid(200, 200), 100_000
  g, keys = jnp.asarray(gammas, jnp.float32), jax.random.split(jax.random.key(2), n)
  z = noise_like(keys, 0, jnp.zeros((n, 1)))
  large = jnp.asarray(reverse_log_variance(gammas, 'fixed_large')[0], jnp.float32)
  x, _ = ancestral(lambda z, j: (alpha(g[j]) * z, large[j]), gammas, z, keys)
  # the last step adds no noise: it leaves alpha_1^2 of the variance
  assert x.std() == pytest.approx(1, abs=0.005)
  # the posterior's variance is too small for unit data
  small, _ = ancestral(oracle(lambda z, j: alpha(g[j]) * z), gammas, z, keys)
  assert small.std() < x.std() - 0.005


def test_dpm_solver_is_of_second_order_and_ddim_of_the_first():
  """On N(0, s^2) data the probability-flow ODE keeps z / sqrt(alpha^2 s^2 + sigma^2)."""
  s, ends = 0.5, (-4.0, 4.0)
  spread = lambda g: jnp.sqrt(jax.nn.sigmoid(-g) * s**2 + jax.nn.sigmoid(g))
  with jax.enable_x64(True):
    z = jnp.array([[1.0], [-2.0]])
    exact = z * spread(ends[0]) / spread(ends[1])

    def error(sampler, steps):
      gammas = np.linspace(*ends, steps + 1)
      a = alpha(jnp.asarray(gammas)) * s**2 / spread(jnp.asarray(gammas)) ** 2
      x, _ = sampler(lambda z, j: (a[j] * z, None), gammas, z, KEYS[:2])
      return float(jnp.abs(x - exact).max())

    for sampler, order in ((ddim, 1), (dpmpp_2m, 2)):
      errors = [error(sampler, steps) for steps in (20, 40, 80)]
      slopes = np.log2(np.divide(errors[:-1], errors[1:]))
      np.testing.assert_allclose(slopes, order, atol=0.25)
    assert error(dpmpp_2m, 20) < error(ddim, 80)


def test_one_step_of_dpm_solver_is_ddim():
  z = noise_like(KEYS, 0, X)
  for gammas in (grid(50, 1), grid(50, 50)[40:42]):
    one, other = (f(oracle(lambda z, j: jnp.tanh(z)), gammas, z, KEYS)[0] for f in (ddim, dpmpp_2m))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_an_image_depends_on_its_own_key_only():
  gammas = grid(20, 20)
  f = lambda keys, z: ancestral(oracle(lambda z, j: jnp.tanh(z)), gammas, z, keys)[0]
  z = noise_like(KEYS, 0, X)
  np.testing.assert_array_equal(f(KEYS, z)[2:], f(KEYS[2:], z[2:]))


def test_guesses_are_the_denoisers_and_states_come_after_them():
  gammas, z = grid(20, 4), noise_like(KEYS, 0, X)
  for sampler in SAMPLERS.values():
    denoise = oracle(lambda z, j: j * jnp.ones_like(z))
    x, guesses = sampler(denoise, gammas, z, KEYS, frames=4, guesses=True)
    np.testing.assert_array_equal(guesses[:, 0, 0], [4, 3, 2, 1])
    np.testing.assert_array_equal(sampler(denoise, gammas, z, KEYS, frames=4)[1][-1], x)


def test_frames_are_evenly_spaced_and_end_with_the_result():
  gammas, seen = grid(20, 20), []
  denoise = oracle(lambda z, j: jnp.zeros_like(z))
  x, frames = ddim(denoise, gammas, X, KEYS, frames=5)
  np.testing.assert_array_equal(frames[-1], x)
  shorter, _ = ddim(denoise, gammas[12:], X, KEYS)  # 8 of 20 steps: the second frame
  np.testing.assert_allclose(frames[1], shorter, rtol=1e-6)
  _, short = ddim(denoise, grid(20, 3), X, KEYS, frames=5)
  assert short.shape[0] == 3
  ddim(denoise, gammas, X, KEYS, tick=lambda done, total: seen.append((int(done), int(total))))
  jax.effects_barrier()
  assert sorted(seen) == [(n, 20) for n in range(1, 21)]
