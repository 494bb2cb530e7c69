"""DDPM (Ho et al. 2020; Nichol and Dhariwal 2021) as a trilemma.model.Model.

Positions i = 1..T index the gamma table; the net sees t = (i - 1) / T, which its embedding reads
as the paper's timestep scaled to 0..1000.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ddpm import times
from ddpm.schedule import SPACINGS, gamma_table, reverse_log_variance, spaced
from trilemma import gaussian, guidance
from trilemma import keys as keylib
from trilemma.data import view
from trilemma.exits import UserError, choose
from trilemma.model import Bits, Model
from trilemma.nets import make_net
from trilemma.samplers import FRAMES, SAMPLERS, noise_like

LOSSES = ('simple', 'vlb', 'hybrid')
TIMES = ('uniform', 'importance')
BITS_PARTS = 50  # the bound's terms are computed in at most so many calls

# What the net may predict: its target (x, g, eps), x_hat from its output (z, g, out), and the log
# weight (g) that its squared error has in units of the squared error of x.
PREDICTIONS = {
  'eps': (lambda x, g, eps: eps, gaussian.x_from_eps, lambda g: -g),
  'x': (lambda x, g, eps: x, lambda z, g, out: out, jnp.zeros_like),
  'v': (
    lambda x, g, eps: gaussian.diffuse(eps, g, -x),
    lambda z, g, out: gaussian.diffuse(z, g, -out),
    lambda g: jax.nn.softplus(-g),
  ),
}
# Log weights of the squared error of x; 'own' leaves the error of what is predicted unweighted.
WEIGHTINGS = {
  'own': None,
  'snr': lambda g: -g,
  'min_snr_5': lambda g: jnp.minimum(-g, math.log(5)),  # Hang et al. 2023
}


def bound_term(x, z, x_hat, i, gammas, log_variance, levels):
  """L_{i-1} of Ho et al. 2020, equation 5, in nats per dimension [B,...], for positions i i32[B].

  KL(q(z_{i-1} | z_i, x) || p(z_{i-1} | z_i)) where i > 1, else -log p(x | z_1) with the
  discretised decoder. log_variance, of p, broadcasts against x; gammas f32[T+1].
  """
  g_s, g_t = gammas[i - 1], gammas[i]
  last = gaussian.per_example(i, x) == 1
  mean_q, var_q = gaussian.posterior(z, x, g_s, g_t)
  mean_p, _ = gaussian.posterior(z, x_hat, g_s, g_t)
  log_var_q = gaussian.per_example(jnp.log(jnp.where(i > 1, var_q, 1.0)), x)
  kl = gaussian.kl(mean_q, log_var_q, mean_p, log_variance)
  log_scale = jnp.where(last, 0.5 * log_variance, 0.0)  # no NaN where the decoder is not used
  half = 1 / (levels - 1)
  decoder = -gaussian.discretised_log_likelihood(x, mean_p, log_scale, half)
  return jnp.where(last, decoder, kl)


def prior_term(x, g):
  """KL(q(z_T | x) || N(0, I)) in nats per dimension."""
  log_var = jnp.broadcast_to(jax.nn.log_sigmoid(g), x.shape)
  return gaussian.kl(gaussian.alpha(g) * x, log_var, 0.0, 0.0)


def check(config, spec, guide):
  """Raises UserError for settings that contradict each other or the data."""
  m, s = config.model, config.sample
  choose('config.model.loss', m.loss, dict.fromkeys(LOSSES))
  choose('config.model.times', m.times, dict.fromkeys(TIMES))
  choose('config.model.predict', m.predict, PREDICTIONS)
  choose('config.model.weighting', m.weighting, WEIGHTINGS)
  choose('config.sample.sampler', s.sampler, SAMPLERS)
  choose('config.sample.frames', s.frames, dict.fromkeys(FRAMES))
  choose('config.sample.spacing', s.spacing, dict.fromkeys(SPACINGS))
  learned = m.variance == 'learned'
  if m.loss == 'hybrid' and not learned:
    raise UserError('config.model.loss=hybrid needs --config.model.variance=learned')
  if m.loss == 'simple' and learned:
    raise UserError('config.model.variance=learned needs --config.model.loss=hybrid or vlb')
  if m.times == 'importance' and m.loss != 'vlb':
    raise UserError('config.model.times=importance is for --config.model.loss=vlb')
  if m.weighting != 'own' and m.loss == 'vlb':
    raise UserError('config.model.weighting is for the squared error: the vlb loss has its own')
  guidance.check(m, s, spec)
  if not 0 <= s.steps <= m.steps:
    raise UserError(
      f'config.sample.steps={s.steps}: choose 1..{m.steps} (config.model.steps), 0 for all'
    )
  if not 0 <= s.eta <= 1:
    raise UserError(f'config.sample.eta={s.eta}: choose 0 (deterministic) to 1 (ancestral)')
  if s.eta and s.sampler != 'ddim':
    raise UserError(f'config.sample.eta={s.eta} is for --config.sample.sampler=ddim')
  if not (math.isfinite(s.classifier_scale) and s.classifier_scale >= 0):
    raise UserError(f'config.sample.classifier_scale={s.classifier_scale} must be at least 0')
  if s.classifier_scale != 1 and not guide:
    raise UserError(f'config.sample.classifier_scale={s.classifier_scale:g} needs a classifier: '
                    '--config.sample.classifier=WORKDIR')  # fmt: skip


def make(config, spec, guide=None):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work.

  guide(z, g, label) -> like z is classifier guidance, subtracted from eps_hat times
  config.sample.classifier_scale (ddpm/classifier.py).
  """
  m, s = config.model, config.sample
  table = gamma_table(m.schedule, m.steps, m.rescale_betas)
  log_variances = np.float32(reverse_log_variance(table, m.variance))
  check(config, spec, guide)
  classes = len(spec.classes) if m.conditional else 0
  channels = spec.shape[-1]
  outputs = 2 * channels if m.variance == 'learned' else channels
  net = make_net(config.net, spec.shape, outputs, num_classes=classes)
  target, x_from_output, log_own_weight = PREDICTIONS[m.predict]
  gammas = np.float32(table)
  dims = math.prod(spec.shape)

  def init(key):
    z, t, label = jnp.zeros((1, *spec.shape)), jnp.zeros(1), jnp.zeros(1, jnp.int32)
    params = {'net': net.init(key, z, t, label, False)['params']}
    return {**params, 'times': times.empty(m.steps)} if m.times == 'importance' else params

  def output(params, z, i, label, dropout=None):
    """The net's output at positions i (scalar or [B]); dropout is a key in training."""
    t = jnp.broadcast_to((i - 1) / m.steps, z.shape[:1]).astype(jnp.float32)
    rngs = None if dropout is None else {'dropout': dropout}
    return net.apply({'params': params['net']}, z, t, label, dropout is not None, rngs=rngs)

  def log_variance(out, i, bounds):
    """log variance of p(z_s | z_t) at index i of tables `bounds` f32[2,S+1], ready for [B,...]."""
    lower, upper = (gaussian.per_example(jnp.asarray(b)[i], out) for b in bounds)
    if m.variance != 'learned':
      return lower
    return lower + 0.5 * (out[..., channels:] + 1) * (upper - lower)

  def x_hat(out, z, i):
    """The denoised image of a net's output."""
    return x_from_output(z, jnp.asarray(gammas)[i], out[..., :channels])

  def clip(x):
    return jnp.clip(x, -1, 1) if s.clip else x

  def bound(x, z, x_hat, out, i):
    """The term of positions i in bits/dim, per example."""
    log_var = log_variance(out, i, log_variances)
    nats = bound_term(x, z, x_hat, i, jnp.asarray(gammas), log_var, spec.levels)
    return nats.reshape(len(x), -1).sum(-1) / (dims * math.log(2))

  def prior(x):
    return prior_term(x, gammas[-1]).reshape(len(x), -1).sum(-1) / (dims * math.log(2))

  def loss(params, key, batch, step, train):
    del step
    dropout, key = jax.random.split(key)
    dropout = keylib.of_dropout(dropout, batch['index'])
    keys = keylib.of_examples(key, batch['index'])
    image = view(spec, config.data, keys, batch['image'], train)
    x = gaussian.to_model_scale(image, spec.levels)
    time, noise, drop = keylib.split(keys, 3)
    if m.times == 'importance' and train:
      p = times.probabilities(params['times'])
      i = 1 + jax.vmap(lambda k: jax.random.categorical(k, jnp.log(p)))(time)
      weight = 1 / (m.steps * p[i - 1])
    else:
      i = jax.vmap(lambda k: jax.random.randint(k, (), 1, m.steps + 1))(time)
      weight = 1.0
    eps = noise_like(noise, 0, x)
    label = batch['label']
    if train and m.label_drop:
      label = guidance.drop(drop, label, m.label_drop, classes)
    g = jnp.asarray(gammas)[i]
    z = gaussian.diffuse(x, g, eps)
    out = output(params, z, i, label, dropout if train else None)
    error = (target(x, g, eps) - out[..., :channels]) ** 2
    if m.weighting != 'own':
      log_weight = WEIGHTINGS[m.weighting](g) - log_own_weight(g)
      error *= gaussian.per_example(jnp.exp(log_weight), x)
    mse = jnp.mean(error)
    if m.loss == 'simple':
      return mse, {}
    # one term of the sum over T, times T: unbiased for the whole bound
    if m.loss == 'hybrid':  # the bound trains the variance only
      term = m.steps * bound(x, z, jax.lax.stop_gradient(x_hat(out, z, i)), out, i)
      vlb = jnp.mean(term)
      return mse + m.vlb_weight * vlb, {'mse': mse, 'vlb': vlb}
    term = m.steps * bound(x, z, x_hat(out, z, i), out, i)
    bits = jnp.mean(weight * term + prior(x))
    metrics = {'mse': mse, 'bits_per_dim': bits}
    if m.times == 'importance' and train:
      metrics['notes'] = {'position': i, 'loss': term}
    return bits, metrics

  def remember(params, notes):
    return {**params, 'times': times.remember(params['times'], **notes)}

  def sample(params, keys, label, frames=0, tick=None):
    positions = spaced(table, s.steps or m.steps, s.spacing)
    grid = np.concatenate([[-np.inf], table[positions]])
    bounds = np.float32(reverse_log_variance(grid, m.variance))
    at = jnp.asarray(np.concatenate([[0], positions]), jnp.int32)
    z = noise_like(keys, 0, jnp.zeros((len(keys), *spec.shape)))

    def denoise(z, j):
      i = at[j]
      at_i = lambda z, label: output(params, z, i, label)
      out = guidance.guided(at_i, z, label, classes, s.guidance, channels)
      x = x_hat(out, z, i)
      if guide:  # eps_hat - scale * guide, in units of x
        g = jnp.asarray(gammas)[i]
        x += s.classifier_scale * jnp.exp(g / 2) * guide(z, g, label)
      return clip(x), log_variance(out, j, bounds)

    x, trace = SAMPLERS[s.sampler](
      denoise, grid, z, keys, eta=s.eta, frames=frames, guesses=s.frames == 'guess', tick=tick
    )  # fmt: skip
    image = gaussian.to_levels(x, spec.levels)
    return (image, gaussian.to_levels(trace, 256)) if frames else image

  length = -(-m.steps // BITS_PARTS)
  parts = -(-m.steps // length)

  def bits(params, key, batch, part):
    """The terms of positions part + 1, part + 1 + parts, ...; part 0 has the two others."""
    seen, keys = (keylib.of_examples(k, batch['index']) for k in jax.random.split(key))
    x = gaussian.to_model_scale(view(spec, config.data, seen, batch['image'], False), spec.levels)

    def term(total, i):
      z = gaussian.diffuse(x, jnp.asarray(gammas)[i], noise_like(keys, i, x))
      out = output(params, z, i, batch['label'])
      value = bound(x, z, clip(x_hat(out, z, i)), out, jnp.full(len(x), i))
      return total + jnp.where((i > 1) & (i <= m.steps), value, 0.0), jnp.where(i == 1, value, 0.0)

    positions = part + 1 + parts * jnp.arange(length)
    diffusion, decoder = jax.lax.scan(term, jnp.zeros(len(x)), positions)
    return {
      'prior': jnp.where(part == 0, prior(x), 0.0),
      'diffusion': diffusion,
      'reconstruction': decoder.sum(0),
    }

  return Model(
    init, {'net': loss}, sample, Bits(parts, bits),
    nfe=guidance.calls(s.guidance) * (s.steps or m.steps),
    remember=remember if m.times == 'importance' else None,
  )  # fmt: skip
