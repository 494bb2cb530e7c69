"""Generators and discriminators: DCGAN's, and those of the denoising-diffusion GAN."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from trilemma.nets.layers import (
  KERNEL_INIT,
  ZERO_INIT,
  Conv,
  GroupNorm,
  group_norm,
  keep_gradient,
  sinusoid,
)

NORMAL = nn.initializers.normal(0.02)


def sides(side):
  """The sides of the maps between noise and an image: 4, 8, 16, 32 or 7, 14, 28."""
  found = [side]
  while found[0] % 2 == 0 and found[0] > 4:
    found.insert(0, found[0] // 2)
  return found


def batch_norm(train, name):
  """PyTorch's: momentum 0.1, eps 1e-5; gains drawn from N(1, 0.02) as in DCGAN."""
  gain = lambda key, shape, dtype: 1 + NORMAL(key, shape, dtype)
  return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, scale_init=gain, name=name)


class DCGenerator(nn.Module):
  """net(z f32[B,Z], label i32[B], train) -> f32[B,H,W,C] in (-1, 1), H = W.

  Radford et al. 2016.
  """

  shape: tuple[int, int, int]
  features: int = 64
  num_classes: int = 0

  @nn.compact
  def __call__(self, z, label, train):
    first, *rest = sides(self.shape[0])
    if self.num_classes:
      z = jnp.concatenate([z, nn.Embed(self.num_classes, z.shape[-1])(label)], -1)
    width = self.features * 2 ** (len(rest) - 1)
    up = lambda x, width, kernel, stride, padding: nn.ConvTranspose(
      width, (kernel, kernel), (stride, stride), padding, use_bias=False, kernel_init=NORMAL
    )(x)
    x = nn.relu(batch_norm(train, 'norm0')(up(z[:, None, None], width, first, 1, 'VALID')))
    for n in range(1, len(rest)):
      width //= 2
      x = nn.relu(batch_norm(train, f'norm{n}')(up(x, width, 4, 2, 'SAME')))
    return jnp.tanh(up(x, self.shape[-1], 4, 2, 'SAME'))


class DCDiscriminator(nn.Module):
  """net(x f32[B,H,W,C], label i32[B], train) -> logits f32[B]; a label is a learned plane."""

  features: int = 64
  num_classes: int = 0

  @nn.compact
  def __call__(self, x, label, train):
    side = x.shape[1]
    if self.num_classes:
      plane = nn.Embed(self.num_classes, side * side)(label).reshape(-1, side, side, 1)
      x = jnp.concatenate([x, plane], -1)
    first, *rest = sides(side)
    conv = lambda x, width, kernel, stride, pad: nn.Conv(
      width, (kernel, kernel), stride, ((pad, pad), (pad, pad)), use_bias=False, kernel_init=NORMAL
    )(x)
    for n in range(len(rest)):
      x = conv(x, self.features * 2**n, 4, 2, 1)
      x = nn.leaky_relu(batch_norm(train, f'norm{n}')(x) if n else x, 0.2)
    return conv(x, 1, first, 1, 0)[:, 0, 0, 0]


# --- denoising-diffusion GAN ---


def _filter(x, axis, offsets, stride, taps, more=0):
  """The sum of taps times x shifted by offsets along an axis, zeros outside, every stride-th of its
  length and `more`."""
  n = x.shape[axis] + more
  low, high = -min(offsets), max(0, max(offsets) + more)
  pad = [(low, high) if a == axis else (0, 0) for a in range(x.ndim)]
  padded = jnp.pad(x, pad)
  return sum(
    tap * jax.lax.slice_in_dim(padded, low + o, low + o + n, stride, axis)
    for tap, o in zip(taps, offsets, strict=True)
  )


TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


def smooth(x):
  """The filter (1, 3, 3, 1) / 8 in both directions: one row and column more, in between."""
  for axis in (1, 2):
    x = _filter(x, axis, (-2, -1, 0, 1), 1, TAPS, more=1)
  return x


