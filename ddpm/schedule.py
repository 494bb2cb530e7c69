"""Noise schedules as tables of gamma, built in float64 on the host.

A table has T + 1 entries: gamma[0] = -inf is clean data and gamma[i] = log((1 - abar) / abar)
after i noising steps, so step i goes from position i - 1 to position i.
"""

import numpy as np
from scipy.optimize import brentq

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
  make_betas = choose('config.model.schedule', schedule, SCHEDULES)
  if rescale and schedule != 'linear':
    raise UserError(f'config.model.rescale_betas is for the linear schedule, not {schedule}')
  if steps < 2:
    raise UserError(f'config.model.steps={steps}: at least 2 diffusion steps are needed')
  betas = make_betas(steps, rescale)
  if betas.max() >= 1:
    raise UserError(
      f'{schedule} betas rescaled by 1000/{steps} reach {betas.max():.3g}, but must stay below 1: '
      'use more than 20 steps, --config.model.rescale_betas=False, or the cosine schedule'
    )
  log_abar = np.cumsum(np.log1p(-betas))
  # log(1 - abar) - log(abar), without the cancellation of 1 - abar
  return np.concatenate([[-np.inf], np.log(-np.expm1(log_abar)) - log_abar])


def spaced(gammas, count, spacing='t'):
  """`count` increasing positions i64 of a table gamma f64[T+1], both 1 and T included.

  Evenly spaced in 't', or in 'gamma' as nearly as the table's own steps allow.
  """
  steps = len(gammas) - 1
  if spacing == 't':
    return np.round(np.linspace(steps, 1, count)).astype(int)[::-1]
  if count == 1:
    return np.array([steps])
  # A step of the table wider than the even gap c is one step; the others share what is left.
  gaps = np.diff(gammas[1:])
  crossed = lambda c: np.minimum(gaps / c, 1).sum() - (count - 1)
  c = brentq(crossed, gaps.min() / 2, gaps.sum()) if count < steps else gaps.min()
  reached = np.append(0, np.cumsum(np.minimum(gaps / c, 1)))
  return 1 + np.searchsorted(reached, np.arange(count) - 1e-6)


SPACINGS = ('t', 'gamma')


def reverse_log_variance(gammas, kind):
  """Bounds of the log variance of p(z_s | z_t) at index t of a grid: lower and upper, f64[S+1].

  'fixed_large' is beta and 'fixed_small' the posterior's, where both bounds are the same; 'learned'
  lies between the posterior's and beta (Nichol and Dhariwal 2021, equation 15). The posterior's
  variance of the second step is used at the first, where it is 0; so is that of 'fixed_large', for
  a better likelihood. Index 0 is unused.
  """
  g_s, g_t = gammas[:-1], gammas[1:]
  c = -np.expm1(g_s - g_t)
  with np.errstate(divide='ignore'):
    small = np.log(c) - np.logaddexp(0, -g_s)
  small[0] = small[min(1, len(small) - 1)]
  beta = np.log(c) - np.logaddexp(0, -g_t)
  large = np.append(small[0], beta[1:])
  kinds = {'fixed_large': (large, large), 'fixed_small': (small, small), 'learned': (small, beta)}
  lower, upper = choose('config.model.variance', kind, kinds)
  return np.append(np.nan, lower), np.append(np.nan, upper)
