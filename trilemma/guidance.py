"""Labels that are left out in training, and classifier-free guidance (Ho and Salimans 2022)."""

import math

import jax
import jax.numpy as jnp

from trilemma.exits import UserError


def check(model, sample, spec):
  """Raises UserError where the labels' settings contradict each other or the data.

  model has `conditional` and `label_drop`, sample has `guidance`.
  """
  if model.conditional and len(spec.classes) < 2:
    raise UserError(
      f'config.model.conditional=True needs at least two classes: {spec.name} has '
      f'{len(spec.classes)} here'
    )
  if not 0 <= model.label_drop <= 1:
    raise UserError(f'config.model.label_drop={model.label_drop} is no probability')
  if model.label_drop and not model.conditional:
    raise UserError(
      'config.model.label_drop needs --config.model.conditional=True: else use '
      '--config.model.label_drop=0'
    )
  scale = sample.guidance
  if not (math.isfinite(scale) and scale >= 0):
    raise UserError(f'config.sample.guidance={scale} must be at least 0')
  if scale != 1 and not model.conditional:
    raise UserError(
      f'config.sample.guidance={scale:g} needs a model that was trained on classes, '
      '--config.model.conditional=True, and with some labels left out, '
      '--config.model.label_drop=0.1'
    )
  if scale != 1 and not model.label_drop:
    raise UserError(
      f'config.sample.guidance={scale:g} needs a model that was trained with some labels left out, '
      '--config.model.label_drop=0.1'
    )


def calls(scale):
  """Net calls that one step takes at this scale."""
  return 1 if scale in (0, 1) else 2


def drop(keys, label, chance, null):
  """label i32[B] with `null` in place of each with that chance; keys key[B]."""
  dropped = jax.vmap(lambda k: jax.random.bernoulli(k, chance))(keys)
  return jnp.where(dropped, null, label)


def guided(output, z, label, null, scale, channels):
  """output(z, label) at `scale` = 1 + the paper's w: 0 is unconditional, 1 conditional.

  One doubled batch, each image twice in a row, gives out_null + scale (out_label - out_null) for
  the first `channels`; what follows them, a learned variance, is the conditional's (at 0 the
  unconditional's). eps, x and v are affine in each other at a given z, so that mixing any of them
  is the same.
  """
  if scale == 1:
    return output(z, label)
  if scale == 0:
    return output(z, jnp.full_like(label, null))
  labels = jnp.stack([label, jnp.full_like(label, null)], 1).reshape(-1)
  both = output(jnp.repeat(z, 2, 0), labels)
  both = both.reshape(len(z), 2, *both.shape[1:])
  with_label, without = both[:, 0], both[:, 1]
  mixed = without + scale * (with_label - without)
  return jnp.concatenate([mixed[..., :channels], with_label[..., channels:]], -1)
