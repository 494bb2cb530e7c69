"""What to watch of a generator."""

import jax.numpy as jnp

CONSTANT = 0.05  # on the scale -1..1


def collapse(x):
  """Metrics of samples x f32[B,H,W,C] in [-1, 1]: 'collapsed' is 1 where all are one colour.

  Saturated generators give such images: black, as in the CS726 report.
  """
  spread = jnp.std(x)
  return {
    'min': x.min(), 'mean': x.mean(), 'max': x.max(), 'spread': spread,
    'collapsed': jnp.float32(spread < CONSTANT),
  }  # fmt: skip
