"""Where randomness comes from: a key per use of a seed, then one per example, then one per draw.

What is random about an example depends on the seed, the step and the example's place in the global
batch, not on how the batch is cut into devices or chunks.
"""

import zlib

import jax


def stream(seed, use):
  """The key of one use of a seed ('init', 'train', 'eval', ...), independent of the others."""
  return jax.random.fold_in(jax.random.key(seed), zlib.crc32(use.encode()))


def of_examples(key, index):
  """The key of each example, key[B]; index i32[B] is its place in the global batch."""
  return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def folded(keys, n):
  """Each of keys key[B] with the number n folded in."""
  return jax.vmap(jax.random.fold_in, (0, None))(keys, n)


def split(keys, count):
  """`count` independent key[B] out of one."""
  return [folded(keys, n) for n in range(count)]


def of_dropout(key, index):
  """One key for the whole batch; under pmap each device its own."""
  return jax.random.fold_in(key, index[0])


def even_times(key, index, size):
  """Low-discrepancy times f32[B] in [0, 1): one uniform draw, then even spacing over the batch."""
  return (jax.random.uniform(key) + index / size) % 1


def spread_times(keys, part, parts):
  """Time number `part` of `parts` evenly spread ones, f32[B]: each example has its own start."""
  first = jax.vmap(jax.random.uniform)(folded(keys, parts))
  return (first + part / parts) % 1
