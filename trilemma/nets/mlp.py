"""Nets for points and latent vectors, [B,1,1,C]."""

import flax.linen as nn
import jax.numpy as jnp

from trilemma.nets.layers import LABELS, ZERO_INIT, fourier, sinusoid


class MLP(nn.Module):
  """net(z f32[B,1,1,C], t f32[B], label i32[B], train) -> f32[B,1,1,out_channels].

  The net of Kingma et al.'s 2-D example: z and 2 t - 1, with the sines and cosines of both at 2 pi
  times 2^0..2^7, through hidden layers with swish.
  """

  out_channels: int
  widths: tuple[int, ...] = (512, 512)
  num_classes: int = 0
  label: str = 'table'
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z, t, label, train):
    del train
    x = jnp.concatenate([z, 2 * t[:, None, None, None] - 1], -1)
    x = jnp.concatenate([x, fourier(x, range(8))], -1)
    for n, width in enumerate(self.widths):
      x = nn.Dense(width, dtype=self.dtype)(x)
      if self.num_classes and n == 0:
        x += LABELS[self.label](self.num_classes, width, name='label')(label)[:, None, None]
      x = nn.swish(x)
    return nn.Dense(self.out_channels)(x.astype(jnp.float32))


class ResMLP(nn.Module):
  """x f32[B,1,1,C] -> f32[B,1,1,out_channels]: Dense, residual layers of `width`, Dense."""

  out_channels: int
  width: int = 256
  layers: int = 2
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x, embedding=None):
    x = nn.Dense(self.width, dtype=self.dtype)(x)
    for _ in range(self.layers):
      h = nn.Dense(self.width, dtype=self.dtype)(nn.swish(nn.LayerNorm()(x)))
      if embedding is not None:
        h += nn.Dense(self.width, dtype=self.dtype)(embedding)[:, None, None]
      x += nn.Dense(self.width, kernel_init=ZERO_INIT, dtype=self.dtype)(
        nn.swish(nn.LayerNorm()(h))
      )
    x = nn.swish(nn.LayerNorm()(x)).astype(jnp.float32)
    return nn.Dense(self.out_channels)(x)


class LatentNet(nn.Module):
  """net(z f32[B,1,1,C], t, label, train) -> f32[B,1,1,out_channels]: z plus a residual MLP."""

  out_channels: int
  width: int = 512
  layers: int = 4
  num_classes: int = 0
  label: str = 'table'
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z, t, label, train):
    del train
    embedding = nn.Dense(self.width)(sinusoid(t, self.width))
    if self.num_classes:
      embedding += LABELS[self.label](self.num_classes, self.width, name='label')(label)
    return z + ResMLP(self.out_channels, self.width, self.layers, self.dtype)(
      z, nn.swish(embedding)
    )
