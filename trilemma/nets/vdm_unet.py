"""The UNet of variational diffusion models (Kingma et al. 2021, appendix B.1)."""

import flax.linen as nn
import jax.numpy as jnp

from trilemma.nets.layers import (
  KERNEL_INIT,
  LABELS,
  ZERO_INIT,
  Conv,
  GroupNorm,
  fourier,
  keep_gradient,
  sinusoid,
)
from trilemma.nets.unet import Attention, ResBlock


class VDMUNet(nn.Module):
  """net(z f32[B,H,W,C], t f32[B], label i32[B], train, extra=0) -> f32[B,H,W,out_channels].

  `blocks` residual blocks at full resolution and blocks + 1 back, with skips between them;
  attention in the middle, or after every block; Fourier features of z beside z. With readout 'add'
  the input is added to the output, so that eps_hat = z at first; with 'concat' a dense layer reads
  both (Graves et al. 2023). With `extra` f32[B], one more number is conditioned on.
  """

  out_channels: int
  channels: int = 128
  blocks: int = 32
  attention: bool = False  # after every block too
  heads: int = 1
  fourier: tuple[int, ...] = (6, 7)
  dropout: float = 0.1
  extra: bool = True
  readout: str = 'add'
  num_classes: int = 0
  label: str = 'table'
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z, t, label, train, extra=0.0):
    width = 4 * self.channels
    cond = sinusoid(t, self.channels)
    if self.extra:
      cond = jnp.concatenate([cond, jnp.broadcast_to(extra, t.shape)[:, None]], -1)
    cond = nn.swish(nn.Dense(width, kernel_init=KERNEL_INIT)(cond))
    cond = nn.Dense(width, kernel_init=KERNEL_INIT)(cond)
    if self.num_classes:
      cond += LABELS[self.label](self.num_classes, width, name='label')(label)
    cond = nn.swish(cond)

    def resblock(x):
      return ResBlock(self.channels, self.dropout, self.dtype, silent=True)(x, cond, train)

    def block(x):
      x = resblock(x)
      return Attention(self.heads, self.dtype)(x) if self.attention else x

    x = jnp.concatenate([z, fourier(z, self.fourier)], -1) if self.fourier else z
    x = Conv(self.channels, dtype=self.dtype)(x)
    skips = [x]
    for _ in range(self.blocks):
      x = block(x)
      skips.append(x)
    x = resblock(Attention(self.heads, self.dtype)(resblock(x)))
    for _ in range(self.blocks + 1):
      x = block(keep_gradient(jnp.concatenate([x, skips.pop()], -1)))
    x = nn.swish(GroupNorm()(x)).astype(jnp.float32)
    if self.readout == 'concat':
      x = jnp.concatenate([z, Conv(self.channels)(x)], -1)
      return nn.Dense(self.out_channels, kernel_init=ZERO_INIT)(x)
    return Conv(self.out_channels, kernel_init=ZERO_INIT)(x) + z
