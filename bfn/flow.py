"""Bayesian flows for continuous, discretised and discrete data, side by side.

Time runs from 0 (the prior) to 1. A flow keeps the parameters theta of the input distribution in an
array: the mean mu [B,H,W,C] of a Gaussian whose precision follows from the time, or the log
probabilities [B,H,W,C,K] of K classes up to a constant. Equations are those of Graves et al. 2023.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr

from trilemma.exits import UserError, choose
from trilemma.gaussian import discretised_log_likelihood, per_example

NO_TIME = 1e-6  # before this the net's output is not used: theta holds no information


class Flow(NamedTuple):
  """One kind of data. level u8[B,H,W,C]; t f32[B]; `out`, the net's output, becomes an output
  distribution `p` by output(theta, t, out).

  channels:       (C) -> the net's (input, output, guided) channels for C image channels
  prior:          (shape) -> theta at t = 0
  sample:         (keys, level, t) -> theta from the flow distribution p_F(theta | level; t)
  net_input:      (theta) -> f32[B,H,W,channels in]
  output:         (theta, t, out) -> p
  loss:           (level, p, t) -> L^infinity of one time in nats, f32[B]
  n_step_loss:    (keys, level, p, i, n) -> L^n of one step i f32[B] in nats, f32[B]
  log_prob:       (level, p) -> log p of the data at t = 1 in nats, f32[B]
  draw:           (keys, p) -> what is sent in sampling: levels, or points of the line
  sender:         (keys, sent, alpha) -> y, a noisy observation of accuracy alpha f32[]
  accuracy:       (i, n) -> alpha_i f32[] of the steps 1..n
  update:         (theta, y, t, alpha) -> theta after y: the Bayesian update from time t
  to_level:       (sent) -> its level, u8
  mode:           (p) -> the likeliest level, u8
  mean:           (p) -> its mean on the scale 0..1, for pictures
  input_mean:     (theta) -> the mean of the input distribution on the scale 0..1, for pictures
  """

  channels: Callable
  prior: Callable
  sample: Callable
  net_input: Callable
  output: Callable
  loss: Callable
  n_step_loss: Callable
  log_prob: Callable
  draw: Callable
  sender: Callable
  accuracy: Callable
  update: Callable
  to_level: Callable
  mode: Callable
  mean: Callable
  input_mean: Callable


def _normal(keys, shape):
  return jax.vmap(lambda k: jax.random.normal(k, shape[1:]))(keys)


def _per_image(x):
  return x.reshape(len(x), -1).sum(-1)


def gaussian_flow(bins, sigma_1, samples, discretised, final_spread=1.0):
  """Continuous data, or the same discretised into `bins`: sections 4 and 5.

  A level k sits at 2 (k + 1/2) / bins - 1. With `discretised` the net's mean and log deviation give
  a probability to every bin, else its mean is the output (a delta distribution). `samples` of the
  sender estimate the n-step loss of discretised data. The likelihood of continuous data is that of
  a normal around x_hat, of deviation final_spread sigma_1.
  """
  log_sigma_1 = math.log(sigma_1)
  centers = (2 * jnp.arange(bins) + 1) / bins - 1
  edges = 2 * jnp.arange(1, bins) / bins - 1

  position = lambda level: (2 * level.astype(jnp.float32) + 1) / bins - 1
  to_level = lambda x: jnp.clip(jnp.floor((x + 1) * bins / 2), 0, bins - 1).astype(jnp.uint8)
  gamma = lambda t: -jnp.expm1(2 * t * log_sigma_1)  # of equation 80: 1 - sigma_1^(2 t)
  rest = lambda t: jnp.exp(2 * t * log_sigma_1)  # 1 - gamma, which float32 would lose

  def sample(keys, level, t):
    g, r = (per_example(f(t), level) for f in (gamma, rest))
    return g * position(level) + jnp.sqrt(g * r) * _normal(keys, level.shape)

  def output(mu, t, out):
    """x_hat, or mean and deviation of the discretised normal."""
    early = per_example(t < NO_TIME, mu)
    g, r = (per_example(f(jnp.maximum(t, NO_TIME)), mu) for f in (gamma, rest))
    spread = jnp.sqrt(r / g)
    eps, log_deviation = (out, None) if not discretised else jnp.split(out, 2, -1)
    mean = jnp.where(early, 0.0, mu / g - spread * eps)
    if not discretised:
      return jnp.clip(mean, -1, 1)
    deviation = spread * jnp.exp(jnp.clip(log_deviation, -10, 10))
    return mean, jnp.where(early, 1.0, jnp.clip(deviation, 1e-3, 10))

  def x_hat(p):
    """The mean of p: by parts, the last center minus 2 / bins times the sum of the CDF at edges."""
    if not discretised:
      return p
    mean, deviation = (a[..., None] for a in p)
    return centers[-1] - 2 / bins * ndtr((edges - mean) / deviation).sum(-1)

  def weighted(level, p, weight):
    return weight * _per_image((position(level) - x_hat(p)) ** 2)

  def loss(level, p, t):
    return weighted(level, p, -log_sigma_1 * jnp.exp(-2 * t * log_sigma_1))

  def accuracy(i, n):
    """alpha_i = sigma_1^(-2 i / n) (1 - sigma_1^(2 / n)), equation 95."""
    return -jnp.exp(-2 * i / n * log_sigma_1) * jnp.expm1(2 / n * log_sigma_1)

  def every_bin(p):
    mean, deviation = (a[..., None] for a in p)
    at = jnp.broadcast_to(centers, (*mean.shape[:-1], bins))
    return discretised_log_likelihood(at, mean, jnp.log(deviation), 1 / bins)

  def n_step_loss(keys, level, p, i, n):
    alpha = accuracy(i, n)
    if not discretised:  # KL(sender || receiver) of two normals of the same deviation
      return weighted(level, p, 0.5 * n * alpha)
    a, log_p = per_example(alpha, level), every_bin(p)

    def one(keys):
      noise = _normal(keys, level.shape) / jnp.sqrt(a)
      y = (position(level) + noise)[..., None]
      log_receiver = jax.nn.logsumexp(log_p - 0.5 * a[..., None] * (y - centers) ** 2, -1)
      return _per_image(-0.5 * a * noise**2 - log_receiver)

    keys = jax.vmap(lambda k: jax.random.split(k, samples), out_axes=1)(keys)
    return n * jax.lax.map(one, keys).mean(0)

  def log_prob(level, p):
    mean, deviation = p if discretised else (p, final_spread * sigma_1)
    log_scale = jnp.log(jnp.broadcast_to(deviation, mean.shape))
    return _per_image(discretised_log_likelihood(position(level), mean, log_scale, 1 / bins))

  def draw(keys, p):
    if not discretised:
      return p
    mean, deviation = p  # the end bins take what is beyond them, as in p
    return position(to_level(mean + deviation * _normal(keys, mean.shape)))

  def update(mu, y, t, alpha):
    rho = jnp.exp(-2 * t * log_sigma_1)  # the precision at time t: 1 + beta(t)
    return (rho * mu + alpha * y) / (rho + alpha)

  def mode(p):
    return every_bin(p).argmax(-1).astype(jnp.uint8) if discretised else to_level(p)

  return Flow(
    channels=lambda c: (c, 2 * c if discretised else c, c),
    prior=jnp.zeros,
    sample=sample,
    net_input=lambda mu: mu,
    output=output,
    loss=loss,
    n_step_loss=n_step_loss,
    log_prob=log_prob,
    draw=draw,
    sender=lambda keys, sent, alpha: sent + _normal(keys, sent.shape) / jnp.sqrt(alpha),
    accuracy=accuracy,
    update=update,
    to_level=to_level,
    mode=mode,
    mean=lambda p: (x_hat(p) + 1) / 2,
    input_mean=lambda mu: (mu + 1) / 2,
  )


def discrete_flow(classes, beta_1, samples):
  """Data of K classes: section 6. theta is kept as log probabilities, so that none underflows.

  Two classes take one logit from the net, more take K per channel.
  """
  k = classes
  one_hot = lambda level: jax.nn.one_hot(level.astype(jnp.int32), k)

  def observe(keys, level, accuracy):
    """y ~ N(accuracy (K e - 1), accuracy K), [B,H,W,C,K]."""
    mean = accuracy * (k * one_hot(level) - 1)
    return mean + jnp.sqrt(accuracy * k) * _normal(keys, mean.shape)

  def sample(keys, level, t):
    beta = beta_1 * t**2
    return observe(keys, level, beta.reshape(-1, *[1] * level.ndim))

  def net_input(theta):
    p = 2 * jax.nn.softmax(theta) - 1
    return p.reshape(*p.shape[:-2], -1)

  def output(theta, t, out):
    """Log probabilities of the classes."""
    if k == 2:
      return jax.nn.log_sigmoid(jnp.stack([-out, out], -1))
    return jax.nn.log_softmax(out.reshape(theta.shape))

  def loss(level, p, t):
    return k * beta_1 * t * _per_image((one_hot(level) - jnp.exp(p)) ** 2)

  def accuracy(i, n):
    """alpha_i = beta_1 (2 i - 1) / n^2, equation 189."""
    return beta_1 * (2 * i - 1) / float(n) ** 2

  def n_step_loss(keys, level, p, i, n):
    """log N(y | sender) - log sum_k p_k N(y | receiver k) is y_level - log sum_k p_k exp(y_k)."""
    alpha = accuracy(i, n).reshape(-1, *[1] * level.ndim)

    def one(keys):
      y = observe(keys, level, alpha)
      return _per_image((one_hot(level) * y).sum(-1) - jax.nn.logsumexp(p + y, -1))

    keys = jax.vmap(lambda key: jax.random.split(key, samples), out_axes=1)(keys)
    return n * jax.lax.map(one, keys).mean(0)

  def log_prob(level, p):
    return _per_image((one_hot(level) * p).sum(-1))

  def draw(keys, p):
    return jax.vmap(lambda key, p: jax.random.categorical(key, p))(keys, p)

  scale = jnp.arange(k) / (k - 1)
  return Flow(
    channels=lambda c: (k * c, c if k == 2 else k * c, c if k == 2 else k * c),
    prior=lambda shape: jnp.zeros((*shape, k)),
    sample=sample,
    net_input=net_input,
    output=output,
    loss=loss,
    n_step_loss=n_step_loss,
    log_prob=log_prob,
    draw=draw,
    sender=observe,
    accuracy=accuracy,
    update=lambda theta, y, t, alpha: theta + y,
    to_level=lambda level: level.astype(jnp.uint8),
    mode=lambda p: p.argmax(-1).astype(jnp.uint8),
    mean=lambda p: jnp.exp(p) @ scale,
    input_mean=lambda theta: jax.nn.softmax(theta) @ scale,
  )


KINDS = ('continuous', 'discretised', 'discrete')


def make(kind, levels, sigma_1, beta_1, samples, final_spread):
  """The Flow of config.model.kind. Raises UserError for accuracies that cannot be."""
  choose('config.model.kind', kind, dict.fromkeys(KINDS))
  if samples < 1:
    raise UserError(f'config.model.samples={samples} must be at least 1')
  if kind == 'discrete':
    if beta_1 <= 0:
      raise UserError(f'config.model.beta_1={beta_1} must be above 0')
    return discrete_flow(levels, beta_1, samples)
  if not 0 < sigma_1 < 1:
    raise UserError(f'config.model.sigma_1={sigma_1} must be between 0 and 1')
  if final_spread <= 0:
    raise UserError(f'config.model.final_spread={final_spread} must be above 0')
  return gaussian_flow(levels, sigma_1, samples, kind == 'discretised', final_spread)
