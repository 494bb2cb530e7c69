"""Bayesian flow networks (Graves et al. 2023) as a trilemma.model.Model.

t in [0, 1] runs from the prior to the data, the other way round than in diffusion.
"""

import math

import jax
import jax.numpy as jnp

from bfn import flow as flows
from trilemma import guidance
from trilemma import keys as keylib
from trilemma.data import view
from trilemma.exits import UserError, choose
from trilemma.model import Bits, Model
from trilemma.nets import make_net
from trilemma.samplers import FRAMES, walk

BITS_PARTS = 10  # times per example in a measured bound, spread evenly
FINAL = ('mode', 'draw')


def check(config, spec):
  """Raises UserError for settings that contradict each other or the data."""
  m, s = config.model, config.sample
  guidance.check(m, s, spec)
  if m.steps < 0:
    raise UserError(f'config.model.steps={m.steps}: use 0 for continuous time')
  if s.steps < 1:
    raise UserError(f'config.sample.steps={s.steps} must be at least 1')
  choose('config.sample.final', s.final, dict.fromkeys(FINAL))
  choose('config.sample.frames', s.frames, dict.fromkeys(FRAMES))


def make(config, spec):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work."""
  m, s = config.model, config.sample
  check(config, spec)
  flow = flows.make(m.kind, spec.levels, m.sigma_1, m.beta_1, m.samples, m.final_spread)
  inputs, outputs, guided = flow.channels(spec.shape[-1])
  classes = len(spec.classes) if m.conditional else 0
  net = make_net(config.net, (*spec.shape[:2], inputs), outputs, num_classes=classes)
  to_bits = 1 / (math.prod(spec.shape) * math.log(2))

  def init(key):
    z, t = jnp.zeros((1, *spec.shape[:2], inputs)), jnp.zeros(1)
    return {'net': net.init(key, z, t, jnp.zeros(1, jnp.int32), False)['params']}

  def output(params, theta, t, label, dropout=None, scale=1):
    """The output distribution for theta at t f32[B]; dropout is a key in training."""
    rngs = None if dropout is None else {'dropout': dropout}
    at = lambda z, label: net.apply(
      {'params': params['net']}, z, jnp.repeat(t, len(z) // len(t)), label, dropout is not None,
      rngs=rngs,
    )  # fmt: skip
    out = guidance.guided(at, flow.net_input(theta), label, classes, scale, guided)
    return flow.output(theta, t, out)

  def running(params, keys, level, label, t, dropout=None):
    """The loss of one time t f32[B] in nats, f32[B]: of continuous time, or of step i of n."""
    flowing, sent, _ = keylib.split(keys, 3)
    i = jnp.floor(t * m.steps) + 1
    t = (i - 1) / m.steps if m.steps else t
    p = output(params, flow.sample(flowing, level, t), t, label, dropout)
    if m.steps:
      return flow.n_step_loss(sent, level, p, i, m.steps)
    return flow.loss(level, p, t)

  def reconstruction(params, keys, level, label):
    """-log p(data | theta at t = 1) in nats, f32[B]."""
    end = jnp.ones(len(level))
    theta = flow.sample(keylib.split(keys, 3)[2], level, end)
    return -flow.log_prob(level, output(params, theta, end, label))

  def loss(params, key, batch, step, train):
    del step
    dropout, u, key = jax.random.split(key, 3)
    dropout = keylib.of_dropout(dropout, batch['index'])
    keys = keylib.of_examples(key, batch['index'])
    level, label = view(spec, config.data, keys, batch['image'], train), batch['label']
    noise, lose = keylib.split(keys, 2)
    if train and m.label_drop:
      label = guidance.drop(lose, label, m.label_drop, classes)
    t = keylib.even_times(u, batch['index'], config.train.batch_size)
    nats = jnp.mean(running(params, noise, level, label, t, dropout if train else None))
    metrics = {'nats': nats}
    if not train:
      metrics['reconstruction_nats'] = jnp.mean(reconstruction(params, noise, level, label))
      metrics['bits_per_dim'] = (nats + metrics['reconstruction_nats']) * to_bits
    return nats * to_bits, metrics

  def sample(params, keys, label, frames=0, tick=None):
    n = s.steps

    def at(theta, t):
      return output(params, theta, jnp.full(len(keys), t), label, scale=s.guidance)

    def step(theta, picture, j):
      i = n - j + 1
      t, alpha = (i - 1) / n, flow.accuracy(i, n)
      choosing, sending = keylib.split(keylib.folded(keys, i), 2)
      p = at(theta, t)
      y = flow.sender(sending, flow.draw(choosing, p), alpha)
      theta = flow.update(theta, y, t, alpha)
      return theta, flow.mean(p) if s.frames == 'guess' else flow.input_mean(theta)

    shape = (len(keys), *spec.shape)
    theta, trace = walk(
      step, flow.prior(shape), n, frames, tick, memory=jnp.zeros(shape), show=lambda _, shown: shown
    )
    p = at(theta, 1.0)
    last = keylib.folded(keys, 0)
    image = flow.mode(p) if s.final == 'mode' else flow.to_level(flow.draw(last, p))
    return (image, jnp.round(255 * jnp.clip(trace, 0, 1)).astype(jnp.uint8)) if frames else image

  def bits(params, key, batch, part):
    """The loss at one time per example of BITS_PARTS evenly spread ones, and its reconstruction."""
    seen, keys = (keylib.of_examples(k, batch['index']) for k in jax.random.split(key))
    level = view(spec, config.data, seen, batch['image'], False)
    noise, t = keylib.folded(keys, part), keylib.spread_times(keys, part, BITS_PARTS)
    found = {
      'loss': running(params, noise, level, batch['label'], t),
      'reconstruction': reconstruction(params, noise, level, batch['label']),
    }
    return {name: value * to_bits / BITS_PARTS for name, value in found.items()}

  # the last call is for the image, after all steps
  return Model(
    init, {'net': loss}, sample, Bits(BITS_PARTS, bits), guidance.calls(s.guidance) * (s.steps + 1)
  )
