"""Layers that every net shares, in the form that XLA runs well on CPU, GPU and TPU.

XLA:CPU turns a `reduce` over batch and space, and the transposes in a convolution's gradient, into
strided loops that recompute everything before them. So sums are blocks of rows times a row of ones,
and barriers keep what is used more than once. Values and gradients equal flax's
(tests/test_nets.py).
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Ho et al. 2020: every kernel, except the zero-initialised ones.
KERNEL_INIT = nn.initializers.variance_scaling(1.0, 'fan_avg', 'uniform')
ZERO_INIT = nn.initializers.zeros_init()
ACTIVATIONS = {'swish': nn.swish, 'gelu': lambda x: nn.gelu(x, approximate=False), 'selu': nn.selu}


def column_sums(*factors, blocks=16):
  """Sums of the product of factors [..., N, C] over N in float32: [..., C].

  First over a few blocks of rows in one vector loop, the rest as a product with a row of ones.
  """
  n = factors[0].shape[-2]
  blocks = math.gcd(blocks, n)
  rows = n // blocks
  parts = (slice(i * rows, (i + 1) * rows) for i in range(blocks))
  x = sum(math.prod(f[..., part, :].astype(jnp.float32) for f in factors) for part in parts)
  ones = jnp.ones((*x.shape[:-2], 1, rows), jnp.float32)
  return jnp.matmul(ones, x)[..., 0, :]


@jax.custom_vjp
def add_bias(x, bias):
  """x f[..., C] + bias f[C]."""
  return x + bias


def _add_bias_bwd(bias, dy):
  return dy, column_sums(dy.reshape(-1, dy.shape[-1])).astype(bias.dtype)


add_bias.defvjp(lambda x, bias: (x + bias, bias), _add_bias_bwd)


@jax.custom_vjp
def channel_affine(x, a, b):
  """x f[B,N,C] * a f32[B,C] + b f32[B,C], in x's dtype."""
  return (x * a[:, None] + b[:, None]).astype(x.dtype)


def _channel_affine_bwd(residuals, dy):
  x, a = residuals
  return (dy.astype(jnp.float32) * a[:, None]).astype(x.dtype), column_sums(dy, x), column_sums(dy)


channel_affine.defvjp(lambda x, a, b: (channel_affine(x, a, b), (x, a)), _channel_affine_bwd)


@jax.custom_vjp
def channel_moments(x):
  """Sums of x and of x^2 over N for x f[B,N,C], float32: two [B,C]."""
  return column_sums(x), column_sums(x, x)


def _channel_moments_bwd(x, ds):
  ds1, ds2 = ds
  return ((ds1[:, None] + 2 * x * ds2[:, None]).astype(x.dtype),)


channel_moments.defvjp(lambda x: (channel_moments(x), x), _channel_moments_bwd)


def _barrier(x):
  """Stops fusion across x on CPU, where XLA would recompute x's whole chain at every use.

  parallel.jit keeps these barriers in the program; other backends fuse well and get none.
  """
  return lax.optimization_barrier(x) if jax.default_backend() == 'cpu' else x


@jax.custom_vjp
def keep(x):
  """x, computed once in the forward pass (CPU); the gradient passes through."""
  return _barrier(x)


keep.defvjp(lambda x: (_barrier(x), None), lambda _, dy: (dy,))


@jax.custom_vjp
def keep_gradient(x):
  """x, whose gradient is computed once (CPU)."""
  return x


keep_gradient.defvjp(lambda x: (x, None), lambda _, dy: (_barrier(dy),))


