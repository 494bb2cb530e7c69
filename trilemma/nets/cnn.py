"""The shallow CNN of the Cambridge M2 report: full resolution throughout, LayerNorm."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from trilemma.nets.layers import ACTIVATIONS, LABELS, Conv

# Its time encoding: frequency 0 and 2 pi 1.5^k, sine and cosine - 1.
FREQUENCIES = np.concatenate([[0.0], 2 * np.pi * 1.5 ** np.arange(15)]).astype(np.float32)


class CNN(nn.Module):
  """net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> f32[B,H,W,out_channels].

  Convolution, LayerNorm over (H, W, C) and activation per width; the time, through three layers
  of 128, is added after the first. With 28x28x1 images, widths (16, 32, 32, 16) and kernel 7 it
  has the report's 291,217 parameters.
  """

  out_channels: int
  widths: tuple[int, ...] = (16, 32, 32, 16)
  kernel: int = 7
  activation: str = 'gelu'
  num_classes: int = 0
  label: str = 'table'
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z, t, label, train):
    del train
    act = ACTIVATIONS[self.activation]
    init = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')  # PyTorch's default
    angles = t.astype(jnp.float32)[:, None] * FREQUENCIES
    embedding = jnp.concatenate([jnp.sin(angles), jnp.cos(angles) - 1], -1)
    for _ in range(3):
      embedding = act(nn.Dense(128, kernel_init=init)(embedding))
    embedding = nn.Dense(self.widths[0], kernel_init=init)(embedding)
    if self.num_classes:
      embedding += LABELS[self.label](self.num_classes, self.widths[0], name='label')(label)
    x = z
    for n, width in enumerate(self.widths):
      x = Conv(width, self.kernel, kernel_init=init, dtype=self.dtype)(x)
      x = nn.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=(1, 2, 3), epsilon=1e-5)(x)
      x = act(x)
      if n == 0:
        x += embedding[:, None, None]
    return Conv(self.out_channels, 3, kernel_init=init)(x.astype(jnp.float32))
