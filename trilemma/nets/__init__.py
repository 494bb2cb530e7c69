"""Nets: net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> f32[B,H,W,out_channels].

t in [0, 1] is the noise level; label num_classes means 'no label'.
"""

import jax.numpy as jnp

from trilemma.exits import UserError, choose
from trilemma.nets.cnn import CNN
from trilemma.nets.layers import ACTIVATIONS
from trilemma.nets.unet import UNet

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def _positive(name, *values):
  if not values or not all(isinstance(v, int) and v >= 1 for v in values):
    raise UserError(f'config.net.{name}: whole numbers of at least 1 are needed')


def _unet(c, shape, out_channels, num_classes):
  _positive('multipliers', *c.multipliers)
  _positive('blocks', c.blocks)
  _positive('heads', c.heads)
  if c.channels < 4 or c.channels % 2:
    raise UserError(f'config.net.channels={c.channels} must be even and at least 4')
  if not 0 <= c.dropout < 1:
    raise UserError(f'config.net.dropout={c.dropout} must be in [0, 1)')
  strides = 2 ** (len(c.multipliers) - 1)
  if shape[0] % strides or shape[1] % strides:
    raise UserError(
      f'a {shape[0]}x{shape[1]} image cannot be halved {len(c.multipliers) - 1} times: use fewer '
      f'than {len(c.multipliers)} entries in config.net.multipliers, or set config.data.resolution '
      f'to a multiple of {strides}'
    )
  sides = [shape[0] // 2**level for level in range(len(c.multipliers))]
  if set(c.attention) - set(sides):
    raise UserError(f'config.net.attention={tuple(c.attention)}: the levels are at {sides}')
  for width in {c.channels * m for m in c.multipliers}:
    if width % c.heads:
      raise UserError(f'config.net.heads={c.heads} does not divide {width} channels')
  return UNet(
    out_channels, c.channels, tuple(c.multipliers), c.blocks, tuple(c.attention),
    c.middle_attention, c.heads, c.dropout, num_classes, DTYPES[c.dtype],
  )  # fmt: skip


def _cnn(c, shape, out_channels, num_classes):
  _positive('widths', *c.widths)
  _positive('kernel', c.kernel)
  choose('config.net.activation', c.activation, ACTIVATIONS)
  return CNN(out_channels, tuple(c.widths), c.kernel, c.activation, num_classes, DTYPES[c.dtype])


NETS = {'unet': _unet, 'cnn': _cnn}


def make_net(c, shape, out_channels, num_classes):
  """The flax module of the config section c for images of `shape`; raises UserError."""
  choose('config.net.dtype', c.dtype, DTYPES)
  make = choose('config.net.name', c.name, NETS)
  try:
    return make(c, shape, out_channels, num_classes)
  except AttributeError:
    raise UserError(
      f'config.net.name={c.name} needs its own settings: in the configuration file, '
      f'config.net = base.{c.name}()'
    ) from None
