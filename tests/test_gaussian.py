"""The gamma calculus against the beta form, simulation and exact values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpm.schedule import gamma_table
from trilemma import gaussian


def test_alpha_and_sigma_are_a_rotation():
  g = jnp.linspace(-13, 9, 50)
  np.testing.assert_allclose(gaussian.alpha(g) ** 2 + gaussian.sigma(g) ** 2, 1, rtol=1e-6)
  np.testing.assert_allclose(
    gaussian.alpha(g) ** 2 / gaussian.sigma(g) ** 2, jnp.exp(-g), rtol=1e-5
  )


def test_x_and_eps_invert_diffuse():
  x, eps = jnp.array([[0.3], [-0.7]]), jnp.array([[1.5], [0.2]])
  g = jnp.array([-2.0, 1.0])
  z = gaussian.diffuse(x, g, eps)
  np.testing.assert_allclose(gaussian.x_from_eps(z, g, eps), x, rtol=1e-5)
  np.testing.assert_allclose(gaussian.eps_from_x(z, g, x), eps, rtol=1e-5)


def test_posterior_equals_the_beta_form():
  betas = np.linspace(1e-4, 0.02, 1000)
  abar = np.cumprod(1 - betas)
  before = np.concatenate([[1.0], abar[:-1]])
  coefficient_x = betas * np.sqrt(before) / (1 - abar)
  coefficient_z = (1 - before) * np.sqrt(1 - betas) / (1 - abar)
  with jax.enable_x64(True):
    g = jnp.asarray(gamma_table('linear', 1000))
    from_x, variance = gaussian.posterior(0 * g[1:], 1 + 0 * g[1:], g[:-1], g[1:])
    from_z, _ = gaussian.posterior(1 + 0 * g[1:], 0 * g[1:], g[:-1], g[1:])
  np.testing.assert_allclose(from_x, coefficient_x, rtol=1e-12)
  np.testing.assert_allclose(from_z, coefficient_z, rtol=1e-9, atol=1e-15)
  np.testing.assert_allclose(variance, betas * (1 - before) / (1 - abar), rtol=1e-9, atol=1e-18)
  assert coefficient_x[1] == pytest.approx(0.5452914995)
  assert coefficient_x[999] == pytest.approx(1.2835149e-4)


def test_posterior_at_gamma_minus_infinity_is_x():
  mean, variance = gaussian.posterior(jnp.ones(3), jnp.full(3, 0.25), -jnp.inf, 0.3)
  np.testing.assert_array_equal(mean, np.full(3, 0.25, np.float32))
  assert variance == 0


def test_posterior_equals_two_step_simulation():
  """Regressing z_s on z_t over simulated paths gives the posterior's mean and variance."""
  random, n, x, g_s, g_t = np.random.default_rng(0), 400_000, 0.6, -1.0, 0.5
  alpha_s, alpha_t = float(gaussian.alpha(g_s)), float(gaussian.alpha(g_t))
  variance_s, variance_t = 1 - alpha_s**2, 1 - alpha_t**2
  z_s = alpha_s * x + np.sqrt(variance_s) * random.standard_normal(n)
  ratio = alpha_t / alpha_s
  z_t = ratio * z_s + np.sqrt(variance_t - ratio**2 * variance_s) * random.standard_normal(n)
  slope, intercept = np.polyfit(z_t, z_s, 1)
  mean, variance = gaussian.posterior(jnp.array([0.0, 1.0]), jnp.array([x, x]), g_s, g_t)
  assert intercept == pytest.approx(float(mean[0]), abs=5e-3)
  assert slope == pytest.approx(float(mean[1] - mean[0]), abs=5e-3)
  assert np.var(z_s - slope * z_t - intercept) == pytest.approx(float(variance), rel=1e-2)


def test_kl_of_gaussians():
  # KL(N(1, 4) || N(0, 1)) = 1/2 (4 + 1 - 1 - log 4)
  expected = 0.5 * (4 - np.log(4))
  assert gaussian.kl(1.0, jnp.log(4.0), 0.0, 0.0) == pytest.approx(expected)
  assert gaussian.kl(0.3, -1.0, 0.3, -1.0) == 0


def test_discretised_likelihood_against_exact_values():
  """Exact values of the end bin, of the centre at DDPM's smallest scale, and normalisation."""
  end = gaussian.discretised_log_likelihood(-1.0, -0.98, np.log(0.02), 1 / 255)
  assert end == pytest.approx(-1.5572196, rel=1e-5)
  log_scale = 0.5 * np.log(5.4531877e-5)
  centre = gaussian.discretised_log_likelihood(1 / 255, 1 / 255, log_scale, 1 / 255)
  assert -centre / np.log(2) == pytest.approx(1.3053777, rel=1e-5)
  for levels, mean, scale in ((17, 0.4, 0.3), (256, -0.99, 0.01), (2, 3.0, 1.0)):
    grid = jnp.linspace(-1, 1, levels)
    total = jnp.exp(
      gaussian.discretised_log_likelihood(grid, mean, np.log(scale), 1 / (levels - 1))
    ).sum()
    assert total == pytest.approx(1, rel=1e-5)


def test_discretised_likelihood_is_finite_far_from_the_mean():
  f = lambda mean: gaussian.discretised_log_likelihood(0.5, mean, np.log(0.007), 1 / 255)
  for mean in (-1.0, 1.0):
    assert np.isfinite(f(mean)) and f(mean) < -2000
    assert np.isfinite(jax.grad(f)(mean))


@pytest.mark.parametrize('levels', [2, 17, 256])
def test_levels_survive_the_model_scale(levels):
  image = jnp.arange(levels, dtype=jnp.uint8)
  x = gaussian.to_model_scale(image, levels)
  assert (x[0], x[-1]) == (-1, 1)
  np.testing.assert_array_equal(gaussian.to_levels(x, levels), image)
  np.testing.assert_array_equal(
    gaussian.to_levels(3 * x, levels)[jnp.array([0, -1])], [0, levels - 1]
  )
