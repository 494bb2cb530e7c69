"""Classifiers of noisy or clean images, and the guidance that a trained one gives.

A noisy classifier learns p(y | z_t, t) on diffused images (Dhariwal and Nichol 2021). One of clean
images is the baseline of the DTU report; it also serves as a feature extractor.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ddpm.schedule import gamma_table
from trilemma import gaussian
from trilemma import keys as keylib
from trilemma.data import view
from trilemma.exits import UserError
from trilemma.model import Model
from trilemma.nets import CLASSIFIERS, make_net
from trilemma.samplers import noise_like


def make(config, spec):
  """A classifier as a Model without `sample` and `bits`. Raises UserError for data of one class."""
  m = config.model
  if len(spec.classes) < 2:
    raise UserError(f'a classifier needs classes: {spec.name} has {len(spec.classes)}')
  gammas = np.float32(gamma_table(m.schedule, m.steps, m.rescale_betas))
  net = make_net(config.net, spec.shape, len(spec.classes), 0, CLASSIFIERS)

  def init(key):
    z, t, label = jnp.zeros((1, *spec.shape)), jnp.zeros(1), jnp.zeros(1, jnp.int32)
    return {'net': net.init(key, z, t, label, False)['params']}

  def loss(params, key, batch, step, train):
    del step
    dropout, key = jax.random.split(key)
    dropout = keylib.of_dropout(dropout, batch['index'])
    keys = keylib.of_examples(key, batch['index'])
    z = gaussian.to_model_scale(view(spec, config.data, keys, batch['image'], train), spec.levels)
    t = jnp.zeros(len(z))
    if m.noisy:
      time, noise = keylib.split(keys, 2)
      i = jax.vmap(lambda k: jax.random.randint(k, (), 1, m.steps + 1))(time)
      z, t = gaussian.diffuse(z, jnp.asarray(gammas)[i], noise_like(noise, 0, z)), (i - 1) / m.steps
    rngs = {'dropout': dropout} if train else None
    logits = net.apply({'params': params['net']}, z, t, batch['label'], train, rngs=rngs)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch['label'])
    return jnp.mean(losses), {'accuracy': jnp.mean(logits.argmax(-1) == batch['label'])}

  return Model(init, {'net': loss}, None, None)


def guidance(log_prob, noisy=True):
  """guide(z f32[N,...], g f32[], label i32[N]): what guidance subtracts from eps_hat per scale.

  log_prob(z, g, label) -> f32[N]. For a classifier of noisy images sigma grad log p(y | z), so that
  scale 1 samples the posterior by Bayes' rule (Dhariwal and Nichol 2021, algorithm 2). For one of
  clean images grad log p(y | x = z) as it is, without sigma: the DTU report's rule. There lambda =
  200 multiplies the gradient of a batch's mean, so that the scale here is lambda / batch size.
  """

  def guide(z, g, label):
    slope = jax.grad(lambda z: log_prob(z, g, label).sum())(z)
    return gaussian.sigma(g) * slope if noisy else slope

  return guide


def make_guide(config, spec, params):
  """The guide of a trained classifier; a label beyond its classes has no gradient."""
  m = config.model
  net = make_net(config.net, spec.shape, len(spec.classes), 0, CLASSIFIERS)
  # another model's gammas are found in this one's table, so the schedules may differ
  gammas = jnp.asarray(gamma_table(m.schedule, m.steps, m.rescale_betas)[1:], jnp.float32)
  times = jnp.arange(m.steps) / m.steps

  def log_prob(z, g, label):
    t = jnp.interp(g, gammas, times) if m.noisy else 0.0
    t = jnp.broadcast_to(t, label.shape)
    log_p = jax.nn.log_softmax(net.apply({'params': params['net']}, z, t, label, False))
    if not m.noisy:
      log_p = jnp.log(jnp.exp(log_p) + 1e-8)  # as in the report
    picked = jnp.take_along_axis(log_p, label[:, None], 1, mode='fill', fill_value=0.0)
    return picked[:, 0]

  return guidance(log_prob, m.noisy)