def down(x):
  """Half the size after the same filter (Karras et al. 2020)."""
  for axis in (1, 2):
    even = x.shape[axis] // 2 * 2
    x = jax.lax.slice_in_dim(_filter(x, axis, (-1, 0, 1, 2), 2, TAPS), 0, even // 2, 1, axis)
  return x


def up(x):
  """Twice the size by the same filter, whose sum is then 1 at each of the two new places."""
  for axis in (1, 2):
    left = _filter(x, axis, (-1, 0), 1, (1 / 4, 3 / 4))
    right = _filter(x, axis, (0, 1), 1, (3 / 4, 1 / 4))
    shape = list(x.shape)
    shape[axis] *= 2
    x = jnp.stack([left, right], axis + 1).reshape(shape)
  return x


class AdaptiveNorm(nn.Module):
  """Group normalisation whose gain, at first 1, and shift, at first 0, are linear in a style."""

  @nn.compact
  def __call__(self, x, style):
    c = x.shape[-1]
    first = lambda key, shape, dtype: jnp.concatenate([jnp.ones(c), jnp.zeros(c)]).astype(dtype)
    gain, shift = jnp.split(nn.Dense(2 * c, kernel_init=KERNEL_INIT, bias_init=first)(style), 2, -1)
    return group_norm(x, gain, shift)


class AdaptiveBlock(nn.Module):
  """norm-swish-(resample)-conv, + time, norm-swish-conv, + (projected) input, over sqrt 2."""

  features: int
  resample: str = ''  # or 'down', 'up'
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x, time, style):
    h = nn.swish(AdaptiveNorm()(x, style))
    if self.resample:
      change = {'down': down, 'up': up}[self.resample]
      x, h = change(x), change(h)
    h = Conv(self.features, dtype=self.dtype)(h)
    h += nn.Dense(self.features, kernel_init=KERNEL_INIT, dtype=self.dtype)(nn.swish(time))[
      :, None, None
    ]
    h = Conv(self.features, kernel_init=ZERO_INIT, dtype=self.dtype)(
      nn.swish(AdaptiveNorm()(h, style))
    )
    if self.resample or x.shape[-1] != self.features:
      x = Conv(self.features, kernel=1, dtype=self.dtype, name='shortcut')(x)
    return keep_gradient((x + h) / math.sqrt(2))


class AttentionBlock(nn.Module):
  """Self-attention over positions with one head, + input, over sqrt 2."""

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x):
    b, h, w, c = x.shape
    y = GroupNorm()(x).reshape(b, h * w, 1, c)
    q, k, v = (
      nn.Dense(c, kernel_init=KERNEL_INIT, dtype=self.dtype, name=name)(y)
      for name in ('query', 'key', 'value')
    )
    y = jax.nn.dot_product_attention(q, k, v).reshape(b, h, w, c)
    y = nn.Dense(c, kernel_init=ZERO_INIT, dtype=self.dtype, name='out')(y)
    return (x + y) / math.sqrt(2)


