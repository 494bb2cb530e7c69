"""What to watch of a generator, and what the nets of GANs cannot do."""

import jax.numpy as jnp

from trilemma.exits import UserError

CONSTANT = 0.05  # on the scale -1..1


def refuse_pmap(config):
  """Raises UserError: under pmap batch statistics would be of each device's share."""
  if config.parallel == 'pmap':
    raise UserError('a GAN has statistics of the whole batch: use --config.parallel=jit')


def collapse(x):
  """Metrics of samples x f32[B,H,W,C] in [-1, 1]: 'collapsed' is 1 where all are one colour.

  Saturated generators give such images: black, as in the CS726 report.
  """
  spread = jnp.std(x)
  return {
    'min': x.min(), 'mean': x.mean(), 'max': x.max(), 'spread': spread,
    'collapsed': jnp.float32(spread < CONSTANT),
  }  # fmt: skip
