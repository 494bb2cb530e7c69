"""Nets for classifiers: the UNet's way down, and LeNet."""

import flax.linen as nn
import jax.numpy as jnp

from trilemma.nets.layers import KERNEL_INIT, Conv, GroupNorm, sinusoid
from trilemma.nets.unet import Attention, ResBlock


class Encoder(nn.Module):
  """net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> logits f32[B,out_channels].

  The UNet's blocks down to its last level, as in Dhariwal and Nichol 2021, then the mean over
  positions, kept as the intermediate 'pool'; the label is not used. H and W must divide by
  2^(len(multipliers) - 1).
  """

  out_channels: int
  channels: int
  multipliers: tuple[int, ...]
  blocks: int
  attention: tuple[int, ...]
  heads: int
  dropout: float
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, z, t, label, train):
    del label
    width = 4 * self.channels
    embedding = nn.Dense(width, kernel_init=KERNEL_INIT)(sinusoid(t, self.channels))
    embedding = nn.swish(nn.Dense(width, kernel_init=KERNEL_INIT)(nn.swish(embedding)))
    x = Conv(self.channels, dtype=self.dtype)(z)
    for level, multiplier in enumerate(self.multipliers):
      if level:
        x = Conv(x.shape[-1], stride=2, dtype=self.dtype, name=f'down{level}')(x)
      for _ in range(self.blocks):
        x = ResBlock(self.channels * multiplier, self.dropout, self.dtype)(x, embedding, train)
        if x.shape[1] in self.attention:
          x = Attention(self.heads, self.dtype)(x)
    x = nn.swish(GroupNorm()(x)).astype(jnp.float32).mean((1, 2))
    self.sow('intermediates', 'pool', x)
    return nn.Dense(self.out_channels)(x)


class LeNet(nn.Module):
  """net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> logits f32[B,out_channels].

  Two 5x5 convolutions, each with ReLU and 2x2 max-pooling, then a hidden layer, whose activations
  are kept as the intermediate 'pool'. Time and label are not used.
  """

  out_channels: int
  widths: tuple[int, ...] = (16, 32)
  hidden: int = 64
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z, t, label, train):
    del t, label
    x = z
    for width in self.widths:
      x = nn.max_pool(nn.relu(Conv(width, kernel=5, dtype=self.dtype)(x)), (2, 2), (2, 2))
    x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype)(x.reshape(len(x), -1)))
    x = x.astype(jnp.float32)
    self.sow('intermediates', 'pool', x)
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return nn.Dense(self.out_channels)(x)
