"""Learned and fixed noise schedules gamma(t), t in [0, 1] (Kingma et al. 2021, appendix H).

Parameters are {'ends': ..., 'interior': ...}: the ends get gradients from the bound, and what lies
between them has an objective of its own (config.model.gamma_objective).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

HIDDEN = 1024


class Gamma(NamedTuple):
  """init(key) -> params; value(params, t) -> gamma like t, increasing; fall(params, t, steps) ->
  gamma(t) - gamma(t - 1 / steps), without the cancellation where it can be avoided."""

  init: Callable
  value: Callable
  fall: Callable


def _ends(lo, hi):
  """gamma(0), and the rise to gamma(1), whose absolute value counts."""
  return {'start': jnp.float32(lo), 'rise': jnp.float32(hi - lo)}


def fixed_linear(lo, hi):
  """lo + (hi - lo) t."""
  return Gamma(
    lambda key: {'ends': {}, 'interior': {}},
    lambda params, t: lo + (hi - lo) * t,
    lambda params, t, steps: jnp.full_like(t, (hi - lo) / steps),
  )


def learned_linear(lo, hi):
  """A line whose ends are learned, first lo and hi."""

  def value(params, t):
    return params['ends']['start'] + jnp.abs(params['ends']['rise']) * t

  def fall(params, t, steps):
    return jnp.broadcast_to(jnp.abs(params['ends']['rise']) / steps, t.shape)

  return Gamma(lambda key: {'ends': _ends(lo, hi), 'interior': {}}, value, fall)


def learned_net(lo, hi):
  """A monotone net between ends that are learned apart: it is rescaled to reach both exactly.

  l1(t) + l3(sigmoid(l2(l1(t)))) with positive weights, 1 -> 1, 1 -> 1024 -> 1.
  """

  def init(key):
    k2, k3 = jax.random.split(key)
    interior = {
      'w1': jnp.float32(2.0), 'b1': jnp.float32(-1.0),
      'w2': jax.random.normal(k2, (HIDDEN,)), 'b2': jnp.zeros(HIDDEN),
      'w3': 0.01 * jax.random.normal(k3, (HIDDEN,)),
    }  # fmt: skip
    return {'ends': _ends(lo, hi), 'interior': interior}

  def raw(p, t):
    first = jnp.abs(p['w1']) * t + p['b1']
    hidden = jax.nn.sigmoid(first[..., None] * jnp.abs(p['w2']) + p['b2'])
    return first + hidden @ jnp.abs(p['w3'])

  def value(params, t):
    p, ends = params['interior'], params['ends']
    low, high = raw(p, jnp.zeros(())), raw(p, jnp.ones(()))
    return ends['start'] + jnp.abs(ends['rise']) * (raw(p, t) - low) / (high - low)

  return Gamma(
    init, value, lambda params, t, steps: value(params, t) - value(params, t - 1 / steps)
  )


GAMMAS = {
  'fixed_linear': fixed_linear,
  'learned_linear': learned_linear,
  'learned_net': learned_net,
}


def curve(model, params, t):
  """gamma f[N] at t f32[N] in [0, 1], of config.model and the parameters of a VDM."""
  gamma = GAMMAS[model.gamma](model.gamma_min, model.gamma_max)
  return np.asarray(gamma.value(params['net']['gamma'], t))
