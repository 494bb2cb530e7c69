"""Cold diffusion (Bansal et al. 2022; Cambridge M2 report) as a trilemma.model.Model.

The net restores an image from its degraded form and how far it was degraded, t = s / T in (0, 1].
"""

import jax
import jax.numpy as jnp
import numpy as np

from cold.degrade import DEGRADATIONS
from trilemma import gaussian
from trilemma import keys as keylib
from trilemma.data import view
from trilemma.exits import UserError, choose
from trilemma.model import Model
from trilemma.nets import make_net
from trilemma.samplers import CHOICE, FRAMES, noise_like, walk

LOSSES = {'l1': jnp.abs, 'mse': jnp.square}
ALGORITHMS = ('improved', 'naive')
STARTS = ('real', 'gaussian', 'gmm')
BANK = 4096  # codes of real images that are kept


def make(config, spec):
  """The Model; `spec` is trilemma.data.Spec. Raises UserError for settings that cannot work."""
  m, s = config.model, config.sample
  error = choose('config.model.loss', m.loss, LOSSES)
  choose('config.sample.sampler', s.sampler, dict.fromkeys(ALGORITHMS))
  choose('config.sample.start', s.start, dict.fromkeys(STARTS))
  choose('config.sample.frames', s.frames, dict.fromkeys(FRAMES))
  if m.components < 1:
    raise UserError(f'config.model.components={m.components} must be at least 1')
  if s.start_noise < 0:
    raise UserError(f'config.sample.start_noise={s.start_noise} must be at least 0')
  degradation = choose('config.model.degradation', m.degradation, DEGRADATIONS)(spec.shape, m)
  steps = degradation.steps
  net = make_net(config.net, spec.shape, spec.shape[-1], num_classes=0)
  size = jax.eval_shape(degradation.code, jnp.zeros((1, *spec.shape))).shape[1]

  def mixture(n):
    return {
      'weights': jnp.full(n, 1 / n), 'means': jnp.zeros((n, size)),
      'scales': jnp.zeros((n, size, size)),
    }  # fmt: skip

  def init(key):
    z, t, label = jnp.zeros((1, *spec.shape)), jnp.zeros(1), jnp.zeros(1, jnp.int32)
    return {
      'net': net.init(key, z, t, label, False)['params'],
      'start': {
        'real': jnp.zeros((BANK, size)), 'gaussian': mixture(1), 'gmm': mixture(m.components),
      },
    }  # fmt: skip

  def prepare(params, image):
    """What is left of training images u8[N,...] at the end: some, and mixtures fitted to all."""
    from sklearn.mixture import GaussianMixture

    image = np.asarray(image)
    keys = jax.random.split(keylib.stream(0, 'start'), len(image))
    as_seen = [
      np.asarray(view(spec, config.data, keys[i : i + 1000], image[i : i + 1000], False))
      for i in range(0, len(image), 1000)
    ]
    code = np.concatenate([
      np.asarray(degradation.code(gaussian.to_model_scale(part, spec.levels))) for part in as_seen
    ])  # fmt: skip

    if len(code) < max(2, m.components):
      raise UserError(f'config.model.components={m.components}: there are {len(code)} images')

    def fitted(n):
      found = GaussianMixture(n, random_state=0, reg_covar=1e-5).fit(np.float64(code))
      scales = np.linalg.cholesky(found.covariances_)
      return {'weights': found.weights_, 'means': found.means_, 'scales': scales}

    bank = code[np.random.default_rng(0).permutation(len(code))[np.arange(BANK) % len(code)]]
    start = {'real': bank, 'gaussian': fitted(1), 'gmm': fitted(m.components)}
    return {**params, 'start': jax.tree.map(jnp.float32, start)}

  def restore(params, x, s, dropout=None):
    """x_hat f32[B,H,W,C] of x degraded s i32[B] or i32[] times."""
    t = jnp.broadcast_to(s / steps, len(x)).astype(jnp.float32)
    rngs = None if dropout is None else {'dropout': dropout}
    label = jnp.zeros(len(x), jnp.int32)
    return net.apply({'params': params['net']}, x, t, label, dropout is not None, rngs=rngs)

  def loss(params, key, batch, step, train):
    del step
    dropout, key = jax.random.split(key)
    dropout = keylib.of_dropout(dropout, batch['index'])
    keys = keylib.of_examples(key, batch['index'])
    x = gaussian.to_model_scale(view(spec, config.data, keys, batch['image'], train), spec.levels)
    (drawn,) = keylib.split(keys, 1)
    s = jax.vmap(lambda k: jax.random.randint(k, (), 1, steps + 1))(drawn)
    x_hat = restore(params, degradation.apply(x, s), s, dropout if train else None)
    return jnp.mean(error(x_hat - x)), {}

  def begin(params, keys):
    """Codes f32[N,K] of what sampling starts from."""
    start = params['start'][s.start]

    def one(key):
      which, noise = jax.random.split(key)
      if s.start == 'real':
        return start[jax.random.randint(which, (), 0, BANK)]
      component = jax.random.categorical(which, jnp.log(start['weights']))
      eps = jax.random.normal(noise, (size,))
      return start['means'][component] + start['scales'][component] @ eps

    return jax.vmap(one)(keylib.folded(keys, 0))

  def sample(params, keys, label, frames=0, tick=None):
    del label
    x = degradation.expand(begin(params, keys))
    # without it an image that is constant in a direction would stay so: Bansal et al., appendix
    x += s.start_noise * noise_like(keys, 1, x)

    def step(x, _, j):
      x_hat = restore(params, x, j)
      less, more = degradation.apply(x_hat, j - 1), degradation.apply(x_hat, j)
      return (less if s.sampler == 'naive' else x - more + less), x_hat

    x, trace = walk(
      step, x, steps, frames, tick, jnp.zeros_like(x), CHOICE[s.frames == 'guess']
    )  # fmt: skip
    image = gaussian.to_levels(x, spec.levels)
    return (image, gaussian.to_levels(trace, 256)) if frames else image

  return Model(init, {'net': loss}, sample, None, nfe=steps, prepare=prepare)
