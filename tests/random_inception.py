"""Inception weights that any program can make again, named as in the public PyTorch file."""

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from trilemma.nets.inception import Inception


def weights():
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.uint8)
  shapes = jax.eval_shape(Inception().init, jax.random.key(0), image)['params']
  random, found = np.random.default_rng(0), {}
  for path, value in sorted(flatten_dict(shapes, sep='.').items()):
    name = path.removesuffix('.kernel')
    if name == 'fc':
      found['fc.weight'] = np.float32(0.02 * random.normal(size=value.shape[::-1]))
    elif name != path:
      h, w, into, out = value.shape
      scale = np.sqrt(2 / (h * w * into))
      found[f'{name}.conv.weight'] = np.float32(scale * random.normal(size=(out, into, h, w)))
      for of in ('weight', 'running_var'):
        found[f'{name}.bn.{of}'] = np.float32(random.uniform(0.5, 1.5, size=out))
      for of in ('bias', 'running_mean'):
        found[f'{name}.bn.{of}'] = np.float32(0.1 * random.normal(size=out))
  return found


def image():
  return np.random.default_rng(1).integers(0, 256, (2, 20, 32, 3)).astype(np.uint8)
