"""DCGAN and the denoising-diffusion GAN: closed forms of losses and posterior; whose turn it is."""

import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import batch_of, refuses

import gan.dcgan
import gan.ddgan
from gan import nets
from gan.dcgan import cross_entropy
from gan.ddgan import before, further, gamma_table
from gan.watch import collapse
from trilemma import data as data_lib
from trilemma import families, gaussian, parallel
from trilemma.data import Spec, known_spec
from trilemma.exits import UserError
from trilemma.step import init_state, make_tx, train_step
from trilemma.train import train


def tiny(family, **model):
  """A GAN of digits with nets that compile in seconds."""
  name = {'dcgan': 'digits_dcgan', 'ddgan': 'digits_ddgan'}[family]
  config = importlib.import_module(f'configs.{name}').get_config('tiny')
  if family == 'ddgan':
    config.model.r1 = 0.0  # its second derivatives take long to compile
  config.model.update(model)
  config.train.update({'eval_every': 0, 'sample_every': 0})
  return config


def made(config):
  model = families.make(config, known_spec(config.data))
  return model, jax.jit(model.init)(jax.random.key(0))  # op by op it takes minutes to compile


def digits(config, n=8):
  return batch_of(jnp.asarray(data_lib.load(config.data, 'train').image[:n]))


def count(module, *inputs):
  init = lambda key, *inputs: module.init(key, *inputs)['params']
  return sum(x.size for x in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0), *inputs)))


def test_official_parameter_counts():
  x, t, label = jnp.zeros((4, 32, 32, 3)), jnp.zeros(4, jnp.int32), jnp.zeros(4, jnp.int32)
  config = importlib.import_module('configs.cifar10_ddgan').get_config()
  model = families.make(config, known_spec(config.data))
  players = jax.eval_shape(model.init, jax.random.key(0))
  found = {name: sum(x.size for x in jax.tree.leaves(p)) for name, p in players.items()}
  assert found == {'generator': 48_432_515, 'discriminator': 12_741_633}
  assert count(nets.DDDiscriminator(), x, x, t) == 12_741_633

  def of(module, first):
    init = lambda key: module.init(key, first, label, True)['params']
    return sum(x.size for x in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))

  assert of(nets.DCGenerator((32, 32, 3)), jnp.zeros((4, 100))) == 1_068_928
  assert of(nets.DCGenerator((32, 32, 3)), jnp.zeros((4, 128))) == 1_183_616
  assert of(nets.DCDiscriminator(), x) == 663_296


# --- losses ---


def test_cross_entropy_is_softplus_and_has_its_floors():
  """Labels 0.9 and 0.1 leave 0.6502 for a perfect discriminator; chance costs 2 ln 2."""
  logits = jnp.linspace(-5, 5, 11)
  softplus = jnp.mean(jax.nn.softplus(-logits))
  assert float(cross_entropy(logits, 1.0)) == pytest.approx(float(softplus))
  assert float(cross_entropy(logits, 0.0)) == pytest.approx(
    float(jnp.mean(jax.nn.softplus(logits)))
  )
  best = jnp.log(9.0)
  floor = cross_entropy(best[None], 0.9) + cross_entropy(-best[None], 0.1)
  assert float(floor) == pytest.approx(0.6502, abs=1e-4)
  zero = jnp.zeros(3)
  for label in (0.9, 1.0):
    both = cross_entropy(zero, label) + cross_entropy(zero, 1 - label)
    assert float(both) == pytest.approx(2 * np.log(2))


def test_a_new_discriminator_of_the_diffusion_gan_is_at_chance():
  """Its last layers are zero: L_D = 2 ln 2, L_G = ln 2, and R1 = 0."""
  config, key = tiny('ddgan', r1=0.1), jax.random.key(1)
  model, params = made(config)
  found = {
    player: jax.jit(lambda params, loss=loss: loss(params, key, digits(config), 0, True))(params)
    for player, loss in model.losses.items()
  }
  assert float(found['discriminator'][0]) == pytest.approx(2 * np.log(2))
  assert float(found['generator'][0]) == pytest.approx(np.log(2))
  assert 'spread' in found['generator'][1]
  assert found['discriminator'][1]['r1'] == 0


