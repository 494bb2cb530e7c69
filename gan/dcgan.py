"""DCGAN (Radford et al. 2016) as a trilemma.model.Model of two players.

With the cats report's additions: smoothed labels, noise on what the discriminator sees, classes as
planes.
"""

import jax
import jax.numpy as jnp
import optax

from gan.nets import DCDiscriminator, DCGenerator, sides
from gan.watch import collapse, refuse_pmap
from trilemma import gaussian
from trilemma import keys as keylib
from trilemma.data import view
from trilemma.exits import UserError, choose
from trilemma.model import Model
from trilemma.samplers import noise_like


def check(config, spec):
  """Raises UserError for settings that contradict each other or the data."""
  m = config.model
  refuse_pmap(config)
  if spec.shape[0] != spec.shape[1] or len(sides(spec.shape[0])) < 2:
    raise UserError(f'a DCGAN needs square images of an even side above 4, not {spec.shape[:2]}')
  for name in ('real_label', 'fake_label', 'generator_label'):
    if not 0 <= m[name] <= 1:
      raise UserError(f'config.model.{name}={m[name]} is no probability')
  for name in ('noise', 'noise_steps'):
    if m[name] < 0:
      raise UserError(f'config.model.{name}={m[name]} must be at least 0')
  if m.latent < 1 or config.net.features < 1:
    raise UserError('config.model.latent and config.net.features must be at least 1')
  choose('config.net.name', config.net.name, {'dcgan_nets': 0})
  if m.noise and not m.noise_steps:
    raise UserError('config.model.noise needs --config.model.noise_steps, over which it fades')
  if m.conditional and len(spec.classes) < 2:
    raise UserError(f'config.model.conditional=True needs classes: {spec.name} has '
                    f'{len(spec.classes)} here')  # fmt: skip


def cross_entropy(logits, target):
  """-target log p - (1 - target) log(1 - p), the mean over f32[B]."""
  return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, target)))


def make(config, spec):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work."""
  m = config.model
  check(config, spec)
  classes = len(spec.classes) if m.conditional else 0
  nets = {
    'generator': DCGenerator(spec.shape, config.net.features, classes),
    'discriminator': DCDiscriminator(config.net.features, classes),
  }

  def init(key):
    label = jnp.zeros(2, jnp.int32)
    inputs = {'generator': jnp.zeros((2, m.latent)), 'discriminator': jnp.zeros((2, *spec.shape))}
    made = {
      name: net.init(k, inputs[name], label, True)
      for (name, net), k in zip(nets.items(), jax.random.split(key), strict=True)
    }
    stats = {name: v['batch_stats'] for name, v in made.items() if 'batch_stats' in v}
    return {**{name: v['params'] for name, v in made.items()}, 'stats': stats}

  def apply(params, stats, name, x, label, train):
    """(output, running statistics of batch normalisation after it)."""
    variables = {'params': params[name], 'batch_stats': stats.get(name, {})}
    if not train:
      return nets[name].apply(variables, x, label, False), stats
    out, new = nets[name].apply(variables, x, label, True, mutable=['batch_stats'])
    return out, {**stats, name: new['batch_stats']} if name in stats else stats

  def notes(stats, name):
    """What `remember` averages over devices: statistics with an axis for them."""
    return {name: jax.tree.map(lambda x: x[None], stats[name])} if name in stats else {}

  def remember(params, notes):
    new = jax.tree.map(lambda x: x.mean(0), notes)
    return {**params, 'stats': {**params['stats'], **new}}

  def inputs(params, key, batch, step, train):
    """(logits(x, stats) -> (f32[B], stats), fakes, stats after them, keys)."""
    keys = keylib.of_examples(key, batch['index'])
    latent, haze = keylib.split(keys, 2)
    z = noise_like(latent, 0, jnp.zeros((len(keys), m.latent)))
    fake, stats = apply(params, params['stats'], 'generator', z, batch['label'], train)
    fade = m.noise * jnp.maximum(0.0, 1 - step / max(1, m.noise_steps)) if train else 0.0

    def logits(x, stats, n):
      x = x + fade * noise_like(haze, n, x) if m.noise else x
      return apply(params, stats, 'discriminator', x, batch['label'], train)

    return logits, fake, stats, keys

  def discriminator(params, key, batch, step, train):
    logits, fake, _, keys = inputs(params, key, batch, step, train)
    image = view(spec, config.data, keys, batch['image'], train)
    # real and fake are batches of their own: their statistics differ
    real, stats = logits(gaussian.to_model_scale(image, spec.levels), params['stats'], 0)
    made, stats = logits(fake, stats, 1)
    loss = cross_entropy(real, m.real_label) + cross_entropy(made, m.fake_label)
    metrics = {'accuracy': (jnp.mean(real > 0) + jnp.mean(made < 0)) / 2}
    return loss, {**metrics, **({'notes': notes(stats, 'discriminator')} if train else {})}

  def generator(params, key, batch, step, train):
    logits, fake, stats, _ = inputs(params, key, batch, step, train)
    made, _ = logits(fake, stats, 0)
    metrics = collapse(fake)
    return cross_entropy(made, m.generator_label), {
      **metrics, **({'notes': notes(stats, 'generator')} if train else {}),
    }  # fmt: skip

  def sample(params, keys, label, frames=0, tick=None):
    del tick
    z = noise_like(keys, 0, jnp.zeros((len(keys), m.latent)))
    x, _ = apply(params, params['stats'], 'generator', z, label, False)
    image = gaussian.to_levels(x, spec.levels)
    return (image, gaussian.to_levels(x, 256)[None]) if frames else image

  losses = {'discriminator': discriminator, 'generator': generator}
  return Model(init, losses, sample, None, nfe=1, remember=remember)
