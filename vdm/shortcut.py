"""Shortcut-MCMC sampling (Chen 2023): a few of the T steps, drawn at random for every image."""

import jax
import jax.numpy as jnp

from trilemma import gaussian
from trilemma.samplers import CHOICE, noise_like, walk

NOISES = ('fixed', 'predicted', 'fresh')


def draw_times(keys, few, steps):
  """Times i32[few + 1, N], falling from `steps` to 0: `few` of 1..steps, always with the last.

  Every image has its own, from its key; few = steps takes them all.
  """

  def one(key):
    key = jax.random.fold_in(key, few + 1)  # `chain` folds in 1..few, the start 0
    chosen = 1 + jax.random.permutation(key, steps - 1)[: few - 1]
    return jnp.concatenate([jnp.sort(chosen), jnp.full(1, steps)])

  times = jax.vmap(one, out_axes=1)(keys)[::-1]
  return jnp.concatenate([times, jnp.zeros((1, len(keys)), times.dtype)])


def chain(denoise, gammas, z, eps, keys, noise='fixed', frames=0, guesses=False, tick=None):
  """z at gammas[-1] from z at gammas[0], f32[few + 1, N]: (z, frames); z_s = alpha x_hat + sigma n.

  denoise(z, g f32[N]) -> x_hat. n is eps, the noise that z was made with ('fixed': a perfect
  denoiser stays on the straight path from it to x), the noise that x_hat implies ('predicted':
  DDIM), or new noise ('fresh').
  """
  few = len(gammas) - 1

  def step(z, _, j):
    g_t, g_s = gammas[few - j], gammas[few - j + 1]
    x_hat = denoise(z, g_t)
    if noise == 'fixed':
      n = eps
    elif noise == 'predicted':
      n = gaussian.eps_from_x(z, g_t, x_hat)
    else:
      n = noise_like(keys, j, z)
    return gaussian.diffuse(x_hat, g_s, n), x_hat

  return walk(step, z, few, frames, tick, jnp.zeros_like(z), CHOICE[guesses])
