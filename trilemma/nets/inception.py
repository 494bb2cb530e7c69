"""The Inception network of 2015-12-05, whose features the Frechet Inception distance is defined by.

Szegedy et al. 2015 in the variant of the public graph: average pools leave out the padding, the
last block pools by maximum, and there are 1,008 classes. Batch normalisation is folded into the
convolutions when the public weights are converted (`from_torch`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

SIDE = 299
EPS = 1e-3  # of batch normalisation


def resize(image, side=SIDE):
  """u8[N,H,W,C] to f32[N,side,side,C], bilinear as in TensorFlow 1: pixel i of the output reads
  the input at i H / side, without half pixels and without antialiasing."""

  def weights(size):
    at = np.arange(side) * np.float32(size / side)
    low = np.minimum(at.astype(int), size - 1)
    part = np.float32(at - low)
    matrix = np.zeros((side, size), np.float32)
    np.add.at(matrix, (np.arange(side), low), 1 - part)
    np.add.at(matrix, (np.arange(side), np.minimum(low + 1, size - 1)), part)
    return matrix

  rows, columns = weights(image.shape[1]), weights(image.shape[2])
  highest = jax.lax.Precision.HIGHEST
  x = jnp.einsum('ph,nhwc->npwc', rows, image.astype(jnp.float32), precision=highest)
  return jnp.einsum('qw,npwc->npqc', columns, x, precision=highest)


def conv(x, features, kernel, name, stride=1, padding='SAME'):
  """Convolution with folded batch normalisation, ReLU. A number is a square kernel."""
  kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
  return nn.relu(nn.Conv(features, kernel, stride, padding, name=name)(x))


def average(x):
  return nn.avg_pool(x, (3, 3), (1, 1), 'SAME', count_include_pad=False)


def maximum(x, stride=2, padding='VALID'):
  return nn.max_pool(x, (3, 3), (stride, stride), padding)


class A(nn.Module):
  pooled: int

  @nn.compact
  def __call__(self, x):
    y = conv(conv(x, 64, 1, 'branch3x3dbl_1'), 96, 3, 'branch3x3dbl_2')
    return jnp.concatenate([
      conv(x, 64, 1, 'branch1x1'),
      conv(conv(x, 48, 1, 'branch5x5_1'), 64, 5, 'branch5x5_2'),
      conv(y, 96, 3, 'branch3x3dbl_3'),
      conv(average(x), self.pooled, 1, 'branch_pool'),
    ], -1)  # fmt: skip


class B(nn.Module):
  @nn.compact
  def __call__(self, x):
    y = conv(conv(x, 64, 1, 'branch3x3dbl_1'), 96, 3, 'branch3x3dbl_2')
    return jnp.concatenate([
      conv(x, 384, 3, 'branch3x3', 2, 'VALID'),
      conv(y, 96, 3, 'branch3x3dbl_3', 2, 'VALID'),
      maximum(x),
    ], -1)  # fmt: skip


class C(nn.Module):
  width: int

  @nn.compact
  def __call__(self, x):
    y = conv(conv(x, self.width, 1, 'branch7x7_1'), self.width, (1, 7), 'branch7x7_2')
    z = conv(conv(x, self.width, 1, 'branch7x7dbl_1'), self.width, (7, 1), 'branch7x7dbl_2')
    z = conv(conv(z, self.width, (1, 7), 'branch7x7dbl_3'), self.width, (7, 1), 'branch7x7dbl_4')
    return jnp.concatenate([
      conv(x, 192, 1, 'branch1x1'),
      conv(y, 192, (7, 1), 'branch7x7_3'),
      conv(z, 192, (1, 7), 'branch7x7dbl_5'),
      conv(average(x), 192, 1, 'branch_pool'),
    ], -1)  # fmt: skip


class D(nn.Module):
  @nn.compact
  def __call__(self, x):
    y = conv(conv(x, 192, 1, 'branch7x7x3_1'), 192, (1, 7), 'branch7x7x3_2')
    y = conv(y, 192, (7, 1), 'branch7x7x3_3')
    return jnp.concatenate([
      conv(conv(x, 192, 1, 'branch3x3_1'), 320, 3, 'branch3x3_2', 2, 'VALID'),
      conv(y, 192, 3, 'branch7x7x3_4', 2, 'VALID'),
      maximum(x),
    ], -1)  # fmt: skip


class E(nn.Module):
  last: bool

  @nn.compact
  def __call__(self, x):
    y = conv(x, 384, 1, 'branch3x3_1')
    z = conv(conv(x, 448, 1, 'branch3x3dbl_1'), 384, 3, 'branch3x3dbl_2')
    pooled = maximum(x, 1, 'SAME') if self.last else average(x)
    return jnp.concatenate([
      conv(x, 320, 1, 'branch1x1'),
      conv(y, 384, (1, 3), 'branch3x3_2a'), conv(y, 384, (3, 1), 'branch3x3_2b'),
      conv(z, 384, (1, 3), 'branch3x3dbl_3a'), conv(z, 384, (3, 1), 'branch3x3dbl_3b'),
      conv(pooled, 192, 1, 'branch_pool'),
    ], -1)  # fmt: skip


class Inception(nn.Module):
  """net(image u8[N,H,W,C]) -> (pool f32[N,2048], logits f32[N,1008]); C is 1 or 3.

  The logits come without their bias, as in the inception scores of the public tools.
  """

  @nn.compact
  def __call__(self, image):
    x = jnp.broadcast_to(image, (*image.shape[:3], 3))
    x = (resize(x) - 128) / 128
    x = conv(x, 32, 3, 'Conv2d_1a_3x3', 2, 'VALID')
    x = conv(x, 32, 3, 'Conv2d_2a_3x3', 1, 'VALID')
    x = maximum(conv(x, 64, 3, 'Conv2d_2b_3x3'))
    x = conv(x, 80, 1, 'Conv2d_3b_1x1', 1, 'VALID')
    x = maximum(conv(x, 192, 3, 'Conv2d_4a_3x3', 1, 'VALID'))
    for name, pooled in (('Mixed_5b', 32), ('Mixed_5c', 64), ('Mixed_5d', 64)):
      x = A(pooled, name=name)(x)
    x = B(name='Mixed_6a')(x)
    for name, width in (('Mixed_6b', 128), ('Mixed_6c', 160), ('Mixed_6d', 160), ('Mixed_6e', 192)):
      x = C(width, name=name)(x)
    x = D(name='Mixed_7a')(x)
    x = E(False, name='Mixed_7b')(x)
    x = E(True, name='Mixed_7c')(x)
    pool = x.mean((1, 2))
    return pool, nn.Dense(1008, use_bias=False, name='fc')(pool)


def from_torch(weights):
  """The flax parameters, by path 'Mixed_5b/branch1x1/kernel', of arrays named as in the public
  PyTorch file: NAME.conv.weight and NAME.bn.{weight,bias,running_mean,running_var}. KeyError where
  one is missing."""
  found = {'fc/kernel': weights['fc.weight'].T}
  for key, kernel in weights.items():
    if not key.endswith('.conv.weight'):
      continue
    name = key.removesuffix('.conv.weight')
    gain, shift, mean, variance = (
      np.asarray(weights[f'{name}.bn.{of}'], np.float64)
      for of in ('weight', 'bias', 'running_mean', 'running_var')
    )
    scale = gain / np.sqrt(variance + EPS)
    path = name.replace('.', '/')
    found[f'{path}/kernel'] = np.float32(kernel.transpose(2, 3, 1, 0) * scale)
    found[f'{path}/bias'] = np.float32(shift - mean * scale)
  return found
