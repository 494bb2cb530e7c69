"""The UNet of DDPM (Ho et al. 2020, appendix B)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from trilemma.nets.layers import (
  KERNEL_INIT,
  LABELS,
  ZERO_INIT,
  Conv,
  GroupNorm,
  keep_gradient,
  sinusoid,
  upsample,
)


class ResBlock(nn.Module):
  """norm-swish-conv, + time, norm-swish-dropout-conv, + (projected) input.

  With `scale_shift` the time scales and shifts the second norm's output instead (Nichol and
  Dhariwal 2021). With `silent` it has no say at first, its Dense layer being zero and without bias
  (Kingma et al. 2021).
  """

  features: int
  dropout: float
  dtype: jnp.dtype
  scale_shift: bool = False
  silent: bool = False

  @nn.compact
  def __call__(self, x, embedding, train):
    h = Conv(self.features, dtype=self.dtype)(nn.swish(GroupNorm()(x)))
    width = 2 * self.features if self.scale_shift else self.features
    kernel_init = ZERO_INIT if self.silent else KERNEL_INIT
    time = nn.Dense(width, use_bias=not self.silent, kernel_init=kernel_init, dtype=self.dtype)(
      embedding
    )
    time = time[:, None, None]
    if self.scale_shift:
      scale, shift = jnp.split(time, 2, -1)
      h = nn.swish(GroupNorm()(h) * (1 + scale) + shift)
    else:
      h = nn.swish(GroupNorm()(h + time))
    h = nn.Dropout(self.dropout, deterministic=not train)(h)
    h = Conv(self.features, kernel_init=ZERO_INIT, dtype=self.dtype)(h)
    if x.shape[-1] != self.features:
      x = Conv(self.features, kernel=1, dtype=self.dtype, name='shortcut')(x)
    return keep_gradient(x + h)


class Attention(nn.Module):
  """Self-attention over positions, zero-initialised output, added to its input."""

  heads: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x):
    b, h, w, c = x.shape
    y = GroupNorm()(x).reshape(b, h * w, c)
    split = (b, h * w, self.heads, c // self.heads)
    q, k, v = (
      nn.Dense(c, kernel_init=KERNEL_INIT, dtype=self.dtype, name=name)(y).reshape(split)
      for name in ('query', 'key', 'value')
    )
    y = jax.nn.dot_product_attention(q, k, v).reshape(b, h, w, c)
    return x + nn.Dense(c, kernel_init=ZERO_INIT, dtype=self.dtype, name='out')(y)


class UNet(nn.Module):
  """net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> f32[B,H,W,out_channels].

  t in [0, 1] is the noise level that the family conditions on. H and W must divide by
  2^(len(multipliers) - 1). With num_classes > 0 the label num_classes means 'no label'. With
  readout 'concat' a dense layer reads the features at the end beside a dense layer's of the input
  (Graves et al. 2023).
  """

  out_channels: int
  channels: int = 128
  multipliers: tuple[int, ...] = (1, 2, 2, 2)
  blocks: int = 2
  attention: tuple[int, ...] = (16,)  # the resolutions that have it; the middle always has
  middle_attention: bool = True
  heads: int = 1
  dropout: float = 0.1
  scale_shift: bool = False
  readout: str = 'conv'
  num_classes: int = 0
  label: str = 'table'
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z, t, label, train):
    def resblock(x, features):
      block = ResBlock(features, self.dropout, self.dtype, self.scale_shift)
      return block(x, embedding, train)

    def block(x, features):
      x = resblock(x, features)
      return Attention(self.heads, self.dtype)(x) if x.shape[1] in self.attention else x

    width = 4 * self.channels
    embedding = nn.Dense(width, kernel_init=KERNEL_INIT)(sinusoid(t, self.channels))
    embedding = nn.Dense(width, kernel_init=KERNEL_INIT)(nn.swish(embedding))
    if self.num_classes:
      embedding += LABELS[self.label](self.num_classes, width, name='label')(label)
    embedding = nn.swish(embedding)

    if self.readout == 'concat':
      z = nn.Dense(self.channels, kernel_init=KERNEL_INIT, name='stem')(z)
    x = Conv(self.channels, dtype=self.dtype)(z)
    skips = [x]
    last = len(self.multipliers) - 1
    for level, multiplier in enumerate(self.multipliers):
      for _ in range(self.blocks):
        x = block(x, self.channels * multiplier)
        skips.append(x)
      if level != last:
        x = Conv(x.shape[-1], stride=2, dtype=self.dtype, name=f'down{level}')(x)
        skips.append(x)

    x = resblock(x, x.shape[-1])
    if self.middle_attention:
      x = Attention(self.heads, self.dtype)(x)
    x = resblock(x, x.shape[-1])

    for level, multiplier in reversed(list(enumerate(self.multipliers))):
      for _ in range(self.blocks + 1):
        x = block(keep_gradient(jnp.concatenate([x, skips.pop()], -1)), self.channels * multiplier)
      if level:
        x = Conv(x.shape[-1], dtype=self.dtype, name=f'up{level}')(upsample(x))

    x = nn.swish(GroupNorm()(x)).astype(jnp.float32)
    if self.readout == 'concat':
      x = jnp.concatenate([z, Conv(self.channels)(x)], -1)
      return nn.Dense(self.out_channels, kernel_init=ZERO_INIT)(x)
    return Conv(self.out_channels, kernel_init=ZERO_INIT)(x)
