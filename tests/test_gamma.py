"""Noise schedules of a VDM."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vdm_oracles import HI, LO

from vdm.gamma import GAMMAS


def schedule(name, seed=0):
  gamma = GAMMAS[name](LO, HI)
  return gamma, gamma.init(jax.random.key(seed))


@pytest.mark.parametrize('name', sorted(GAMMAS))
def test_gamma_rises_and_reaches_its_ends(name):
  gamma, params = schedule(name)
  if name != 'fixed_linear':  # whatever the interior, and ends that have moved
    params = jax.tree.map(lambda p: p + 0.3 * jax.random.normal(jax.random.key(3), p.shape), params)
  t = jnp.linspace(0, 1, 1001)
  values = gamma.value(params, t)
  assert (jnp.diff(values) > 0).all()
  ends = params['ends'] or {'start': LO, 'rise': HI - LO}
  np.testing.assert_allclose(values[0], ends['start'], rtol=1e-6)
  np.testing.assert_allclose(values[-1], ends['start'] + ends['rise'], rtol=1e-5)
  fall = gamma.fall(params, t[1:], 1000)
  np.testing.assert_allclose(fall, jnp.diff(values), atol=2e-5)


def test_discrete_time_tends_to_continuous_with_slope_one_over_T():
  """On N(0, 1) with the oracle L_T = (1/2) sum (sigma_t^2 / sigma_s^2 - 1)."""
  gamma, params = schedule('fixed_linear')
  limit = 6.646643163
  with jax.enable_x64(True):
    errors = []
    for steps in (1000, 2000, 4000):
      t = jnp.arange(1, steps + 1) / steps
      weight = steps * jnp.expm1(gamma.fall(params, t.astype(jnp.float64), steps))
      losses = 0.5 * weight * jax.nn.sigmoid(-gamma.value(params, t))
      errors.append(float(losses.mean()) - limit)
  np.testing.assert_allclose(errors, 56.3 / np.array([1000, 2000, 4000]), rtol=0.02)
