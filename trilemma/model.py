"""The one interface that every family implements."""

from collections.abc import Callable
from typing import NamedTuple


class Model(NamedTuple):
  """A generative model as pure functions.

  Parameters are a dict from *player* (a parameter group with its own loss and optimizer) to a
  pytree: {'net': ...} for diffusion. A batch is {'image': u8[B,H,W,C], 'label': i32[B],
  'index': i32[B]}; `index` is the example's position in the global batch, and everything random
  about an example comes from fold_in(key, index).

  init:   (key) -> params
  losses: player -> loss(params, key, batch, step, train) -> (f32[], metrics); in order of update
  sample: (params, keys key[N], label i32[N], frames=0, tick=None) -> u8[N,H,W,C], and
          u8[F,N,H,W,C], F <= frames, with frames > 0; image n depends on keys[n] and label[n] only;
          tick(done, total) is called on the host, about a hundred times
  bits:   (params, key, batch, tick=None) -> 'total' and its terms, each f32[B] in bits/dim;
          None where the family has no likelihood
  """

  init: Callable
  losses: dict[str, Callable]
  sample: Callable
  bits: Callable | None