def groups_of(channels):
  """32 groups, or in narrow nets fewer, so that a group has at least 4 channels.

  A group of one would remove the time and the label, which are added just before it as a constant
  per channel.
  """
  return math.gcd(channels, 2 ** int(math.log2(max(1, min(32, channels // 4)))))


def group_norm(x, gain, shift, epsilon=1e-6):
  """x f[B,H,W,C] normalised over each of groups_of(C), times gain, plus shift: f32[C] or [B,C]."""
  batch, channels = x.shape[0], x.shape[-1]
  flat, groups = x.reshape(batch, -1, channels), groups_of(channels)

  def over_group(s):  # mean over the group's channels and positions, one value per channel
    s = s.reshape(batch, groups, -1)
    mean = s.sum(-1, keepdims=True) / (s.shape[-1] * flat.shape[1])
    return jnp.broadcast_to(mean, s.shape).reshape(batch, channels)

  s1, s2 = channel_moments(flat)
  mean = over_group(s1)
  variance = jnp.maximum(over_group(s2) - mean * mean, 0.0)
  a = gain * lax.rsqrt(variance + epsilon)
  return channel_affine(flat, a, shift - mean * a).reshape(x.shape)


class GroupNorm(nn.Module):
  """Group normalisation over [B,H,W,C] with statistics in float32 (eps 1e-6, as TF contrib)."""

  epsilon: float = 1e-6

  @nn.compact
  def __call__(self, x):
    scale = self.param('scale', nn.initializers.ones_init(), (x.shape[-1],))
    bias = self.param('bias', nn.initializers.zeros_init(), (x.shape[-1],))
    return group_norm(x, scale, bias, self.epsilon)


class Conv(nn.Module):
  """A square 'SAME' convolution with bias on [B,H,W,C]; float32 parameters, `dtype` compute."""

  features: int
  kernel: int = 3
  stride: int = 1
  kernel_init: Callable = KERNEL_INIT
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x):
    shape = (self.kernel, self.kernel, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
    x, kernel, bias = (v.astype(self.dtype) for v in (x, kernel, bias))
    x = keep(x)
    if self.kernel == 1 and self.stride == 1:
      return keep_gradient(add_bias(x @ kernel[0, 0], bias))
    y = lax.conv_general_dilated(
      x, kernel, (self.stride,) * 2, 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    return keep_gradient(add_bias(y, bias))


class LabelTable(nn.Module):
  """One row per class and one for 'no label': label i32[B] in 0..classes -> f32[B,features]."""

  classes: int
  features: int

  @nn.compact
  def __call__(self, label):
    return nn.Embed(self.classes + 1, self.features)(label)


class LabelMLP(nn.Module):
  """One-hot -> Dense -> GELU -> Dense, as in the ProbAI report; 'no label' is the zero vector."""

  classes: int
  features: int

  @nn.compact
  def __call__(self, label):
    x = nn.Dense(self.features)(jax.nn.one_hot(label, self.classes))
    return nn.Dense(self.features)(nn.gelu(x, approximate=False))


LABELS = {'table': LabelTable, 'mlp': LabelMLP}


def upsample(x):
  """Nearest-neighbour x2: [B,H,W,C] -> [B,2H,2W,C] (a gradient 30 times faster than resize's)."""
  b, h, w, c = x.shape
  return jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c)).reshape(b, 2 * h, 2 * w, c)


def sinusoid(t, dim, max_period=10_000.0):
  """Ho et al.'s embedding of t f32[B] in [0, 1], read as 1000 t: f32[B, dim], sine first.

  Always float32: bfloat16 cannot tell timesteps above 256 apart.
  """
  half = dim // 2
  frequencies = jnp.exp(-math.log(max_period) * jnp.arange(half, dtype=jnp.float32) / (half - 1))
  angles = 1000.0 * t.astype(jnp.float32)[:, None] * frequencies
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def fourier(x, powers):
  """sin and cos of 2 pi 2^n x for each n in `powers`: f32[..., C] -> f32[..., 2 C len(powers)].

  Kingma et al. 2021, appendix C; always float32.
  """
  frequencies = 2 * math.pi * jnp.asarray([2.0**n for n in powers], jnp.float32)
  angles = (x.astype(jnp.float32)[..., None] * frequencies).reshape(*x.shape[:-1], -1)
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
