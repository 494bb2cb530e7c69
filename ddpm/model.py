"""DDPM (Ho et al. 2020) as a trilemma.model.Model.

Positions i = 1..T index the gamma table; the net sees t = (i - 1) / T, which its embedding reads
as the paper's timestep scaled to 0..1000.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ddpm.schedule import gamma_table, reverse_log_variance, spaced
from trilemma import gaussian
from trilemma.data import view
from trilemma.exits import UserError, choose
from trilemma.model import Model
from trilemma.nets import make_net
from trilemma.samplers import SAMPLERS, noise_like, report

LOSSES = ('simple', 'vlb')


def bound_term(x, z, x_hat, i, gammas, log_variance, levels):
  """L_{i-1} of Ho et al. 2020, equation 5, in nats per dimension [B,...], for positions i i32[B].

  KL(q(z_{i-1} | z_i, x) || p(z_{i-1} | z_i)) where i > 1, else -log p(x | z_1) with the
  discretised decoder. gammas f32[T+1] and log_variance f32[T+1] belong to the same grid.
  """
  g_s, g_t = gammas[i - 1], gammas[i]
  mean_q, var_q = gaussian.posterior(z, x, g_s, g_t)
  mean_p, _ = gaussian.posterior(z, x_hat, g_s, g_t)
  log_var_q = gaussian.per_example(jnp.log(jnp.where(i > 1, var_q, 1.0)), x)
  log_var_p = gaussian.per_example(log_variance[i], x)
  kl = gaussian.kl(mean_q, log_var_q, mean_p, log_var_p)
  decoder = -gaussian.discretised_log_likelihood(x, mean_p, 0.5 * log_var_p, levels)
  return jnp.where(gaussian.per_example(i, x) > 1, kl, decoder)


def prior_term(x, g):
  """KL(q(z_T | x) || N(0, I)) in nats per dimension."""
  log_var = jnp.broadcast_to(jax.nn.log_sigmoid(g), x.shape)
  return gaussian.kl(gaussian.alpha(g) * x, log_var, 0.0, 0.0)


def check(config, spec):
  """Raises UserError for settings that contradict each other or the data."""
  m, s = config.model, config.sample
  if m.rescale_betas and m.schedule != 'linear':
    raise UserError(f'config.model.rescale_betas is for the linear schedule, not {m.schedule}')
  choose('config.model.loss', m.loss, dict.fromkeys(LOSSES))
  choose('config.sample.sampler', s.sampler, SAMPLERS)
  if m.conditional and len(spec.classes) < 2:
    raise UserError(
      f'config.model.conditional=True, but {spec.name} has no classes: '
      'use --config.model.conditional=False'
    )
  if not 0 <= m.label_drop <= 1:
    raise UserError(f'config.model.label_drop={m.label_drop} is no probability')
  if m.label_drop and not m.conditional:
    raise UserError('config.model.label_drop needs --config.model.conditional=True')
  if not 0 <= s.steps <= m.steps:
    raise UserError(
      f'config.sample.steps={s.steps}: choose 1..{m.steps} (config.model.steps), 0 for all'
    )
  if not 0 <= s.eta <= 1:
    raise UserError(f'config.sample.eta={s.eta}: choose 0 (deterministic) to 1 (ancestral)')
  if s.eta and s.sampler != 'ddim':
    raise UserError(f'config.sample.eta={s.eta} is for --config.sample.sampler=ddim')


def make(config, spec):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work."""
  m, s = config.model, config.sample
  table = gamma_table(m.schedule, m.steps, m.rescale_betas)
  check(config, spec)
  classes = len(spec.classes) if m.conditional else 0
  net = make_net(config.net, spec.shape, out_channels=spec.shape[-1], num_classes=classes)
  gammas = np.float32(table)
  log_variance = np.float32(reverse_log_variance(table, m.variance))
  dims = math.prod(spec.shape)

  def init(key):
    z, t, label = jnp.zeros((1, *spec.shape)), jnp.zeros(1), jnp.zeros(1, jnp.int32)
    return {'net': net.init(key, z, t, label, False)['params']}

  def eps_hat(params, z, i, label, dropout=None):
    """The net's noise for positions i (scalar or [B]); dropout is a key in training."""
    t = jnp.broadcast_to((i - 1) / m.steps, z.shape[:1]).astype(jnp.float32)
    rngs = None if dropout is None else {'dropout': dropout}
    return net.apply({'params': params['net']}, z, t, label, dropout is not None, rngs=rngs)

  def x_hat(params, z, i, label):
    """The denoised image, clipped to the data's range if the config says so."""
    x = gaussian.x_from_eps(z, jnp.asarray(gammas)[i], eps_hat(params, z, i, label))
    return jnp.clip(x, -1, 1) if s.clip else x

  def bound(x, z, x_hat, i):
    """The term of position i in bits/dim, per example."""
    tables = jnp.asarray(gammas), jnp.asarray(log_variance)
    nats = bound_term(x, z, x_hat, i, *tables, spec.levels)
    return nats.reshape(len(x), -1).sum(-1) / (dims * math.log(2))

  def prior(x):
    return prior_term(x, gammas[-1]).reshape(len(x), -1).sum(-1) / (dims * math.log(2))

  def loss(params, key, batch, step, train):
    del step
    dropout, key = jax.random.split(key)
    dropout = jax.random.fold_in(dropout, batch['index'][0])  # under pmap each device its own
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch['index'])
    image = view(spec, config.data, keys, batch['image'], train)
    x = gaussian.to_model_scale(image, spec.levels)
    time, noise, drop = (jax.vmap(lambda k, n=n: jax.random.fold_in(k, n))(keys) for n in range(3))
    i = jax.vmap(lambda k: jax.random.randint(k, (), 1, m.steps + 1))(time)
    eps = noise_like(noise, 0, x)
    label = batch['label']
    if train and m.label_drop:
      dropped = jax.vmap(lambda k: jax.random.bernoulli(k, m.label_drop))(drop)
      label = jnp.where(dropped, classes, label)
    g = jnp.asarray(gammas)[i]
    z = gaussian.diffuse(x, g, eps)
    predicted = eps_hat(params, z, i, label, dropout if train else None)
    mse = jnp.mean((eps - predicted) ** 2)
    if m.loss == 'simple':
      return mse, {}
    x_predicted = gaussian.x_from_eps(z, g, predicted)
    # one term of the sum over T, times T: unbiased for the whole bound
    bits = jnp.mean(m.steps * bound(x, z, x_predicted, i) + prior(x))
    return bits, {'mse': mse, 'bits_per_dim': bits}

  def sample(params, keys, label, frames=0, tick=None):
    positions = spaced(m.steps, s.steps or m.steps)
    grid = np.concatenate([[-np.inf], table[positions]])
    at = jnp.asarray(np.concatenate([[0], positions]), jnp.int32)
    z = noise_like(keys, 0, jnp.zeros((len(keys), *spec.shape)))
    x, trace = SAMPLERS[s.sampler](
      lambda z, j: x_hat(params, z, at[j], label), grid, z, keys,
      log_variance=reverse_log_variance(grid, m.variance), eta=s.eta, frames=frames, tick=tick,
    )  # fmt: skip
    image = gaussian.to_levels(x, spec.levels)
    return (image, gaussian.to_levels(trace, spec.levels)) if frames else image

  def bits(params, key, batch, tick=None):
    seen, keys = (
      jax.vmap(jax.random.fold_in, (None, 0))(k, batch['index']) for k in jax.random.split(key)
    )
    x = gaussian.to_model_scale(view(spec, config.data, seen, batch['image'], False), spec.levels)

    def term(total, i):
      z = gaussian.diffuse(x, jnp.asarray(gammas)[i], noise_like(keys, i, x))
      value = bound(x, z, x_hat(params, z, i, batch['label']), jnp.full(len(x), i))
      report(tick, i, m.steps)
      return total + jnp.where(i > 1, value, 0.0), jnp.where(i == 1, value, 0.0)

    diffusion, decoder = jax.lax.scan(term, jnp.zeros(len(x)), jnp.arange(1, m.steps + 1))
    terms = {'prior': prior(x), 'diffusion': diffusion, 'reconstruction': decoder.sum(0)}
    return {'total': sum(terms.values()), **terms}

  return Model(init, {'net': loss}, sample, bits)
