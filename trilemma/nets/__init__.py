"""Nets: net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> f32[B,H,W,out_channels].

t in [0, 1] is the noise level; label num_classes means 'no label'.
"""

import jax.numpy as jnp

from trilemma.exits import UserError, choose
from trilemma.nets.cnn import CNN
from trilemma.nets.layers import ACTIVATIONS
from trilemma.nets.unet import UNet

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def _unet(c, shape, out_channels, num_classes):
  strides = 2 ** (len(c.multipliers) - 1)
  if shape[0] % strides or shape[1] % strides:
    raise UserError(
      f'a {shape[0]}x{shape[1]} image cannot be halved {len(c.multipliers) - 1} times: use fewer '
      f'than {len(c.multipliers)} entries in config.net.multipliers, or set config.data.resolution '
      f'to a multiple of {strides}'
    )
  for width in {c.channels * m for m in c.multipliers}:
    if width % c.heads:
      raise UserError(f'config.net.heads={c.heads} does not divide {width} channels')
  return UNet(
    out_channels, c.channels, tuple(c.multipliers), c.blocks, tuple(c.attention),
    c.middle_attention, c.heads, c.dropout, num_classes, DTYPES[c.dtype],
  )  # fmt: skip


def _cnn(c, shape, out_channels, num_classes):
  choose('config.net.activation', c.activation, ACTIVATIONS)
  return CNN(out_channels, tuple(c.widths), c.kernel, c.activation, num_classes, DTYPES[c.dtype])


NETS = {'unet': _unet, 'cnn': _cnn}


def make_net(c, shape, out_channels, num_classes):
  """The flax module of the config section c for images of `shape`; raises UserError."""
  choose('config.net.dtype', c.dtype, DTYPES)
  return choose('config.net.name', c.name, NETS)(c, shape, out_channels, num_classes)