class Judge:
  """A discriminator that gives set logits in the order of its calls and keeps what it sees."""

  def __init__(self, *logits):
    self.logits, self.seen = list(logits), []

  def init(self, *args):
    return {'params': {}}

  def apply(self, variables, x, *rest, mutable=None):
    out = jnp.full(len(x), self.logits[len(self.seen)])
    self.seen.append(x)
    return (out, {'batch_stats': {}}) if mutable else out


def test_who_is_to_be_called_real(monkeypatch):
  """Real pairs first, softplus(-real) + softplus(fake); the generator wants softplus(-fake) low."""
  config = tiny('ddgan', steps=1)  # x_s is the clean image itself
  judge = Judge(3.0, -2.0, -1.5)
  monkeypatch.setattr(gan.ddgan, 'DDDiscriminator', lambda *a: judge)
  model, params = made(config)
  batch, key = digits(config), jax.random.key(1)
  x = gaussian.to_model_scale(batch['image'], 17)
  loss, metrics = model.losses['discriminator'](params, key, batch, 0, True)
  softplus = lambda v: np.log1p(np.exp(v))
  assert float(loss) == pytest.approx(softplus(-3) + softplus(-2), rel=1e-5)
  assert metrics['accuracy'] == 1
  np.testing.assert_allclose(judge.seen[0], x, atol=1e-6)
  assert float(jnp.abs(judge.seen[1]).max()) == 0  # of a new generator, whose last layer is zero
  loss, _ = model.losses['generator'](params, key, batch, 0, True)
  assert float(loss) == pytest.approx(softplus(1.5), rel=1e-5)


def test_whose_label_is_whose(monkeypatch):
  """DCGAN: real images have 0.9, fakes 0.2, the generator wants 0.7."""
  judge = Judge(3.0, -2.0, -1.5)
  monkeypatch.setattr(gan.dcgan, 'DCDiscriminator', lambda *a: judge)
  config = tiny('dcgan', real_label=0.9, fake_label=0.2, generator_label=0.7)
  model, params = made(config)
  batch, key = digits(config), jax.random.key(1)
  by_hand = lambda v, label: label * np.log1p(np.exp(-v)) + (1 - label) * np.log1p(np.exp(v))
  loss, metrics = model.losses['discriminator'](params, key, batch, 0, True)
  assert float(loss) == pytest.approx(by_hand(3, 0.9) + by_hand(-2, 0.2), rel=1e-5)
  assert metrics['accuracy'] == 1
  np.testing.assert_allclose(judge.seen[0], gaussian.to_model_scale(batch['image'], 17), atol=1e-6)
  loss, _ = model.losses['generator'](params, key, batch, 0, True)
  assert float(loss) == pytest.approx(by_hand(-1.5, 0.7), rel=1e-5)


class Linear:
  """A discriminator w . x_s."""

  def __init__(self, w):
    self.w = w

  def init(self, *args):
    return {'params': {'w': self.w}}

  def apply(self, variables, x_s, x_t, t):
    return (x_s * variables['params']['w']).sum((1, 2, 3))


@pytest.mark.parametrize('platform', ['cpu', 'default'])
def test_r1_of_a_linear_discriminator_every_kth_step(monkeypatch, platform):
  """(r1 / 2) |w|^2 with the gradient r1 w, under jit, at steps 0, 3, 6, ...; the loss without it at
  the others. It is the same in the branch of a CPU, whose place the other takes here, too."""
  monkeypatch.setattr(jax.lax, 'platform_dependent', lambda **branches: branches[platform]())
  config = tiny('ddgan', r1=0.7, r1_every=3)
  w = jax.random.normal(jax.random.key(5), (8, 8, 1))
  monkeypatch.setattr(gan.ddgan, 'DDDiscriminator', lambda *a: Linear(w))
  model, params = made(config)

  @jax.jit
  def loss(step):
    value = lambda p: model.losses['discriminator'](
      {**params, 'discriminator': p}, jax.random.key(1), digits(config), step, True
    )
    return jax.value_and_grad(value, has_aux=True)(params['discriminator'])

  (without, _), slope_without = loss(1)
  for step in range(7):
    (value, metrics), slope = loss(step)
    more = slope['w'] - slope_without['w']
    if step % 3 == 0:
      assert float(metrics['r1']) == pytest.approx(0.35 * float((w**2).sum()), rel=1e-5)
      assert float(value) == pytest.approx(float(without + metrics['r1']), rel=1e-5)
      np.testing.assert_allclose(more, 0.7 * w, rtol=1e-4, atol=1e-5)
    else:
      assert np.isnan(metrics['r1']) and float(value) == pytest.approx(float(without), rel=1e-6)
      np.testing.assert_allclose(more, 0, atol=1e-6)


