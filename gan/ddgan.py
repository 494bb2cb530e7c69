"""The denoising-diffusion GAN (Xiao et al. 2022) as a trilemma.model.Model of two players.

A few large denoising steps whose distribution a generator learns: x_0 from x_t and a latent z, then
x_s from the posterior of x_s given x_t and x_0; s is one step before t.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gan.nets import DDDiscriminator, DDGenerator
from gan.watch import collapse, refuse_pmap
from trilemma import gaussian
from trilemma import keys as keylib
from trilemma.data import view
from trilemma.exits import UserError, choose
from trilemma.model import Model
from trilemma.nets import DTYPES
from trilemma.samplers import CHOICE, FRAMES, noise_like, walk

BETA_MIN, BETA_MAX, FIRST = 0.1, 20.0, 1e-3


def gamma_table(steps):
  """gamma f64[steps + 1] of the variance-preserving SDE at u = FIRST..1; gamma_0 is clean: -inf."""
  u = np.arange(steps + 1) / steps * (1 - FIRST) + FIRST
  log_alpha_bar = -0.5 * u**2 * (BETA_MAX - BETA_MIN) - u * BETA_MIN
  log_alpha_bar -= log_alpha_bar[0]  # the first beta is of the step from u_0
  with np.errstate(divide='ignore'):
    return np.log(-np.expm1(log_alpha_bar)) - log_alpha_bar


def further(x_s, g_s, g_t, eps):
  """x_t f32[B,...] from x_s by the steps between, for gammas f32[B]."""
  kept = jax.nn.sigmoid(-g_t) / jax.nn.sigmoid(-g_s)  # 1 - beta
  kept = gaussian.per_example(kept, x_s)
  return jnp.sqrt(kept) * x_s + jnp.sqrt(1 - kept) * eps


def before(x_t, x_0, g_s, g_t, eps):
  """x_s f32[B,...] from the posterior given x_t and x_0; x_0 itself where s is clean."""
  mean, variance = gaussian.posterior(x_t, x_0, g_s, g_t)
  return mean + jnp.sqrt(gaussian.per_example(variance, x_t)) * eps


def check(config, spec):
  """Raises UserError for settings that contradict each other or the data."""
  m, d, g = config.model, config.discriminator, config.net
  refuse_pmap(config)
  if m.steps < 1:
    raise UserError(f'config.model.steps={m.steps} must be at least 1')
  if m.r1 < 0 or m.r1_every < 1:
    raise UserError('config.model.r1 must be at least 0 and r1_every at least 1')
  if m.latent < 1:
    raise UserError(f'config.model.latent={m.latent} must be at least 1')
  choose('config.sample.frames', config.sample.frames, dict.fromkeys(FRAMES))
  choose('config.net.name', g.name, {'ncsnpp': 0})
  choose('config.net.dtype', g.dtype, DTYPES)
  for where, c in (('net', g), ('discriminator', d)):
    halvings, side = len(c.multipliers) - 1, min(spec.shape[:2])
    # the generator comes back to where it began; the discriminator may leave an odd row out
    cannot = side % 2**halvings if where == 'net' else side < 2**halvings
    if cannot:
      raise UserError(
        f'a {spec.shape[0]}x{spec.shape[1]} image cannot be halved {halvings} times: use fewer '
        f'entries in config.{where}.multipliers'
      )
    if c.channels < 4 or c.channels % 4:
      raise UserError(f'config.{where}.channels={c.channels} must be a multiple of 4')


def make(config, spec):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work."""
  m, s, g, d = config.model, config.sample, config.net, config.discriminator
  check(config, spec)
  dtype = DTYPES[g.dtype]
  nets = {
    'generator': DDGenerator(
      g.channels, tuple(g.multipliers), g.blocks, tuple(g.attention), g.style, g.mapping, dtype
    ),
    'discriminator': DDDiscriminator(d.channels, tuple(d.multipliers), d.embedding, dtype),
  }
  gammas = np.float32(gamma_table(m.steps))

  def init(key):
    one, other = jax.random.split(key)
    x, t = jnp.zeros((4, *spec.shape)), jnp.zeros(4, jnp.int32)
    return {
      'generator': nets['generator'].init(one, x, t, jnp.zeros((4, m.latent)))['params'],
      'discriminator': nets['discriminator'].init(other, x, x, t)['params'],
    }

  def generate(params, x_t, t, z):
    """x_0 f32[B,H,W,C] from x_t after t i32[B] + 1 steps and the latent z."""
    return nets['generator'].apply({'params': params['generator']}, x_t, t, z)

  def discriminate(params, x_s, x_t, t):
    return nets['discriminator'].apply({'params': params['discriminator']}, x_s, x_t, t)

  def pairs(params, key, batch, train):
    """A real (x_s, x_t), the generator's x_s and x_0 for the same x_t, and t i32[B], of s."""
    keys = keylib.of_examples(key, batch['index'])
    x = gaussian.to_model_scale(view(spec, config.data, keys, batch['image'], train), spec.levels)
    when, noise = keylib.split(keys, 2)
    t = jax.vmap(lambda k: jax.random.randint(k, (), 0, m.steps))(when)
    g_s, g_t = jnp.asarray(gammas)[t], jnp.asarray(gammas)[t + 1]
    x_s = gaussian.diffuse(x, g_s, noise_like(noise, 0, x))
    x_t = further(x_s, g_s, g_t, noise_like(noise, 1, x))
    z = noise_like(noise, 2, jnp.zeros((len(x), m.latent)))
    x_0 = generate(params, x_t, t, z)
    return x_s, x_t, before(x_t, x_0, g_s, g_t, noise_like(noise, 3, x)), x_0, t

  def discriminator(params, key, batch, step, train):
    x_s, x_t, fake, _, t = pairs(params, key, batch, train)
    fake = jax.lax.stop_gradient(fake)
    real_logit = discriminate(params, x_s, x_t, t)
    fake_logit = discriminate(params, fake, x_t, t)
    loss = jnp.mean(jax.nn.softplus(-real_logit)) + jnp.mean(jax.nn.softplus(fake_logit))
    metrics = {'accuracy': (jnp.mean(real_logit > 0) + jnp.mean(fake_logit < 0)) / 2}
    if m.r1 and train:

      def penalty():
        slope = jax.grad(lambda x: discriminate(params, x, x_t, t).sum())(x_s)
        return m.r1 / 2 * jnp.mean(jnp.sum(slope**2, (1, 2, 3)))

      due = step % m.r1_every == 0
      # XLA:CPU runs convolution gradients in a branch ten times slower than everywhere else
      r1 = jax.lax.platform_dependent(
        cpu=lambda: jnp.where(due, penalty(), 0),
        default=lambda: jax.lax.cond(due, penalty, lambda: jnp.float32(0)),
      )
      loss += r1
      metrics['r1'] = jnp.where(due, r1, jnp.nan)  # its mean is over the steps that have it
    return loss, metrics

  def generator(params, key, batch, step, train):
    del step
    _, x_t, fake, x_0, t = pairs(params, key, batch, train)
    loss = jnp.mean(jax.nn.softplus(-discriminate(params, fake, x_t, t)))
    return loss, collapse(x_0)

  def sample(params, keys, label, frames=0, tick=None):
    del label
    x = noise_like(keys, 0, jnp.zeros((len(keys), *spec.shape)))

    def step(x, _, j):
      noise, latent = keylib.split(keylib.folded(keys, j), 2)
      z = noise_like(latent, 0, jnp.zeros((len(keys), m.latent)))
      x_0 = generate(params, x, jnp.full(len(keys), j - 1), z)
      g_s, g_t = jnp.asarray(gammas)[j - 1], jnp.asarray(gammas)[j]
      return before(x, x_0, g_s, g_t, noise_like(noise, 0, x)), x_0

    guesses = s.frames == 'guess'
    x, trace = walk(step, x, m.steps, frames, tick, jnp.zeros_like(x), CHOICE[guesses])
    image = gaussian.to_levels(x, spec.levels)
    return (image, gaussian.to_levels(trace, 256)) if frames else image

  losses = {'discriminator': discriminator, 'generator': generator}
  return Model(init, losses, sample, None, nfe=m.steps)
