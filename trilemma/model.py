"""The one interface that every family implements."""

from collections.abc import Callable
from typing import NamedTuple


class Bits(NamedTuple):
  """A likelihood bound in `parts` calls, so that a long one can be watched and stopped.

  terms(params, key, batch, part i32[]) -> name: f32[B] in bits/dim. The sum over parts and names,
  with the same key, is the bound.
  """

  parts: int
  terms: Callable


class Model(NamedTuple):
  """A generative model as pure functions.

  Parameters are a dict from *player* (a parameter group with its own loss and optimizer) to a
  pytree: {'net': ...} for diffusion; entries without a loss are what `remember` changes. A batch is
  {'image': u8[B,H,W,C], 'label': i32[B], 'index': i32[B]}; `index` is the example's position in the
  global batch, and everything random about an example comes from fold_in(key, index).

  init:   (key) -> params
  losses: player -> loss(params, key, batch, step, train) -> (f32[], metrics); in order of update.
          metrics may hold 'notes', arrays [B,...] for `remember`
  sample: (params, keys key[N], label i32[N], frames=0, tick=None) -> u8[N,H,W,C], and with
          frames > 0 states on the way as pictures of 256 levels, u8[F,N,H,W,C], F <= frames;
          image n depends on keys[n] and label[n] only; tick(done, total) is called on the host,
          about a hundred times; None for a classifier
  nfe:    net calls that drawing one image takes, a guided step counting twice
  bits:   Bits; None where the family has no likelihood
  remember: (params, notes of the global batch) -> params: what is learned without a gradient
  prepare: (params, image u8[N,H,W,C] of the training split) -> params: what is fitted once, before
          the first step, on the host
  """

  init: Callable
  losses: dict[str, Callable]
  sample: Callable | None
  bits: Bits | None
  nfe: int = 0
  remember: Callable | None = None
  prepare: Callable | None = None