# --- the denoising diffusion ---


def test_the_schedule_and_posterior_are_the_papers():
  beta = lambda g: 1 - 1 / (1 + np.exp(g[1:])) * (1 + np.exp(g[:-1]))
  for steps, expected in (
    (2, [0.9213240, 0.9994510]),
    (4, [0.4782553, 0.8492060, 0.9564177, 0.9874039]),
    (8, [0.1564453, 0.3814928, 0.5465011, 0.6674877, 0.7561969, 0.8212398, 0.8689303, 0.9038977]),
  ):
    np.testing.assert_allclose(beta(gamma_table(steps)), expected, atol=1e-6)
  g = np.float32(gamma_table(4))
  np.testing.assert_allclose(gaussian.alpha(g), [1, 0.7223190, 0.2804924, 0.0585566, 0.0065719],
                             atol=1e-6)  # fmt: skip
  one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
  for t, (from_x, from_z, variance) in enumerate([
    (1, 0, 0), (0.6657784, 0.2015763, 0.4408191), (0.2691909, 0.1930008, 0.8842024),
    (0.0578215, 0.1118523, 0.9840607),
  ]):  # fmt: skip
    at = jnp.array([g[t]]), jnp.array([g[t + 1]])
    mean, found = gaussian.posterior(zero, one, *at)
    assert float(mean[0, 0]) == pytest.approx(from_x, abs=1e-6)
    assert float(gaussian.posterior(one, zero, *at)[0][0, 0]) == pytest.approx(from_z, abs=1e-6)
    assert float(found[0]) == pytest.approx(variance, abs=1e-6)


@pytest.mark.parametrize('t', [0, 1, 2, 3])
def test_a_perfect_generator_gives_real_pairs_and_seed_004s_rule_does_not(t):
  """x_t - sqrt(1 - beta) x_s has variance beta for real pairs and for the posterior's fakes. Fakes
  diffused forward from x_0, as in the CS726 report, have beta + 2 (1 - beta) sigma_s^2: a
  discriminator tells them from real ones by their noise, however good the generator."""
  n, x = 200_000, 0.6
  g = jnp.asarray(np.float32(gamma_table(4)))
  g_s, g_t = jnp.full(n, g[t]), jnp.full(n, g[t + 1])
  noise = jax.random.normal(jax.random.key(0), (4, n, 1))
  x_0 = jnp.full((n, 1), x)
  x_s = gaussian.diffuse(x_0, g_s, noise[0])
  x_t = further(x_s, g_s, g_t, noise[1])
  assert float(x_t.mean()) == pytest.approx(float(gaussian.alpha(g[t + 1])) * x, abs=0.01)
  assert float(x_t.std()) == pytest.approx(float(gaussian.sigma(g[t + 1])), rel=0.01)
  fake = before(x_t, x_0, g_s, g_t, noise[2])
  forward = gaussian.diffuse(x_0, g_s, noise[3])
  kept = float(jax.nn.sigmoid(-g[t + 1]) / jax.nn.sigmoid(-g[t]))
  residual = lambda s: float((x_t - np.sqrt(kept) * s).var())
  assert residual(x_s) == pytest.approx(1 - kept, rel=0.02)
  assert residual(fake) == pytest.approx(1 - kept, rel=0.02)
  variance = float(jax.nn.sigmoid(g[t]))
  assert residual(forward) == pytest.approx(1 - kept + 2 * kept * variance, rel=0.02)
  np.testing.assert_allclose([fake.mean(), fake.std()], [x_s.mean(), x_s.std()], atol=0.01)


