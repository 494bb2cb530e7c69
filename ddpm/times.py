"""Importance-sampled times for the variational loss (Nichol and Dhariwal 2021, section 3.3).

p_t is proportional to sqrt(mean L_t^2) over the last ten losses seen at t, mixed with 0.1% uniform;
uniform until every t has ten. The losses are part of the parameters, so a checkpoint has them.
"""

import jax.numpy as jnp

KEPT = 10
UNIFORM = 0.001


def empty(steps):
  """No losses yet: a ring of the last ten per time, and their number (10 to 19 once it is full)."""
  return {'losses': jnp.zeros((steps, KEPT)), 'count': jnp.zeros(steps)}


def probabilities(history):
  """p f32[T] of the positions 1..T."""
  steps = len(history['count'])
  size = jnp.sqrt(jnp.mean(history['losses'] ** 2, -1))
  size = jnp.where((history['count'] >= KEPT).all() & (size.sum() > 0), size, 1.0)
  return (1 - UNIFORM) * size / size.sum() + UNIFORM / steps


def remember(history, position, loss):
  """The history with the losses f32[B] of positions i32[B] in 1..T; non-finite ones are left out.

  Of more than ten at one position, the last ten of the batch stay.
  """
  t = jnp.where(jnp.isfinite(loss), position - 1, len(history['count']))  # the end: dropped
  same = t[:, None] == t
  earlier = jnp.tril(same, -1).sum(1)
  last = jnp.where(same.sum(1) - earlier <= KEPT, t, len(history['count']))
  slot = (history['count'].at[t].get(mode='fill', fill_value=0) + earlier) % KEPT
  losses = history['losses'].at[last, slot.astype(jnp.int32)].set(loss, mode='drop')
  count = history['count'].at[t].add(1.0, mode='drop')
  # bounded, or float32 would stop counting at 2^24: the ring's slot and 'has ten' stay the same
  return {'losses': losses, 'count': jnp.where(count >= 2 * KEPT, KEPT + count % KEPT, count)}
