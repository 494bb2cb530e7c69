"""One training step of any family, as a pure function of the state, a key and a batch."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class State(NamedTuple):
  """All that a run carries. params, ema and opt are keyed by player; step is i32[]."""

  step: Any
  params: Any
  ema: Any
  opt: Any


def make_tx(c, steps):
  """The optax transformation of one player's config section; a non-finite update is skipped."""
  # the schedule counts updates, not steps, where batches are accumulated; optax's linear schedule
  # over 0 steps would stay at its first value, 0
  rate = optax.constant_schedule(c.learning_rate)
  if c.schedule == 'cosine':
    rate = optax.cosine_decay_schedule(c.learning_rate, max(1, (steps - c.warmup) // c.accumulate))
  if c.warmup:
    updates = -(-c.warmup // c.accumulate)
    warmup = optax.linear_schedule(0.0, c.learning_rate, updates)
    rate = optax.join_schedules([warmup, rate], [updates])
  clip = optax.clip_by_global_norm(c.clip) if c.clip else optax.identity()
  tx = optax.chain(clip, optax.adamw(rate, c.b1, c.b2, c.eps, weight_decay=c.weight_decay))
  if c.accumulate > 1:
    tx = optax.MultiSteps(tx, c.accumulate).gradient_transformation()
  return optax.apply_if_finite(tx, max_consecutive_errors=np.iinfo(np.int32).max)


def init_state(model, tx, key):
  """The State before step 0; the running mean starts as a copy of the parameters."""
  params = model.init(key)
  opt = {player: tx[player].init(params[player]) for player in model.losses}
  return State(jnp.zeros((), jnp.int32), params, jax.tree.map(jnp.copy, params), opt)


def train_step(model, tx, ema, state, key, batch, mean=lambda x: x, gather=lambda x: x):
  """One update of every player in order, each with a fresh key: (state, metrics f32[]).

  Where the batch is split by hand (pmap), `mean` averages over devices and `gather` concatenates.
  `ema` is the decay of the running mean, at most (1 + step) / (10 + step). A non-finite loss counts
  as a non-finite update.
  """
  params, opt, metrics = dict(state.params), dict(state.opt), {}
  for n, (player, loss) in enumerate(model.losses.items()):

    def of_player(p, params=params, n=n, player=player, loss=loss):
      return loss({**params, player: p}, jax.random.fold_in(key, n), batch, state.step, True)

    (value, terms), grads = jax.value_and_grad(of_player, has_aux=True)(params[player])
    notes = gather(terms.pop('notes', {}))
    value, terms, grads = mean((value, terms, grads))
    poison = jnp.where(jnp.isfinite(value), 1.0, jnp.nan)
    grads = jax.tree.map(lambda g, poison=poison: g * poison, grads)
    updates, opt[player] = tx[player].update(grads, opt[player], params[player])
    params[player] = optax.apply_updates(params[player], updates)
    params = model.remember(params, notes) if notes else params
    metrics[f'train/{player}/loss'] = value
    metrics[f'train/{player}/grad_norm'] = optax.tree.norm(grads)
    metrics[f'train/{player}/skipped'] = opt[player].total_notfinite
    metrics[f'train/{player}/skipped_in_row'] = opt[player].notfinite_count
    metrics |= {f'train/{player}/{name}': term for name, term in terms.items()}
  decay = jnp.minimum(ema, (1 + state.step) / (10 + state.step))
  running = {
    name: optax.incremental_update(value, state.ema[name], 1 - decay)
    if name in model.losses else value
    for name, value in params.items()
  }  # fmt: skip
  return State(state.step + 1, params, running, opt), metrics


def eval_step(model, params, key, batch):
  """Metrics of every player's loss on a batch, dropout and augmentation off: f32[] by name."""
  metrics = {}
  for n, (player, loss) in enumerate(model.losses.items()):
    value, terms = loss(params, jax.random.fold_in(key, n), batch, 0, False)
    metrics |= {f'eval/{player}/loss': value}
    metrics |= {f'eval/{player}/{name}': term for name, term in terms.items()}
  return metrics