def test_with_the_true_image_the_sampler_ends_there(monkeypatch):
  """Whatever the number of steps: the last one returns the generator's x_0."""
  x_0 = jnp.linspace(-1, 1, 64).reshape(1, 8, 8, 1)

  class Knows:
    def init(self, *args):
      return {'params': {}}

    def apply(self, variables, x, t, z):
      return jnp.broadcast_to(x_0, x.shape)

  monkeypatch.setattr(gan.ddgan, 'DDGenerator', lambda *a: Knows())
  for steps in (1, 4):
    model, _ = made(tiny('ddgan', steps=steps))
    assert model.nfe == steps
    params = {'generator': {}, 'discriminator': {}}
    image = model.sample(params, jax.random.split(jax.random.key(0), 3), jnp.zeros(3))
    np.testing.assert_array_equal(image, gaussian.to_levels(x_0, 17).repeat(3, 0))


def test_resampling_filters():
  """A constant stays one away from the border, a line too; both ways together keep the size."""
  x = jnp.broadcast_to(jnp.arange(16.0)[None, :, None, None], (1, 16, 16, 1))
  inside = np.asarray(nets.down(x))[0, 1:-1, 3, 0]
  np.testing.assert_allclose(inside, 2 * np.arange(1, 7) + 0.5)
  inside = np.asarray(nets.up(x))[0, 4:-4, 9, 0]
  np.testing.assert_allclose(inside, (np.arange(4, 28) - 0.5) / 2)
  odd = nets.down(x[:, :7, :7])  # the last row is seen, but begins no new one
  assert odd.shape == (1, 3, 3, 1)
  np.testing.assert_allclose(odd[0, 1:, 1, 0], 2 * np.arange(1, 3) + 0.5)
  assert nets.smooth(x).shape == (1, 17, 17, 1)
  np.testing.assert_allclose(nets.smooth(jnp.ones((1, 8, 8, 1)))[0, 2:-2, 2:-2], 1)


# --- two players ---


@pytest.mark.parametrize('family', ['dcgan', 'ddgan'])
def test_a_players_loss_has_gradients_for_itself_and_only_it_is_updated(family):
  config = tiny(family)
  model, params = made(config)
  params = jax.tree.map(
    lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params
  )
  batch = digits(config)
  for player, loss in model.losses.items():
    value = lambda p, player=player, loss=loss: loss(
      {**params, player: p}, jax.random.key(1), batch, 0, True
    )[0]
    slope = optax.tree.norm(jax.jit(jax.grad(value))(params[player]))
    assert float(slope) > 1e-6
  if family == 'ddgan':
    return  # the trainer is the same, and a step takes long to compile
  tx = {player: make_tx(config.optim[player], 4) for player in model.losses}
  frozen = {**tx, 'generator': optax.apply_if_finite(optax.set_to_zero(), 3)}
  state = init_state(model, frozen, jax.random.key(0))
  moved, _ = jax.jit(lambda s: train_step(model, frozen, 0.9, s, jax.random.key(1), batch))(state)
  same = lambda a, b: all(
    np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )
  assert same(moved.params['generator'], state.params['generator'])
  assert not same(moved.params['discriminator'], state.params['discriminator'])
  for player, stats in state.params['stats'].items():  # learned without a gradient
    assert not same(moved.params['stats'][player], stats)


def test_running_statistics_tend_to_the_batchs():
  """A generator that does not learn: its output in use is what it was in training."""
  config = tiny('dcgan')
  model, params = made(config)
  batch = digits(config, 64)
  notes = jax.jit(lambda p, k: model.losses['generator'](p, k, batch, 0, True)[1]['notes'])
  for k in range(60):
    params = model.remember(params, notes(params, jax.random.key(k)))
  keys = jax.random.split(jax.random.key(99), 64)
  _, frames = model.sample(params, keys, batch['label'], 1)
  in_training = model.losses['generator'](params, jax.random.key(99), batch, 0, True)[1]
  spread = np.std(np.asarray(frames, float) / 127.5 - 1)
  assert spread == pytest.approx(float(in_training['spread']), rel=0.15)


def test_noise_fades_and_is_not_in_evaluation():
  config = tiny('dcgan', noise=5.0, noise_steps=10)
  config.model.conditional = True
  model, params = made(config)
  loss = lambda step, train: float(
    model.losses['discriminator'](params, jax.random.key(1), digits(config), step, train)[0]
  )
  plain, _ = made(tiny('dcgan', conditional=True))
  bare = lambda train: float(
    plain.losses['discriminator'](params, jax.random.key(1), digits(config), 0, train)[0]
  )
  assert abs(loss(0, True) - bare(True)) > 1e-4 and loss(10, True) == pytest.approx(bare(True))
  assert loss(0, False) == pytest.approx(bare(False))


