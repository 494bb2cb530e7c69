"""VDMs whose net is exact for data that are known, for the tests of their bound and samplers."""

import jax
import jax.numpy as jnp

import vdm.model
from configs import base
from trilemma import data as data_lib
from trilemma import gaussian
from trilemma.data import known_spec
from vdm import encdec

LO, HI = -13.3, 5.0


def tiny(**model):
  """A VDM on digits with a net that compiles in a second."""
  config = base.vdm()
  config.data.name = 'digits'
  config.net = base.cnn()
  config.net.update({'widths': (4,), 'kernel': 3})
  config.model.update({'gamma_min': -8.8, **model})
  config.optim.net.warmup = 0
  config.train.update({'steps': 4, 'batch_size': 8, 'log_every': 2, 'save_every': 2})
  config.sample.update({'n': 8, 'steps': 8, 'few': 4})
  return config


class Oracle:
  """Stands in for the net: eps_hat(z, g), told gamma from the time that the model passes."""

  def __init__(self, eps_hat, lo, hi):
    self.eps_hat, self.lo, self.hi = eps_hat, lo, hi

  def init(self, *args):
    return {'params': {}}

  def apply(self, variables, z, t, label, train, rngs=None):
    return self.eps_hat(z, self.lo + (self.hi - self.lo) * t)


def with_oracle(monkeypatch, config, eps_hat, spec=None):
  m = config.model
  oracle = Oracle(eps_hat, m.gamma_min, m.gamma_max)
  monkeypatch.setattr(vdm.model, 'make_net', lambda *a, **k: oracle)
  return vdm.model.make(config, spec or known_spec(config.data))


def unit_gaussian(n, d=4):
  """An EncDec whose f is N(0, I) whatever the image: data of a known continuous entropy."""
  f = jax.random.normal(jax.random.key(77), (n, 1, 1, d))
  zero = lambda params, image, u, g_0: jnp.zeros(len(image))
  return encdec.EncDec((1, 1, d), lambda k: {}, lambda p, image: f, None, zero)


def swirl():
  config = base.vdm()
  config.data.name = 'swirl'
  config.net = base.mlp()
  config.model.update({
    'gamma': 'fixed_linear', 'center': (115.567, 135.311), 'spread': (47.216, 41.607),
  })  # fmt: skip
  config.sample.update({'steps': 50, 'few': 10})
  return config


def swirl_oracle(monkeypatch, config):
  """The exact E[x | z] over the 1,024 points, as the net's eps."""
  image = jnp.asarray(data_lib.load(config.data, 'train').image)
  f = encdec.pixels(known_spec(config.data), **{
    k: tuple(config.model[k]) for k in ('center', 'spread')
  }).encode({}, image).reshape(-1, 2)  # fmt: skip

  def eps_hat(z, g):
    a, s = gaussian.alpha(g)[:, None], gaussian.sigma(g)[:, None]
    flat = z.reshape(-1, 2)
    square = (((flat[:, None] - a[:, None] * f) / s[:, None]) ** 2).sum(-1)
    x = jax.nn.softmax(-0.5 * square) @ f
    return ((flat - a * x) / s).reshape(z.shape)

  return image, f, with_oracle(monkeypatch, config, eps_hat)
