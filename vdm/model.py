"""The variational diffusion model (Kingma et al. 2021) as a trilemma.model.Model.

t in [0, 1], 1 is noise. The net sees (gamma - gamma_min) / (gamma_max - gamma_min), so that the
bound depends on a learned schedule through its gammas alone.
"""

import math

import jax
import jax.numpy as jnp

from trilemma import gaussian, guidance
from trilemma import keys as keylib
from trilemma.data import reoriented, view
from trilemma.exits import choose
from trilemma.model import Bits, Model
from trilemma.nets import make_net
from trilemma.samplers import SAMPLERS, noise_like
from vdm import encdec, shortcut
from vdm.check import check
from vdm.gamma import GAMMAS

BITS_PARTS = 10  # times per example in a measured bound, spread evenly


def per_image(x):
  """f32[B,...] summed to f32[B]."""
  return x.reshape(len(x), -1).sum(-1)


def make(config, spec):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work."""
  m, s = config.model, config.sample
  check(config, spec)
  gamma = choose('config.model.gamma', m.gamma, GAMMAS)(m.gamma_min, m.gamma_max)
  coder = encdec.latent(spec, m.latent) if m.latent else encdec.pixels(spec, m.center, m.spread)
  classes = len(spec.classes) if m.conditional else 0
  net = make_net(config.net, coder.shape, coder.shape[-1], num_classes=classes)
  to_bits = 1 / (math.prod(spec.shape) * math.log(2))

  def init(key):
    k_net, k_gamma, k_coder = jax.random.split(key, 3)
    z, t, label = jnp.zeros((1, *coder.shape)), jnp.zeros(1), jnp.zeros(1, jnp.int32)
    return {'net': {
      'net': net.init(k_net, z, t, label, False)['params'],
      'gamma': gamma.init(k_gamma),
      'encdec': coder.init(k_coder),
    }}  # fmt: skip

  def eps_hat(p, z, g, label, dropout=None, extra=None):
    """The net's noise at gamma g (scalar or [B]); dropout is a key in training."""
    t = jnp.broadcast_to((g - m.gamma_min) / (m.gamma_max - m.gamma_min), z.shape[:1])
    rngs = None if dropout is None else {'dropout': dropout}
    more = {} if extra is None else {'extra': extra}
    return net.apply({'params': p['net']}, z, t, label, dropout is not None, rngs=rngs, **more)

  def schedule(p, t):
    """(gamma_t [B], weight [B]): gamma'(t), or T expm1(gamma_t - gamma_s) with T steps."""
    if m.steps == 0:
      return jax.jvp(lambda t: gamma.value(p, t), (t,), (jnp.ones_like(t),))
    t = jnp.maximum(jnp.ceil(t * m.steps), 1) / m.steps
    return gamma.value(p, t), m.steps * jnp.expm1(gamma.fall(p, t, m.steps))

  def frozen(p):
    return {**p, 'interior': jax.lax.stop_gradient(p['interior'])}

  def diffusion(p, f, t, eps, label, scale=1.0, **net_inputs):
    """The diffusion loss of each example in nats, f32[B]: Kingma et al. 2021, equations 14 and 17.

    scale f32[B] multiplies the gradient, not the value, through the interior of gamma.
    """
    loose = {**p['gamma'], 'ends': jax.lax.stop_gradient(p['gamma']['ends'])}
    ends, moved = schedule(frozen(p['gamma']), t), schedule(loose, t)
    g, weight = (
      a + scale * (b - jax.lax.stop_gradient(b)) for a, b in zip(ends, moved, strict=True)
    )
    z = gaussian.diffuse(f, g, eps)
    return 0.5 * weight * per_image((eps - eps_hat(p, z, g, label, **net_inputs)) ** 2)

  def terms(p, keys, image, label, t, train=False, **net_inputs):
    """Reconstruction, prior and diffusion in nats, f32[B] each; t f32[B]."""
    f = coder.encode(p['encdec'], image)
    ends = frozen(p['gamma'])  # the interior does not move them, but for rounding
    g_0, g_1 = (gamma.value(ends, jnp.float32(end)) for end in (0.0, 1.0))
    # 1. p(image | z_0), from z_0 / alpha_0
    u = f + jnp.exp(g_0 / 2) * noise_like(keys, 0, f)
    reconstruction = -coder.log_prob(p['encdec'], image, u, g_0)
    # 2. KL(q(z_1 | image) || N(0, I))
    log_variance = jnp.broadcast_to(jax.nn.log_sigmoid(g_1), f.shape)
    prior = per_image(gaussian.kl(gaussian.alpha(g_1) * f, log_variance, 0.0, 0.0))
    # 3. the diffusion between
    eps = noise_like(keys, 1, f)
    scale = {'none': 0.0, 'vlb': 1.0, 'variance': 1.0}[m.gamma_objective]
    if m.gamma_objective == 'variance' and train:
      # the interior minimises E[L^2] / 2, of gradient L dL, L in bits/dim: one more forward pass
      value = jax.lax.stop_gradient(diffusion(p, f, t, eps, label, **net_inputs))
      scale = value * to_bits
    return reconstruction, prior, diffusion(p, f, t, eps, label, scale, **net_inputs)

  def fidelity(p, keys, image, label, **net_inputs):
    """|f - x_hat|^2 f32[B] at the end of a shortcut chain that starts at z_1 made of f.

    It trains the net alone: the bound's schedule, and its code, would only shrink the error.
    """
    f = coder.encode(jax.lax.stop_gradient(p['encdec']), image)
    eps = noise_like(keys, 0, f)
    times = shortcut.draw_times(keys, m.fidelity_few, m.fidelity_steps) / m.fidelity_steps
    gammas = gamma.value(jax.lax.stop_gradient(p['gamma']), times)
    denoise = lambda z, g: gaussian.x_from_eps(z, g, eps_hat(p, z, g, label, **net_inputs))
    z_1 = gaussian.diffuse(f, gammas[0], eps)
    _, x_hat = shortcut.chain(denoise, gammas, z_1, eps, keys, 'fixed', frames=1, guesses=True)
    return per_image((x_hat[0] - f) ** 2)

  def loss(params, key, batch, step, train):
    dropout, u, key = jax.random.split(key, 3)
    dropout = keylib.of_dropout(dropout, batch['index'])
    keys = keylib.of_examples(key, batch['index'])
    image, label = view(spec, config.data, keys, batch['image'], train), batch['label']
    noise, orient, lose, walk = keylib.split(keys, 4)
    net_inputs = {'dropout': dropout} if train else {}
    if m.augment and train:
      image, net_inputs['extra'] = reoriented(orient, image)
    if train and m.label_drop:
      label = guidance.drop(lose, label, m.label_drop, classes)
    t = keylib.even_times(u, batch['index'], config.train.batch_size)
    parts = terms(params['net'], noise, image, label, t, train, **net_inputs)
    bits = [jnp.mean(part) * to_bits for part in parts]
    metrics = dict(zip(('reconstruction', 'prior', 'diffusion'), bits, strict=True))
    total = sum(bits)
    metrics['bits_per_dim'] = total
    if m.fidelity_every:
      end = lambda: jnp.mean(fidelity(params['net'], walk, image, label, **net_inputs))
      if train:  # these steps are the fidelity's alone, as in the original
        turn = step % m.fidelity_every == m.fidelity_every - 1
        metrics['fidelity'] = jax.lax.cond(turn, end, lambda: jnp.float32(jnp.nan))
        total = jnp.where(turn, metrics['fidelity'], total)
      else:
        metrics['fidelity'] = end()
    return total, metrics

  def sample(params, keys, label, frames=0, tick=None):
    p = params['net']
    z = noise_like(keys, 0, jnp.zeros((len(keys), *coder.shape)))

    def x_hat(z, g):
      g = jnp.broadcast_to(g, len(z))
      output = lambda z, label: eps_hat(p, z, jnp.repeat(g, len(z) // len(g)), label)
      eps = guidance.guided(output, z, label, classes, s.guidance, z.shape[-1])
      return gaussian.x_from_eps(z, g, eps)

    guesses = s.frames == 'guess'
    if s.sampler == 'shortcut':
      times = shortcut.draw_times(keys, s.few, s.steps) / s.steps
      gammas = gamma.value(p['gamma'], times)
      z_0, trace = shortcut.chain(x_hat, gammas, z, z, keys, s.noise, frames, guesses, tick)
    else:
      gammas = gamma.value(p['gamma'], jnp.arange(s.steps + 1) / s.steps)
      denoise = lambda z, j: (x_hat(z, gammas[j]), None)
      z_0, trace = SAMPLERS[s.sampler](
        denoise, gammas, z, keys, eta=s.eta, frames=frames, guesses=guesses, tick=tick
      )  # fmt: skip
    decode = lambda z: coder.decode(p['encdec'], z)
    image = decode(z_0 / gaussian.alpha(gamma.value(p['gamma'], jnp.zeros(()))))
    display = lambda z: jnp.round(decode(z) * (255 / (spec.levels - 1))).astype(jnp.uint8)
    return (image, jax.lax.map(display, trace)) if frames else image

  def bits(params, key, batch, part):
    """The terms with one time per example of BITS_PARTS evenly spread ones."""
    seen, keys = (keylib.of_examples(k, batch['index']) for k in jax.random.split(key))
    image = view(spec, config.data, seen, batch['image'], False)
    noise, t = keylib.folded(keys, part), keylib.spread_times(keys, part, BITS_PARTS)
    found = terms(params['net'], noise, image, batch['label'], t)
    names = ('reconstruction', 'prior', 'diffusion')
    return {n: v * to_bits / BITS_PARTS for n, v in zip(names, found, strict=True)}

  nfe = guidance.calls(s.guidance) * (s.few if s.sampler == 'shortcut' else s.steps)
  return Model(init, {'net': loss}, sample, Bits(BITS_PARTS, bits), nfe)
