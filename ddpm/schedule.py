"""Noise schedules as tables of gamma, built in float64 on the host.

A table has T + 1 entries: gamma[0] = -inf is clean data and gamma[i] = log((1 - abar) / abar)
after i noising steps, so step i goes from position i - 1 to position i.
"""

import numpy as np

from trilemma.exits import UserError, choose


def linear_betas(steps, rescale):
  """Ho et al. 2020: 1e-4 to 0.02; `rescale` multiplies by 1000 / T so that any T reaches noise."""
  scale = 1000 / steps if rescale else 1.0
  return np.linspace(1e-4 * scale, 0.02 * scale, steps)


def cosine_betas(steps, rescale):
  """Nichol and Dhariwal 2021, equation 17, s = 0.008, clipped at 0.999; never rescaled."""
  del rescale
  u = np.arange(steps + 1) / steps
  f = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
  return np.minimum(1 - f[1:] / f[:-1], 0.999)


SCHEDULES = {'linear': linear_betas, 'cosine': cosine_betas}


def gamma_table(schedule, steps, rescale=False):
  """gamma f64[steps + 1]. Raises UserError where a beta leaves (0, 1)."""
  if steps < 2:
    raise UserError(f'config.model.steps={steps}: at least 2 diffusion steps are needed')
  betas = choose('config.model.schedule', schedule, SCHEDULES)(steps, rescale)
  if betas.max() >= 1:
    raise UserError(
      f'{schedule} betas rescaled by 1000/{steps} reach {betas.max():.3g}, but must stay below 1: '
      'use more than 20 steps, --config.model.rescale_betas=False, or the cosine schedule'
    )
  log_abar = np.cumsum(np.log1p(-betas))
  # log(1 - abar) - log(abar), without the cancellation of 1 - abar
  return np.concatenate([[-np.inf], np.log(-np.expm1(log_abar)) - log_abar])


def spaced(steps, count):
  """`count` positions from 1 to `steps`, evenly spaced and rounded, both ends included."""
  return np.round(np.linspace(steps, 1, count)).astype(int)[::-1]


def reverse_log_variance(gammas, kind):
  """log variance of p(z_s | z_t) at index t for each transition of a grid: f64[S+1].

  'fixed_large' is beta, 'fixed_small' the posterior's. Both take the posterior's variance of the
  second step at the first one, where it is 0 or gives a poor likelihood; index 0 is unused.
  """
  g_s, g_t = gammas[:-1], gammas[1:]
  c = -np.expm1(g_s - g_t)
  with np.errstate(divide='ignore'):
    small = np.log(c) - np.logaddexp(0, -g_s)
  small[0] = small[min(1, len(small) - 1)]
  large = np.log(c) - np.logaddexp(0, -g_t)
  large[0] = small[0]
  table = choose('config.model.variance', kind, {'fixed_large': large, 'fixed_small': small})
  return np.concatenate([[np.nan], table])