class DDGenerator(nn.Module):
  """net(x_t f32[B,H,W,C], t i32[B], z f32[B,Z]) -> x_0 f32[B,H,W,C] in (-1, 1).

  NCSN++ (Song et al. 2021) as Xiao et al. 2022 use it: the latent z sets gain and shift of every
  norm, filtered resampling, the input added at every resolution.
  """

  channels: int = 128
  multipliers: tuple[int, ...] = (1, 2, 2, 2)
  blocks: int = 2
  attention: tuple[int, ...] = (16,)
  style: int = 256
  mapping: int = 4
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x, t, z):
    c, image = self.channels, x.shape[-1]
    time = nn.Dense(4 * c, kernel_init=KERNEL_INIT)(sinusoid(t / 1000, c))
    time = nn.Dense(4 * c, kernel_init=KERNEL_INIT)(nn.swish(time))
    style = z * jax.lax.rsqrt(jnp.mean(z**2, -1, keepdims=True) + 1e-8)
    for _ in range(1 + self.mapping):
      style = nn.swish(nn.Dense(self.style, kernel_init=KERNEL_INIT)(style))

    def block(h, features, resample=''):
      return AdaptiveBlock(features, resample, self.dtype)(h, time, style)

    def attend(h):
      return AttentionBlock(self.dtype)(h) if h.shape[1] in self.attention else h

    pyramid, last = x, len(self.multipliers) - 1
    skips = [Conv(c, dtype=self.dtype)(x)]
    for level, multiplier in enumerate(self.multipliers):
      for _ in range(self.blocks):
        skips.append(attend(block(skips[-1], c * multiplier)))
      if level != last:
        h = block(skips[-1], c * multiplier, 'down')
        # filtered and halved by a convolution, then added to what comes down
        pyramid = nn.Conv(
          c * multiplier, (3, 3), 2, 'VALID', kernel_init=KERNEL_INIT, dtype=self.dtype,
          name=f'pyramid{level}',
        )(smooth(pyramid))  # fmt: skip
        pyramid = (pyramid + h) / math.sqrt(2)
        skips.append(pyramid)
    h = skips[-1]
    h = block(AttentionBlock(self.dtype)(block(h, h.shape[-1])), h.shape[-1])
    for level, multiplier in reversed(list(enumerate(self.multipliers))):
      for _ in range(self.blocks + 1):
        h = block(keep_gradient(jnp.concatenate([h, skips.pop()], -1)), c * multiplier)
      h = attend(h)
      if level:
        h = block(h, c * multiplier, 'up')
    h = nn.swish(GroupNorm()(h))
    return jnp.tanh(Conv(image, kernel_init=ZERO_INIT)(h.astype(jnp.float32)))


class DDDiscriminator(nn.Module):
  """net(x_s, x_t f32[B,H,W,C], t i32[B]) -> logits f32[B]: is x_s what x_t came from?

  Convolutional blocks with the time, all but the first halving the size; the standard deviation
  over groups of four images as one more channel (Karras et al. 2018).
  """

  channels: int = 128
  multipliers: tuple[int, ...] = (1, 2, 4, 4)
  embedding: int = 256
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x_s, x_t, t):
    act = lambda x: nn.leaky_relu(x, 0.2)
    time = nn.Dense(self.embedding, kernel_init=KERNEL_INIT)(sinusoid(t / 1000, self.embedding))
    time = act(nn.Dense(self.embedding, kernel_init=KERNEL_INIT)(act(time)))
    x = Conv(self.channels, kernel=1, dtype=self.dtype)(jnp.concatenate([x_s, x_t], -1))
    for n, multiplier in enumerate(self.multipliers):
      width = self.channels * multiplier
      h = Conv(width, dtype=self.dtype)(act(x))
      h += nn.Dense(width, kernel_init=KERNEL_INIT, dtype=self.dtype)(time)[:, None, None]
      h = act(h)
      if n:
        h, x = down(h), down(x)
      h = Conv(width, kernel_init=ZERO_INIT, dtype=self.dtype)(h)
      x = nn.Dense(width, use_bias=False, kernel_init=KERNEL_INIT, dtype=self.dtype)(x)
      x = keep_gradient((x + h) / math.sqrt(2))
    x = x.astype(jnp.float32)
    groups = x.reshape(math.gcd(len(x), 4), -1, *x.shape[1:])
    spread = jnp.sqrt(groups.var(0) + 1e-8).mean((1, 2, 3))
    spread = jnp.tile(spread, len(groups))[:, None, None, None]
    x = jnp.concatenate([x, jnp.broadcast_to(spread, (*x.shape[:3], 1))], -1)
    x = act(Conv(x.shape[-1] - 1, kernel_init=ZERO_INIT)(x))
    return nn.Dense(1, kernel_init=KERNEL_INIT)(x.sum((1, 2)))[:, 0]