def test_conditional_samples_depend_on_their_label():
  model, params = made(tiny('dcgan', conditional=True))
  params['generator'] = jax.tree.map(
    lambda p: p + 0.3 * jax.random.normal(jax.random.key(p.size), p.shape), params['generator']
  )
  key = jax.random.split(jax.random.key(0), 1)[jnp.zeros(2, jnp.int32)]
  one, other = model.sample(params, key, jnp.array([1, 2]))
  assert not np.array_equal(one, other)


def test_jit_takes_the_same_step_on_any_number_of_devices():
  config = tiny('dcgan')
  model, _ = made(config)
  tx = {player: make_tx(config.optim[player], 4) for player in model.losses}
  batch = jax.tree.map(lambda x: np.asarray(x)[None], digits(config))
  found = []
  for devices in (1, 4):
    state = init_state(model, tx, jax.random.key(0))
    step = lambda *a, **k: train_step(model, tx, 0.9, *a, **k)
    runner = parallel.make('jit', step, jax.devices()[:devices], 8)
    _, metrics = runner.step(runner.replicate(state), jax.random.key(3), {}, runner.shard(batch))
    found.append({k: float(v[0]) for k, v in jax.device_get(metrics).items()})
  for name, value in found[0].items():
    assert found[1][name] == pytest.approx(value, rel=2e-3, abs=1e-5), name


def test_images_of_one_colour_are_warned_of(tmp_path, capsys):
  assert collapse(jnp.full((4, 8, 8, 1), -1.0))['collapsed'] == 1
  image = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1), minval=-1)
  assert collapse(image)['collapsed'] == 0
  config = tiny('ddgan')
  config.optim.generator.learning_rate = 0.0  # its last layer stays at zero: all grey
  train(config, tmp_path / 'run', devices=jax.devices()[:1])
  said = capsys.readouterr().out
  assert 'all images of generator were of one colour, about 0.00 on the scale' in said
  assert re.search(r'loss discriminator \d+\.\d+, generator \d+\.\d+  ', said)


@pytest.mark.parametrize(('family', 'key', 'value', 'message'), [
  ('dcgan', 'model.real_label', 1.5, 'no probability'),
  ('dcgan', 'model.noise', -1.0, 'at least 0'),
  ('dcgan', 'model.noise_steps', 0, 'over which it fades'),
  ('dcgan', 'model.latent', 0, 'at least 1'),
  ('dcgan', 'net.name', 'unet', 'dcgan_nets'),
  ('dcgan', 'data.classes', '3', 'needs classes'),
  ('ddgan', 'model.steps', 0, 'at least 1'),
  ('ddgan', 'model.r1_every', 0, 'at least 1'),
  ('ddgan', 'model.latent', 0, 'at least 1'),
  ('ddgan', 'net.multipliers', (1, 1, 1, 1, 1), 'cannot be halved 4 times'),
  ('ddgan', 'discriminator.multipliers', (1, 1, 1, 1, 1), 'cannot be halved 4 times'),
  ('ddgan', 'net.channels', 6, 'multiple of 4'),
  ('ddgan', 'net.dtype', 'float16', 'bfloat16, float32'),
  ('ddgan', 'sample.frames', 'all', 'guess, state'),
])  # fmt: skip
def test_settings_that_cannot_work_say_so(family, key, value, message):
  config = tiny(family)
  if family == 'dcgan':
    config.model.update({'noise': 0.1, 'noise_steps': 5, 'conditional': 'classes' in key})
  refuses(config, key, value, message)


@pytest.mark.parametrize('shape', [(1, 1, 2), (4, 4, 1), (8, 6, 1), (9, 9, 1)])
def test_a_dcgan_takes_square_images_that_can_be_halved(shape):
  with pytest.raises(UserError, match='square images of an even side'):
    families.make(tiny('dcgan'), Spec('x', shape, 256, 256, ()))


@pytest.mark.parametrize('family', ['dcgan', 'ddgan'])
def test_batch_statistics_are_of_the_whole_batch(family):
  config = tiny(family)
  config.parallel = 'pmap'
  with pytest.raises(UserError, match='parallel=jit'):
    families.make(config, known_spec(config.data))
