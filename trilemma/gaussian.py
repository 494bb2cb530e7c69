"""Everything Gaussian, in one coordinate: g = gamma = -log SNR.

z = alpha x + sigma eps with alpha^2 = sigmoid(-g) and sigma^2 = sigmoid(g), so that noise grows
with g: g = -inf is clean data. For s < t the transition needs only c = -expm1(g_s - g_t)
= sigma_{t|s}^2 / sigma_t^2 (Kingma et al. 2021, appendix A). One exact posterior serves DDPM on
any sub-grid of its steps, VDM, and the denoising-diffusion GAN.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr


def alpha(g):
  """Signal scale sqrt(sigmoid(-g))."""
  return jnp.sqrt(jax.nn.sigmoid(-g))


def sigma(g):
  """Noise scale sqrt(sigmoid(g))."""
  return jnp.sqrt(jax.nn.sigmoid(g))


def per_example(g, like):
  """g f[B] shaped to broadcast against like f[B,...]; a scalar stays one."""
  return g if jnp.ndim(g) == 0 else g.reshape(g.shape + (1,) * (like.ndim - 1))


def diffuse(x, g, eps):
  """z_t = alpha x + sigma eps, for g a scalar or f[B]."""
  g = per_example(g, x)
  return alpha(g) * x + sigma(g) * eps


def x_from_eps(z, g, eps):
  """x = (z - sigma eps) / alpha."""
  g = per_example(g, z)
  return (z - sigma(g) * eps) / alpha(g)


def eps_from_x(z, g, x):
  """eps = (z - alpha x) / sigma."""
  g = per_example(g, z)
  return (z - alpha(g) * x) / sigma(g)


def posterior(z, x, g_s, g_t):
  """Mean [B,...] and variance (g's shape) of q(z_s | z_t, x), s < t; g_s = -inf gives (x, 0)."""
  c = -jnp.expm1(g_s - g_t)
  variance = jax.nn.sigmoid(g_s) * c
  # alpha_{t|s} sigma_s^2 / sigma_t^2 with alpha_{t|s} = alpha_t / alpha_s
  from_z = alpha(g_t) / alpha(g_s) * jax.nn.sigmoid(g_s) / jax.nn.sigmoid(g_t)
  from_x = alpha(g_s) * c
  return per_example(from_z, z) * z + per_example(from_x, z) * x, variance


def kl(mean1, log_var1, mean2, log_var2):
  """KL(N(mean1, var1) || N(mean2, var2)) per dimension, in nats."""
  return 0.5 * (
    log_var2 - log_var1 - 1 + jnp.exp(log_var1 - log_var2)
    + (mean1 - mean2) ** 2 * jnp.exp(-log_var2)
  )  # fmt: skip


def _log_cdf_difference(lower, upper):
  """log(Phi(upper) - Phi(lower)) for lower < upper, from the tail that does not underflow."""
  flip = lower > 0
  lower, upper = jnp.where(flip, -upper, lower), jnp.where(flip, -lower, upper)
  log_upper = log_ndtr(upper)
  return log_upper + jnp.log(-jnp.expm1(log_ndtr(lower) - log_upper))


def discretised_log_likelihood(x, mean, log_scale, half):
  """log P(bin) of the bin around x, x - half to x + half, per dimension, in nats.

  A Gaussian of that mean and log standard deviation integrated over the bin. The bins that reach
  -1 or 1 go on to infinity (Ho et al. 2020, equation 13): half is 1 / (levels - 1) where the end
  levels sit at -1 and 1, and 1 / levels where they sit half a bin inside.
  """
  scale = jnp.exp(-log_scale)
  lower, upper = (x - half - mean) * scale, (x + half - mean) * scale
  inside = _log_cdf_difference(lower, upper)
  inside = jnp.where(x - half < -1 + half / 2, log_ndtr(upper), inside)
  return jnp.where(x + half > 1 - half / 2, log_ndtr(-lower), inside)


def to_model_scale(image, levels):
  """u8 levels 0..levels-1 to f32 in [-1, 1], both ends reached."""
  return image.astype(jnp.float32) * (2 / (levels - 1)) - 1


def to_levels(x, levels):
  """The nearest level of f32 x in [-1, 1], as uint8; values outside go to the end levels."""
  return jnp.clip(jnp.round((x + 1) * ((levels - 1) / 2)), 0, levels - 1).astype(jnp.uint8)
