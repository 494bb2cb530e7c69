"""What tests of several families share."""

import jax.numpy as jnp
import pytest

from trilemma import families
from trilemma.data import known_spec
from trilemma.exits import UserError


class StandIn:
  """Stands in for a net without parameters: its output is f(input, t)."""

  def __init__(self, f):
    self.f = f

  def init(self, *args):
    return {'params': {}}

  def apply(self, variables, z, t, label, train, rngs=None):
    return self.f(z, t)


def batch_of(image):
  """A batch of images without labels, as a loss takes it."""
  n = len(image)
  return {'image': image, 'label': jnp.zeros(n, jnp.int32), 'index': jnp.arange(n)}


def refuses(config, key, value, message):
  """Asserts that a setting which cannot work is refused with this message."""
  section, name = key.split('.')
  config[section][name] = value
  with pytest.raises(UserError, match=message):
    families.make(config, known_spec(config.data))
