"""Samplers as free functions over a list of gammas.

Each takes denoise(z f32[N,...], j) -> (x_hat, log_variance), the gammas f[S+1] of a grid with
gammas[0] the clean end (-inf for DDPM), the start z at gammas[S] and one key per image; j = S..1
counts down. log_variance, of p(z_s | z_t), is a scalar or like z, or None for the posterior's; only
`ancestral` uses it. They return the last z and `frames` states on the way, or with guesses=True the
x_hat behind them.
The noise of image n at step j is drawn from fold_in(keys[n], j): an image depends on its own key.
"""

import jax
import jax.numpy as jnp

from trilemma.gaussian import alpha, diffuse, eps_from_x, posterior, sigma


def noise_like(keys, j, z):
  """Standard normal noise for step j: f32 like z [N,...], one key per image."""
  return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, j), z.shape[1:]))(keys)


def report(tick, done, total):
  """Calls tick(done, total) on the host from inside a loop, every hundredth of the total."""
  if tick is not None:
    due = done % max(1, total // 100) == 0
    jax.lax.cond(due, lambda: jax.debug.callback(tick, done, total), lambda: None)


def walk(step, z, steps, frames=0, tick=None, memory=(), show=lambda z, memory: z):
  """Applies (z, memory) = step(z, memory, j) for j = steps..1: the last z and `frames` states.

  The states, show(z, memory) f32[F,N,...], are evenly spaced, at most as many as steps, and end
  with the last. tick(done, steps) runs on the host about a hundred times.
  """
  frames = min(frames, steps)
  shown = jax.eval_shape(show, z, memory)
  trace = jnp.zeros((frames, *shown.shape), shown.dtype)

  def body(carry, j):
    z, memory, trace = carry
    z, memory = step(z, memory, j)
    done = steps - j + 1
    if frames:  # later steps of a slot overwrite earlier ones
      trace = trace.at[(done * frames - 1) // steps].set(show(z, memory))
    report(tick, done, steps)
    return (z, memory, trace), None

  (z, _, trace), _ = jax.lax.scan(body, (z, memory, trace), jnp.arange(steps, 0, -1))
  return z, trace


# what a frame shows of (z, x_hat), by `guesses`
CHOICE = {False: lambda z, x_hat: z, True: lambda z, x_hat: x_hat}
FRAMES = ('state', 'guess')  # of config.sample.frames


def ancestral(denoise, gammas, z, keys, *, eta=0.0, frames=0, guesses=False, tick=None):
  """z_s ~ N(posterior mean with x_hat, variance): Ho et al. 2020, algorithm 2.

  A last step to clean data adds no noise.
  """
  del eta
  g = jnp.asarray(gammas, jnp.float32)

  def step(z, _, j):
    x_hat, log_variance = denoise(z, j)
    mean, variance = posterior(z, x_hat, g[j - 1], g[j])
    scale = jnp.sqrt(variance)
    if log_variance is not None:
      scale = jnp.where(g[j - 1] > -jnp.inf, jnp.exp(0.5 * log_variance), 0.0)
    return mean + scale * noise_like(keys, j, z), x_hat

  return walk(step, z, len(gammas) - 1, frames, tick, jnp.zeros_like(z), CHOICE[guesses])


def ddim(denoise, gammas, z, keys, *, eta=0.0, frames=0, guesses=False, tick=None):
  """Song et al. 2021, equation 12: eta = 0 is deterministic, eta = 1 ancestral (posterior)."""
  g = jnp.asarray(gammas, jnp.float32)

  def step(z, _, j):
    g_s, g_t = g[j - 1], g[j]
    x_hat, _ = denoise(z, j)
    eps_hat = eps_from_x(z, g_t, x_hat)
    if eta == 0:
      return diffuse(x_hat, g_s, eps_hat), x_hat
    _, variance = posterior(z, x_hat, g_s, g_t)
    variance = eta**2 * variance
    mean = alpha(g_s) * x_hat
    direction = jnp.sqrt(jnp.maximum(jax.nn.sigmoid(g_s) - variance, 0.0)) * eps_hat
    return mean + direction + jnp.sqrt(variance) * noise_like(keys, j, z), x_hat

  return walk(step, z, len(gammas) - 1, frames, tick, jnp.zeros_like(z), CHOICE[guesses])


def dpmpp_2m(denoise, gammas, z, keys, *, eta=0.0, frames=0, guesses=False, tick=None):
  """DPM-Solver++(2M), deterministic and of second order: Lu et al. 2022b, algorithm 2.

  The first step, and a last one to clean data, are of first order, which is DDIM.
  """
  del keys, eta
  g = jnp.asarray(gammas, jnp.float32)
  h = (g[1:] - g[:-1]) / 2  # of lambda = log(alpha / sigma), for the step j -> j - 1 at j - 1
  before = jnp.append(h[1:], jnp.inf)  # of the step before
  extrapolate = jnp.where(jnp.isfinite(h), h, 0.0) / (2 * before)
  from_z = sigma(g[:-1]) / sigma(g[1:])
  from_x = -alpha(g[:-1]) * jnp.expm1(-h)

  def step(z, x_before, j):
    x_hat, _ = denoise(z, j)
    x = x_hat + extrapolate[j - 1] * (x_hat - x_before)
    return from_z[j - 1] * z + from_x[j - 1] * x, x_hat

  return walk(step, z, len(gammas) - 1, frames, tick, jnp.zeros_like(z), CHOICE[guesses])


SAMPLERS = {'ancestral': ancestral, 'ddim': ddim, 'dpmpp_2m': dpmpp_2m}
