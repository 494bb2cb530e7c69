"""Nets: net(z f32[B,H,W,C], t f32[B], label i32[B], train) -> f32[B,H,W,out_channels].

t in [0, 1] is the noise level; label num_classes means 'no label'. A classifier's net gives
f32[B,out_channels].
"""

import jax.numpy as jnp

from trilemma.exits import UserError, choose
from trilemma.nets.cnn import CNN
from trilemma.nets.encoder import Encoder, LeNet
from trilemma.nets.layers import ACTIVATIONS, LABELS
from trilemma.nets.mlp import MLP, LatentNet
from trilemma.nets.unet import UNet
from trilemma.nets.vdm_unet import VDMUNet

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def _positive(name, *values):
  if not values or not all(isinstance(v, int) and v >= 1 for v in values):
    raise UserError(f'config.net.{name}: whole numbers of at least 1 are needed')


def _dropout(c):
  if not 0 <= c.dropout < 1:
    raise UserError(f'config.net.dropout={c.dropout} must be in [0, 1)')


def _label(c):
  choose('config.net.label', c.label, LABELS)
  return c.label


def _check_levels(c, shape):
  """Raises UserError where the levels of a UNet or encoder do not fit images of `shape`."""
  _positive('multipliers', *c.multipliers)
  _positive('blocks', c.blocks)
  _positive('heads', c.heads)
  if c.channels < 4 or c.channels % 2:
    raise UserError(f'config.net.channels={c.channels} must be even and at least 4')
  _dropout(c)
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


def _unet(c, shape, out_channels, num_classes):
  _check_levels(c, shape)
  choose('config.net.readout', c.readout, {'conv': 0, 'concat': 0})
  return UNet(
    out_channels, c.channels, tuple(c.multipliers), c.blocks, tuple(c.attention),
    c.middle_attention, c.heads, c.dropout, c.scale_shift, c.readout, num_classes,
    _label(c), DTYPES[c.dtype],
  )  # fmt: skip


def _cnn(c, shape, out_channels, num_classes):
  _positive('widths', *c.widths)
  _positive('kernel', c.kernel)
  choose('config.net.activation', c.activation, ACTIVATIONS)
  return CNN(
    out_channels, tuple(c.widths), c.kernel, c.activation, num_classes, _label(c), DTYPES[c.dtype]
  )


def _encoder(c, shape, out_channels, num_classes):
  _check_levels(c, shape)
  return Encoder(
    out_channels, c.channels, tuple(c.multipliers), c.blocks, tuple(c.attention), c.heads,
    c.dropout, DTYPES[c.dtype],
  )  # fmt: skip


def _lenet(c, shape, out_channels, num_classes):
  _positive('widths', *c.widths)
  _positive('hidden', c.hidden)
  _dropout(c)
  if min(shape[:2]) < 2 ** len(c.widths):
    raise UserError(f'config.net.widths={tuple(c.widths)}: a {shape[0]}x{shape[1]} image cannot be '
                    f'pooled {len(c.widths)} times')  # fmt: skip
  return LeNet(out_channels, tuple(c.widths), c.hidden, c.dropout, DTYPES[c.dtype])


def _vdm_unet(c, shape, out_channels, num_classes):
  _positive('blocks', c.blocks)
  _positive('heads', c.heads)
  _dropout(c)
  if c.channels < 4 or c.channels % 2 or c.channels % c.heads:
    raise UserError(
      f'config.net.channels={c.channels} must be even, at least 4, and divide by heads'
    )
  choose('config.net.readout', c.readout, {'add': 0, 'concat': 0})
  if c.readout == 'add' and out_channels != shape[-1]:
    raise UserError('config.net.readout=add needs as many outputs as inputs: use concat')
  return VDMUNet(
    out_channels, c.channels, c.blocks, c.attention, c.heads, tuple(c.fourier), c.dropout,
    c.extra, c.readout, num_classes, _label(c), DTYPES[c.dtype],
  )  # fmt: skip


def _points(shape):
  if tuple(shape[:2]) != (1, 1):
    raise UserError(f'this net takes points or latent vectors, not {shape[0]}x{shape[1]} images')


def _mlp(c, shape, out_channels, num_classes):
  _points(shape)
  _positive('widths', *c.widths)
  return MLP(out_channels, tuple(c.widths), num_classes, _label(c), DTYPES[c.dtype])


def _latent(c, shape, out_channels, num_classes):
  _points(shape)
  _positive('layers', c.layers)
  if c.width < 4 or c.width % 2:
    raise UserError(f'config.net.width={c.width} must be even and at least 4')
  return LatentNet(out_channels, c.width, c.layers, num_classes, _label(c), DTYPES[c.dtype])


NETS = {
  'unet': _unet, 'vdm_unet': _vdm_unet, 'cnn': _cnn, 'mlp': _mlp, 'latent_net': _latent,
}  # fmt: skip
CLASSIFIERS = {'encoder': _encoder, 'lenet': _lenet}


def make_net(c, shape, out_channels, num_classes, nets=NETS):
  """The flax module of the config section c for images of `shape`; raises UserError.

  `nets` are the ones to choose from: NETS, or CLASSIFIERS with out_channels classes.
  """
  make = choose('config.net.name', c.name, nets)
  choose('config.net.dtype', c.dtype, DTYPES)
  try:
    return make(c, shape, out_channels, num_classes)
  except AttributeError:
    raise UserError(
      f'config.net.name={c.name} needs its own settings: in the configuration file, '
      f'config.net = base.{c.name}()'
    ) from None
