"""VDM's bound against closed forms, what trains its schedule, and its samplers with oracles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny as tiny_ddpm
from helpers import batch_of, refuses
from test_bfn import tiny as bfn_tiny
from vdm_oracles import HI, LO, swirl, swirl_oracle, tiny, unit_gaussian, with_oracle

from configs import base
from trilemma import data as data_lib
from trilemma import families, gaussian, parallel
from trilemma.data import Spec, known_spec
from trilemma.exits import UserError
from trilemma.nets import make_net
from trilemma.step import init_state, make_tx, train_step
from vdm import encdec
from vdm.gamma import GAMMAS


@pytest.mark.parametrize(('steps', 'nats'), [
  (0, 6.646643163), (1, 296599.333), (2, 4665.1742), (10, 17.7078519), (100, 7.2437929),
])  # fmt: skip
def test_diffusion_loss_of_unit_gaussian_data(monkeypatch, steps, nats):
  """With eps_hat = sigma z, E(eps - eps_hat)^2 = alpha_t^2: L = (1/2) ln(sigma_1^2 / sigma_0^2)."""
  n, d = 4096, 4
  config = tiny(gamma='fixed_linear', gamma_min=LO, gamma_max=HI, steps=steps)
  config.train.batch_size = n
  monkeypatch.setattr(encdec, 'pixels', lambda *a: unit_gaussian(n, d))
  oracle = lambda z, g: gaussian.per_example(gaussian.sigma(g), z) * z
  spec = Spec('points', (1, 1, d), 256, 256, ())
  model = with_oracle(monkeypatch, config, oracle, spec)
  image = jnp.zeros((n, 1, 1, d), jnp.uint8)
  loss = jax.jit(model.losses['net'], static_argnums=4)
  params = model.init(jax.random.key(0))
  found = [
    loss(params, jax.random.key(k), batch_of(image), 0, True)[1]['diffusion'] for k in range(4)
  ]
  assert np.mean(found) * np.log(2) == pytest.approx(nats, rel=0.02)


@pytest.mark.parametrize('s', [0.3, 1.0, 2.0])
def test_bound_is_the_entropy_with_the_exact_oracle(monkeypatch, s):
  """N(0, s^2) data, x_hat = s^2 alpha z / (s^2 alpha^2 + sigma^2), exact continuous decoder."""
  n, d = 4096, 4
  lo, hi = -6.0, 6.0
  config = tiny(gamma='fixed_linear', gamma_min=lo, gamma_max=hi)
  config.train.batch_size = n
  f = jax.random.normal(jax.random.key(77), (n, 1, 1, d))
  f *= s / f.std()

  def log_prob(params, image, u, g_0):  # f | u ~ N(s^2 u / v, s^2 sigma^2 / alpha^2 / v)
    noise = jnp.exp(g_0)
    v = s**2 + noise
    return jax.scipy.stats.norm.logpdf(f, s**2 * u / v, jnp.sqrt(s**2 * noise / v)).sum((1, 2, 3))

  coder = encdec.EncDec((1, 1, d), lambda k: {}, lambda p, image: f, None, log_prob)
  monkeypatch.setattr(encdec, 'pixels', lambda *a: coder)

  def eps_hat(z, g):
    g = gaussian.per_example(g, z)
    return gaussian.sigma(g) * z / (s**2 * jax.nn.sigmoid(-g) + jax.nn.sigmoid(g))

  spec = Spec('points', (1, 1, d), 256, 256, ())
  model = with_oracle(monkeypatch, config, eps_hat, spec)
  params = model.init(jax.random.key(0))
  terms = jax.jit(model.bits.terms)
  batch = batch_of(jnp.zeros((n, 1, 1, d), jnp.uint8))
  parts = [terms(params, jax.random.key(r), batch, k) for r in range(4) for k in range(10)]
  nats = sum(float(v.mean()) for part in parts for v in part.values()) * np.log(2) / 4
  a, sig = jax.nn.sigmoid(-hi), jax.nn.sigmoid(hi)
  to_prior = 0.5 * (a * s**2 + sig - 1 - np.log(a * s**2 + sig))  # KL(q(z_1) || N(0, 1))
  entropy = 0.5 * np.log(2 * np.pi * np.e * s**2)
  assert nats == pytest.approx(entropy + float(to_prior), abs=0.02)


def test_prior_term(monkeypatch):
  config = tiny(gamma='fixed_linear', gamma_min=LO, gamma_max=HI)
  spec = Spec('grey', (1, 1, 1), 256, 256, ())
  model = with_oracle(monkeypatch, config, lambda z, g: z, spec)
  params = model.init(jax.random.key(0))
  batch = batch_of(jnp.full((1, 1, 1, 1), 255, jnp.uint8))
  parts = [model.bits.terms(params, jax.random.key(1), batch, k) for k in range(10)]
  found = sum(float(part['prior'][0]) for part in parts) * np.log(2)
  assert found == pytest.approx(3.33158e-3, rel=1e-4)


def bend(params):
  """A learned_net far from a line."""
  return {**params, 'interior': {**params['interior'], 'w2': 8 * params['interior']['w2'],
                                 'b2': params['interior']['b2'] - 4}}  # fmt: skip


def test_loss_and_gradient_do_not_depend_on_the_schedule_between_its_ends():
  """A frozen net fed gamma: the continuous bound is an integral over gamma."""
  config = tiny()
  config.train.batch_size = 2048
  spec = known_spec(config.data)
  image = data_lib.load(config.data, 'train').image[:1].repeat(2048, 0)
  results = []
  for name in ('fixed_linear', 'learned_net'):
    config.model.gamma = name
    model = families.make(config, spec)
    params = model.init(jax.random.key(0))['net']
    params['net'] = jax.tree.map(
      lambda p: p + 0.05 * jax.random.normal(jax.random.key(5), p.shape), params['net']
    )
    if name == 'learned_net':
      params['gamma'] = bend(params['gamma'])
      t = jnp.linspace(0, 1, 5)
      gamma = GAMMAS[name](-8.8, 5.0).value(params['gamma'], t)
      assert jnp.abs(gamma - (-8.8 + 13.8 * t)).max() > 1  # it does differ

    def of_net(net, key, params=params, model=model):
      loss, metrics = model.losses['net'](
        {'net': {**params, 'net': net}}, key, batch_of(image), 0, True
      )
      return loss, metrics

    step = jax.jit(jax.value_and_grad(of_net, has_aux=True))
    found = [step(params['net'], jax.random.key(k)) for k in range(8)]
    values = [float(metrics['diffusion']) for (_, metrics), _ in found]
    gradient = jax.tree.map(lambda *g: np.mean(g, 0), *[g for _, g in found])
    results.append((values, np.concatenate([np.ravel(g) for g in jax.tree.leaves(gradient)])))
  (one, g1), (other, g2) = results
  error = np.hypot(np.std(one), np.std(other)) / np.sqrt(8)
  assert abs(np.mean(one) - np.mean(other)) < 4 * error
  assert np.mean(one) == pytest.approx(np.mean(other), rel=0.02)
  assert np.dot(g1, g2) / np.linalg.norm(g1) / np.linalg.norm(g2) > 0.995
  assert np.linalg.norm(g1) == pytest.approx(np.linalg.norm(g2), rel=0.05)


def trained(config, steps=3):
  """The state after a few steps."""
  spec = known_spec(config.data)
  model = families.make(config, spec)
  tx = {'net': make_tx(config.optim.net, 10)}
  state = init_state(model, tx, jax.random.key(0))
  image = data_lib.load(config.data, 'train').image[: config.train.batch_size]
  step = jax.jit(lambda s, k: train_step(model, tx, 0.9, s, k, batch_of(jnp.asarray(image))))
  before = state
  for k in range(steps):
    state, metrics = step(state, jax.random.key(k))
  return before.params['net']['gamma'], state.params['net']['gamma'], metrics


@pytest.mark.parametrize('objective', ['none', 'vlb', 'variance'])
def test_which_objective_moves_what(objective):
  config = tiny(gamma='learned_net', gamma_objective=objective)
  config.optim.net.weight_decay = 0.0
  config.optim.net.learning_rate = 1e-2
  before, after, _ = trained(config)
  moved = lambda part: max(
    float(jnp.abs(a - b).max())
    for a, b in zip(jax.tree.leaves(before[part]), jax.tree.leaves(after[part]), strict=True)
  )
  assert moved('ends') > 1e-3
  assert (moved('interior') > 1e-3) == (objective != 'none')
  values = GAMMAS['learned_net'](0, 1).value(after, jnp.linspace(0, 1, 200))
  assert (jnp.diff(values) > 0).all()
  ends = after['ends']
  np.testing.assert_allclose(values[0], ends['start'], rtol=1e-6)
  np.testing.assert_allclose(values[-1], ends['start'] + ends['rise'], rtol=1e-5)


def test_the_variance_objective_lowers_the_estimators_variance(monkeypatch):
  """eps_hat = 0.7 sigma z on N(0, 1) data, learned gamma: the spread of L over times falls.

  Its mean does not: that depends on the ends alone.
  """
  n, d = 1024, 8
  config = tiny(gamma='learned_net', gamma_objective='variance')
  config.train.batch_size = n
  config.optim.net.update({'learning_rate': 0.03, 'weight_decay': 0.0})
  monkeypatch.setattr(encdec, 'pixels', lambda *a: unit_gaussian(n, d))
  spec = Spec('points', (1, 1, d), 256, 256, ())
  oracle = lambda z, g: 0.7 * gaussian.per_example(gaussian.sigma(g), z) * z
  model = with_oracle(monkeypatch, config, oracle, spec)
  batch = batch_of(jnp.zeros((n, 1, 1, d), jnp.uint8))

  # the ends stay: only the interior's gradient is applied
  def interior_loss(interior, params, key):
    p = {'net': {**params['net'], 'gamma': {**params['net']['gamma'], 'interior': interior}}}
    return model.losses['net'](p, key, batch, 0, True)[0]

  params = model.init(jax.random.key(0))
  terms = jax.jit(model.bits.terms)

  def measured(params):
    draws = [terms(params, jax.random.key(k), batch, 0)['diffusion'] for k in range(4)]
    return float(np.mean(draws)), float(np.var(draws))

  mean_before, before = measured(params)
  tx = make_tx(config.optim.net, 100)
  opt = tx.init(params['net']['gamma']['interior'])

  @jax.jit
  def step(params, opt, key):
    interior = params['net']['gamma']['interior']
    updates, opt = tx.update(jax.grad(interior_loss)(interior, params, key), opt, interior)
    moved = jax.tree.map(lambda p, u: p + u, interior, updates)
    gamma = {**params['net']['gamma'], 'interior': moved}
    return {'net': {**params['net'], 'gamma': gamma}}, opt

  for k in range(60):
    params, opt = step(params, opt, jax.random.key(100 + k))
  mean_after, after = measured(params)
  assert after < 0.8 * before
  assert mean_after == pytest.approx(mean_before, rel=0.05)


def test_times_of_a_batch_are_evenly_spaced_from_a_uniform_start(monkeypatch):
  n, seen = 128, []
  config = tiny(gamma='fixed_linear', gamma_min=LO, gamma_max=HI)
  config.train.batch_size = n
  model = with_oracle(monkeypatch, config, lambda z, g: seen.append(g) or z)
  image = jnp.zeros((n, 8, 8, 1), jnp.uint8)
  params = model.init(jax.random.key(0))
  for k in range(30):
    model.losses['net'](params, jax.random.key(k), batch_of(image), 0, False)
  t = np.sort((np.stack(seen) - LO) / (HI - LO), -1)
  np.testing.assert_allclose(np.diff(t, axis=-1), 1 / n, atol=1e-4)
  assert abs(t[:, 0] * n - 0.5).mean() == pytest.approx(0.25, abs=0.1)


def test_swirl_bound_with_the_exact_denoiser_is_the_empirical_entropy(monkeypatch):
  config = swirl()
  image, _, model = swirl_oracle(monkeypatch, config)
  _, counts = np.unique(np.asarray(image).reshape(-1, 2), axis=0, return_counts=True)
  p = counts / 1024
  entropy = -(p * np.log2(p)).sum() / 2
  assert entropy == pytest.approx(4.735256, abs=1e-6) and len(counts) == 774
  terms = jax.jit(model.bits.terms)
  params = model.init(jax.random.key(0))
  totals = [
    sum(
      v.mean()
      for k in range(10)
      for v in terms(params, jax.random.key(r), batch_of(image), k).values()
    )
    for r in range(12)
  ]
  # the bound has the prior's 0.0048 on top; 0.028 is the standard error of these 12
  assert np.mean(totals) == pytest.approx(entropy + 0.0048, abs=0.09)


@pytest.mark.parametrize('sampler', ['ancestral', 'ddim', 'dpmpp_2m', 'shortcut'])
def test_samplers_with_the_exact_denoiser_draw_the_swirls_points(monkeypatch, sampler):
  config = swirl()
  config.sample.update({'sampler': sampler, 'steps': 100, 'few': 50, 'noise': 'fresh'})
  image, _, model = swirl_oracle(monkeypatch, config)
  keys = jax.random.split(jax.random.key(1), 200)
  drawn = jax.jit(model.sample)(model.init(jax.random.key(0)), keys, jnp.zeros(200, jnp.int32))
  distance = np.abs(
    np.asarray(drawn, int).reshape(-1, 1, 2) - np.asarray(image, int).reshape(1, -1, 2)
  ).max(-1)
  assert (distance.min(1) <= 1).mean() > 0.97
  assert len(np.unique(distance.argmin(1))) > 100  # and not the same few


def test_augmentation_reaches_all_eight_orientations_and_tells_the_net():
  image = jnp.arange(9, dtype=jnp.uint8).reshape(1, 3, 3, 1).repeat(4000, 0)
  keys = jax.random.split(jax.random.key(0), 4000)
  turned, changed = data_lib.reoriented(keys, image)
  kinds = np.unique(np.asarray(turned).reshape(4000, 9), axis=0)
  assert len(kinds) == 8
  same = (np.asarray(turned) == np.asarray(image)).all((1, 2, 3))
  np.testing.assert_array_equal(changed, ~same)
  assert same.mean() == pytest.approx(0.25, abs=0.03)
  config = tiny(augment=True)
  config.net = base.vdm_unet()
  config.net.update({'channels': 8, 'blocks': 1})
  net = make_net(config.net, (8, 8, 1), 1, 0)
  x, t, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.ones(2), jnp.zeros(2)
  variables = jax.jit(lambda k: net.init(k, x, t, label, False))(jax.random.key(1))
  np.testing.assert_array_equal(net.apply(variables, x, t, label, False), x)  # eps_hat = z at first
  noisy = jax.tree.map(
    lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), variables
  )
  told, not_told = (net.apply(noisy, x, t, label, False, extra=jnp.full(2, e)) for e in (1.0, 0.0))
  assert not np.allclose(told, not_told)


@pytest.mark.parametrize(('key', 'value', 'message'), [
  ('model.gamma', 'cosine', 'fixed_linear, learned_linear, learned_net'),
  ('model.gamma_objective', 'variance', 'use none for learned_linear'),
  ('model.gamma_min', 6.0, 'below gamma_max'),
  ('model.steps', -1, 'continuous'),
  ('model.center', (1.0, 2.0), 'each of 1 channels'),
  ('model.augment', True, 'vdm_unet'),
  ('model.fidelity_few', 201, r'1\.\.200'),
  ('model.fidelity_every', 1, 'leave steps for the bound'),
  ('model.latent', -3, 'the pixels themselves'),
  ('model.spread', (0.0,), 'must not be 0'),
  ('sample.few', 9, r'1\.\.8'),
  ('sample.noise', 'new', 'fixed, fresh, predicted'),
  ('sample.sampler', 'euler', 'ancestral, ddim, dpmpp_2m, shortcut'),
  ('sample.guidance', 2.0, 'conditional=True'),
])  # fmt: skip
def test_settings_that_cannot_work_say_so(key, value, message):
  config = tiny(fidelity_every=2, fidelity_few=4)
  config.sample.sampler = 'shortcut'
  refuses(config, key, value, message)


@pytest.mark.parametrize('make', [
  lambda: tiny(gamma='learned_net', gamma_objective='variance'), lambda: bfn_tiny('discretised'),
])  # fmt: skip
def test_jit_and_pmap_take_the_same_step_on_any_number_of_devices(make):
  config = make()
  model = families.make(config, known_spec(config.data))
  tx = {'net': make_tx(config.optim.net, 4)}
  image = data_lib.load(config.data, 'train').image[:8]
  batch = {
    'image': image[None], 'label': np.zeros((1, 8), np.int32),
    'index': np.arange(8, dtype=np.int32)[None],
  }  # fmt: skip
  found = []
  for mode, devices in (('jit', 1), ('jit', 4), ('pmap', 4)):
    state = init_state(model, tx, jax.random.key(0))
    step = lambda *a, **k: train_step(model, tx, 0.9, *a, **k)
    runner = parallel.make(mode, step, jax.devices()[:devices], 8)
    _, metrics = runner.step(runner.replicate(state), jax.random.key(3), {}, runner.shard(batch))
    found.append({k: float(v[0]) for k, v in jax.device_get(metrics).items()})
  for other in found[1:]:
    for name, value in found[0].items():
      assert other[name] == pytest.approx(value, rel=2e-3, abs=1e-6), name


@pytest.mark.parametrize('make', [
  lambda: shortcut_tiny(), lambda: bfn_tiny('discretised'), lambda: bfn_tiny('discrete'),
])  # fmt: skip
def test_an_image_depends_on_its_own_key_only(make):
  config = make()
  model = families.make(config, known_spec(config.data))
  params = jax.tree.map(
    lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape),
    model.init(jax.random.key(0)),
  )
  keys, label = jax.random.split(jax.random.key(1), 6), jnp.zeros(6, jnp.int32)
  sample = jax.jit(model.sample)
  whole, part = sample(params, keys, label), sample(params, keys[4:], label[4:])
  assert (np.asarray(whole[4:]) == np.asarray(part)).mean() > 0.98
  assert not np.array_equal(whole[0], whole[1])


def shortcut_tiny():
  config = tiny()
  config.sample.update({'sampler': 'shortcut', 'noise': 'fresh'})
  return config


def test_a_net_for_points_refuses_images():
  config = tiny_ddpm()
  config.net = base.mlp()
  with pytest.raises(UserError, match='points or latent vectors, not 8x8'):
    families.make(config, known_spec(config.data))
