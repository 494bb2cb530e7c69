"""From images to what is diffused and back: one object with encode, decode and log_prob."""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from trilemma import gaussian
from trilemma.exits import UserError
from trilemma.nets.mlp import ResMLP


class EncDec(NamedTuple):
  """f has `shape` (H, W, C). u is z_0 / alpha_0 = f + exp(g_0 / 2) eps, g_0 f32[].

  init:     (key) -> params
  encode:   (params, image u8[B,...]) -> f f32[B,*shape]
  decode:   (params, u) -> the likeliest image u8[B,...]
  log_prob: (params, image, u, g_0) -> log p(image | u) in nats, f32[B]; TypeError for images that
            are not whole numbers (pixels in [0, 1] would all count as level 0)
  """

  shape: tuple[int, int, int]
  init: Callable
  encode: Callable
  decode: Callable
  log_prob: Callable


def _levels(image):
  if not jnp.issubdtype(image.dtype, jnp.integer):
    raise TypeError(f'log_prob needs levels as whole numbers, not {image.dtype}')
  return image.astype(jnp.int32)


def pixels(spec, center=(), spread=()):
  """f = (level - center) / spread per channel; by default 2 (level + 1/2) / levels - 1.

  p(level | u) is the exact posterior under a uniform prior over levels (Kingma et al. 2021,
  equation 8): a softmax of -((u - f(level)) exp(-g_0 / 2))^2 / 2.
  """
  channels = spec.shape[-1]
  for name, values in (('center', center), ('spread', spread)):
    if len(values) not in (0, channels):
      raise UserError(f'config.model.{name} needs a number for each of {channels} channels')
  if 0 in spread:
    raise UserError('config.model.spread must not be 0')
  center = np.float32(center or [(spec.levels - 1) / 2] * channels)
  spread = np.float32(spread or [spec.levels / 2] * channels)
  grid = (np.arange(spec.levels, dtype=np.float32)[:, None] - center) / spread  # [levels, C]

  def log_prob(params, image, u, g_0):
    precision = jnp.exp(-g_0)
    level = _levels(image)
    chosen = -0.5 * precision * (u - (level - center) / spread) ** 2
    every = -0.5 * precision * (u[..., None] - grid.T) ** 2  # [B,H,W,C,levels]
    return (chosen - jax.nn.logsumexp(every, -1)).sum((1, 2, 3))

  def decode(params, u):
    return jnp.clip(jnp.round(u * spread + center), 0, spec.levels - 1).astype(jnp.uint8)

  return EncDec(
    spec.shape, lambda key: {}, lambda params, image: (image - center) / spread, decode, log_prob
  )


class _Decoder(nn.Module):
  """u f32[B,1,1,L] -> per pixel a logit (two levels) or a mean and a log scale (more)."""

  shape: tuple[int, int, int]
  outputs: int
  width: int
  layers: int

  @nn.compact
  def __call__(self, u):
    x = ResMLP(math.prod(self.shape) * self.outputs, self.width, self.layers)(u)
    return x.reshape(len(u), *self.shape, self.outputs)


def latent(spec, size, width=256, layers=2):
  """f is a learned vector of `size` numbers, decoded by a learned net, both trained by the bound.

  Two levels are Bernoulli; more are a discretised Gaussian with learned mean and scale.
  """
  binary = spec.levels == 2
  encoder = ResMLP(size, width, layers)
  decoder = _Decoder(spec.shape, 1 if binary else 2, width, layers)

  def init(key):
    k1, k2 = jax.random.split(key)
    flat = jnp.zeros((1, 1, 1, math.prod(spec.shape)))
    return {
      'encoder': encoder.init(k1, flat)['params'],
      'decoder': decoder.init(k2, jnp.zeros((1, 1, 1, size)))['params'],
    }

  def encode(params, image):
    x = gaussian.to_model_scale(image, spec.levels).reshape(len(image), 1, 1, -1)
    return encoder.apply({'params': params['encoder']}, x)

  def log_prob(params, image, u, g_0):
    level, out = _levels(image), decoder.apply({'params': params['decoder']}, u)
    if binary:
      each = jax.nn.log_sigmoid(jnp.where(level == 1, 1, -1) * out[..., 0])
    else:
      log_scale = jnp.clip(out[..., 1], -6, 2)
      x = gaussian.to_model_scale(level, spec.levels)
      each = gaussian.discretised_log_likelihood(x, out[..., 0], log_scale, 1 / (spec.levels - 1))
    return each.sum((1, 2, 3))

  def decode(params, u):
    out = decoder.apply({'params': params['decoder']}, u)[..., 0]
    return (out > 0).astype(jnp.uint8) if binary else gaussian.to_levels(out, spec.levels)

  return EncDec((1, 1, size), init, encode, decode, log_prob)
