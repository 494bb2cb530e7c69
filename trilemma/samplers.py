"""Samplers as free functions over a list of gammas.

Each takes denoise(z f32[N,...], j) -> x_hat, the gammas f64[S+1] of a grid with gammas[0] the
clean end (-inf for DDPM), the start z at gammas[S] and one key per image; j = S..1 counts down.
The noise of image n at step j is drawn from fold_in(keys[n], j): an image depends on its own key.
"""

import jax
import jax.numpy as jnp
import numpy as np

from trilemma.gaussian import diffuse, eps_from_x, posterior


def noise_like(keys, j, z):
  """Standard normal noise for step j: f32 like z [N,...], one key per image."""
  return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, j), z.shape[1:]))(keys)


def report(tick, done, total):
  """Calls tick(done, total) on the host from inside a loop, every hundredth of the total."""
  if tick is not None:
    due = done % max(1, total // 100) == 0
    jax.lax.cond(due, lambda: jax.debug.callback(tick, done, total), lambda: None)


def walk(step, z, steps, frames=0, tick=None):
  """Applies z = step(z, j) for j = steps..1; also returns `frames` evenly spaced states.

  There are at most as many frames as steps; the last is the result. tick(done, steps) runs on the
  host about a hundred times.
  """
  frames = min(frames, steps)
  trace = jnp.zeros((frames, *z.shape), z.dtype)

  def body(carry, j):
    z, trace = carry
    z = step(z, j)
    done = steps - j + 1
    if frames:  # later steps of a slot overwrite earlier ones
      trace = trace.at[(done * frames - 1) // steps].set(z)
    report(tick, done, steps)
    return (z, trace), None

  (z, trace), _ = jax.lax.scan(body, (z, trace), jnp.arange(steps, 0, -1))
  return z, trace


def ancestral(denoise, gammas, z, keys, *, log_variance=None, eta=0.0, frames=0, tick=None):
  """z_s ~ N(posterior mean with x_hat, variance): Ho et al. 2020, algorithm 2.

  log_variance f64[S+1] is that of step j at j, by default the posterior's. A last step to clean
  data adds no noise.
  """
  del eta
  g = jnp.asarray(gammas, jnp.float32)
  if log_variance is not None:
    scale = np.where(np.isfinite(gammas[:-1]), np.exp(0.5 * log_variance[1:]), 0.0)
    scale = jnp.asarray(scale, jnp.float32)

  def step(z, j):
    mean, variance = posterior(z, denoise(z, j), g[j - 1], g[j])
    noise = noise_like(keys, j, z)
    return mean + (jnp.sqrt(variance) if log_variance is None else scale[j - 1]) * noise

  return walk(step, z, len(gammas) - 1, frames, tick)


def ddim(denoise, gammas, z, keys, *, log_variance=None, eta=0.0, frames=0, tick=None):
  """Song et al. 2021, equation 12: eta = 0 is deterministic, eta = 1 ancestral (posterior)."""
  del log_variance
  g = jnp.asarray(gammas, jnp.float32)

  def step(z, j):
    g_s, g_t = g[j - 1], g[j]
    x_hat = denoise(z, j)
    eps_hat = eps_from_x(z, g_t, x_hat)
    if eta == 0:
      return diffuse(x_hat, g_s, eps_hat)
    _, variance = posterior(z, x_hat, g_s, g_t)
    variance = eta**2 * variance
    mean = jnp.sqrt(jax.nn.sigmoid(-g_s)) * x_hat
    direction = jnp.sqrt(jnp.maximum(jax.nn.sigmoid(g_s) - variance, 0.0)) * eps_hat
    return mean + direction + jnp.sqrt(variance) * noise_like(keys, j, z)

  return walk(step, z, len(gammas) - 1, frames, tick)


SAMPLERS = {'ancestral': ancestral, 'ddim': ddim}
