"""Degradations without noise: what cold diffusion undoes (Bansal et al. 2022).

Each is a function (shape, config.model) -> Degradation; a new one is an entry in DEGRADATIONS.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.fft import dct

from trilemma.exits import UserError, choose


class Degradation(NamedTuple):
  """Images x f32[B,H,W,C]; s i32[B] or i32[] from 0, clean, to `steps`.

  apply:  (x, s) -> x degraded s times
  code:   (x) -> f32[B,K], all that is left of x after `steps`
  expand: (code) -> the degraded image of that code
  """

  steps: int
  apply: Callable
  code: Callable
  expand: Callable


def _order(order, n, seed):
  """The places 0..n-1 in the order in which they are degraded."""
  outside_in = np.stack([np.arange(n), np.arange(n)[::-1]], 1).ravel()
  outside_in = outside_in[np.sort(np.unique(outside_in, return_index=True)[1])]
  return choose('config.model.order', order, {
    'random': np.random.default_rng(seed).permutation(n),
    'outside_in': outside_in,
    'inside_out': outside_in[::-1],
  })  # fmt: skip


def columns(shape, c, axis=1):
  """Columns become their own mean over the rows, `group` of them at a time (Cambridge report)."""
  height, width, channels = shape if axis == 1 else (shape[1], shape[0], shape[2])
  if c.group < 1 or width % c.group:
    raise UserError(f'config.model.group={c.group} does not divide {width}')
  steps = width // c.group
  turn = (lambda x: x) if axis == 1 else (lambda x: x.swapaxes(1, 2))
  when = np.empty(width, np.int32)  # the step at which a column goes
  order = _order(c.order, steps, c.order_seed)
  when[np.arange(width)] = 1 + np.argsort(order)[np.arange(width) // c.group]

  def apply(x, s):
    x = turn(x)
    gone = when <= jnp.reshape(s, (-1, 1))
    return turn(jnp.where(gone[:, None, :, None], x.mean(1, keepdims=True), x))

  def expand(code):
    means = code.reshape(len(code), 1, width, channels)
    return turn(jnp.broadcast_to(means, (len(code), height, width, channels)))

  return Degradation(steps, apply, lambda x: turn(x).mean(1).reshape(len(x), -1), expand)


def rows(shape, c):
  """As columns, of the rows."""
  return columns(shape, c, axis=2)


def blur(shape, c):
  """Heat spreads within the borders, for longer and longer, at last to the mean of each channel."""
  height, width, channels = shape
  if c.steps < 1:
    raise UserError(f'config.model.steps={c.steps} must be at least 1')
  waves = [np.float32(dct(np.eye(n), norm='ortho', axis=0)) for n in (height, width)]
  squares = (np.pi * np.arange(height) / height)[:, None] ** 2
  squares = np.float32(squares + (np.pi * np.arange(width) / width) ** 2)
  # standard deviations in pixels, from a half to half the image; at last only the mean is left
  sigma = np.geomspace(0.5, max(height, width) / 2, max(c.steps - 1, 1))[: c.steps - 1]
  times = np.reshape([0.0, *(sigma**2 / 2), 1e6], (-1, 1, 1))
  heat = np.float32(np.exp(-squares * times))

  def apply(x, s):
    spectrum = jnp.einsum('ph,qw,bhwc->bpqc', *waves, x, precision='highest')
    kept = jnp.asarray(heat)[jnp.reshape(s, -1)][..., None]
    return jnp.einsum('ph,qw,bpqc->bhwc', *waves, spectrum * kept, precision='highest')

  def expand(code):
    return jnp.broadcast_to(code[:, None, None], (len(code), height, width, channels))

  return Degradation(c.steps, apply, lambda x: x.mean((1, 2)), expand)


DEGRADATIONS = {'columns': columns, 'rows': rows, 'blur': blur}
