"""What a VDM diffuses: levels and latent vectors, there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vdm_oracles import LO

from trilemma.data import Spec
from vdm import encdec


def test_reconstruction_term():
  """At gamma_0 = -13.3: 0.0104532 bits for an interior level, 0.0052266 at the ends."""
  spec = Spec('grey', (1, 1, 1), 256, 256, ())
  coder = encdec.pixels(spec)
  g_0 = jnp.float32(LO)
  eps = np.linspace(-8, 8, 20_001)  # the expectation as an integral
  weight = jax.scipy.stats.norm.pdf(eps) * (eps[1] - eps[0])
  for level, bits in ((100, 0.0104532), (255, 0.0052266)):
    image = jnp.full((len(eps), 1, 1, 1), level, jnp.uint8)
    u = coder.encode({}, image) + jnp.exp(g_0 / 2) * eps.reshape(-1, 1, 1, 1)
    found = -jax.jit(coder.log_prob)({}, image, u, g_0)
    assert float((weight * found).sum()) / np.log(2) == pytest.approx(bits, rel=2e-3)


@pytest.mark.parametrize('levels', [2, 17, 256])
@pytest.mark.parametrize('kind', ['pixels', 'latent'])
def test_levels_of_a_pixel_are_a_distribution_whose_likeliest_is_decoded(levels, kind):
  spec, g_0, n = Spec('x', (1, 1, 1), levels, levels, ()), jnp.float32(-3.0), 5
  coder = encdec.pixels(spec) if kind == 'pixels' else encdec.latent(spec, 3, 8, 1)
  params = coder.init(jax.random.key(0))
  u = jax.random.uniform(jax.random.key(1), (n, *coder.shape), minval=-1.1, maxval=1.1)
  image = jnp.repeat(jnp.arange(levels, dtype=jnp.uint8), n).reshape(-1, 1, 1, 1)
  every = jnp.tile(u, (levels, 1, 1, 1))
  log_p = jax.jit(coder.log_prob)(params, image, every, g_0).reshape(levels, n)
  np.testing.assert_allclose(jax.nn.logsumexp(log_p, 0), 0, atol=1e-4)
  decoded = coder.decode(params, u)
  assert decoded.dtype == jnp.uint8
  if kind == 'pixels' or levels == 2:  # a wide normal's end bins may outdo its mean's
    np.testing.assert_array_equal(decoded.ravel(), log_p.argmax(0))


def test_pixels_are_independent_and_channels_have_their_own_scale():
  """Three channels with their own center and spread: log p adds up over single ones."""
  spec = Spec('x', (2, 1, 3), 256, 256, ())
  center, spread = (100.0, 120.0, 140.0), (50.0, 60.0, 70.0)
  coder, g_0 = encdec.pixels(spec, center, spread), jnp.float32(-6.0)
  image = jax.random.randint(jax.random.key(0), (4, 2, 1, 3), 0, 256).astype(jnp.uint8)
  f = coder.encode({}, image)
  np.testing.assert_allclose(f, (image - np.array(center)) / np.array(spread), rtol=1e-6)
  u = f + jnp.exp(g_0 / 2) * jax.random.normal(jax.random.key(1), f.shape)
  total = 0.0
  for c in range(3):
    one = encdec.pixels(Spec('x', (1, 1, 1), 256, 256, ()), center[c : c + 1], spread[c : c + 1])
    for row in range(2):
      at = (slice(None), slice(row, row + 1), slice(None), slice(c, c + 1))
      total += one.log_prob({}, image[at], u[at], g_0)
  np.testing.assert_allclose(coder.log_prob({}, image, u, g_0), total, rtol=1e-4)
  np.testing.assert_array_equal(coder.decode({}, f), image)


@pytest.mark.parametrize('coder', ['pixels', 'latent'])
def test_targets_that_are_not_whole_numbers_are_refused(coder):
  spec = Spec('x', (4, 4, 1), 2, 256, ())
  coder = encdec.pixels(spec) if coder == 'pixels' else encdec.latent(spec, 3, 8, 1)
  params = coder.init(jax.random.key(0))
  image = jnp.ones((2, 4, 4, 1), jnp.uint8)
  u = coder.encode(params, image)
  assert coder.log_prob(params, image, u, jnp.float32(-3.0)).shape == (2,)
  with pytest.raises(TypeError, match='whole numbers, not float32'):
    coder.log_prob(params, image.astype(jnp.float32), u, jnp.float32(-3.0))
