"""Bayesian flows against closed forms, exact oracles and the numbers of the paper's equations."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import StandIn, batch_of, refuses
from test_nets import count

import bfn.model
from bfn.flow import discrete_flow, gaussian_flow
from configs import base
from trilemma import families, gaussian
from trilemma.data import Spec, known_spec
from trilemma.nets import make_net

SIGMA = 1e-3


def tiny(kind='discretised', **model):
  """A BFN on digits with a net that compiles in a second."""
  config = base.bfn()
  config.net = base.cnn()
  config.net.update({'widths': (4,), 'kernel': 3})
  config.model.update({'kind': kind, 'samples': 2, **model})
  config.data.binarise = kind == 'discrete'
  config.train.update({'steps': 4, 'batch_size': 8})
  config.sample.update({'n': 8, 'steps': 4})
  return config


def keys_of(n, seed=0):
  return jax.random.split(jax.random.key(seed), n)


def times(n, seed=1):
  """Evenly spread times, so that a mean over them is an integral."""
  return (jax.random.uniform(jax.random.key(seed)) + jnp.arange(n) / n) % 1


def spread_ranks(n):
  """n numbers in [0, 1) that are even in every stretch: multiples of the golden ratio."""
  return np.arange(n) * 0.6180339887498949 % 1


def levels_of(prior, n):
  """Levels u8[n,1,1,1] in the proportions of `prior`."""
  level = np.searchsorted(np.cumsum(prior)[:-1], spread_ranks(n), side='right')
  return jnp.asarray(level, jnp.uint8).reshape(n, 1, 1, 1)


# --- discrete ---


def exact_discrete(prior):
  """The output distribution of a net that knows the data's class probabilities: p_k theta_k."""
  return lambda theta: jax.nn.log_softmax(jnp.log(jnp.asarray(prior)) + theta)


@pytest.mark.parametrize('p', [0.5, 0.2])
@pytest.mark.parametrize('beta_1', [3.0, 9.0])
def test_two_classes_cost_their_entropy_in_continuous_time(p, beta_1):
  """L^inf + L_r = H for any beta_1; at p = 1/2: .5859393 + .1072078, or .6892977 + .0038492."""
  n = 400_000
  flow, oracle = discrete_flow(2, beta_1, 1), exact_discrete([1 - p, p])
  level = jnp.asarray(spread_ranks(n) < p, jnp.uint8).reshape(n, 1, 1, 1)
  t, end = times(n), jnp.ones(n)
  loss = flow.loss(level, oracle(flow.sample(keys_of(n), level, t)), t).mean()
  reconstruction = -flow.log_prob(level, oracle(flow.sample(keys_of(n, 1), level, end))).mean()
  entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
  assert float(loss + reconstruction) == pytest.approx(entropy, abs=0.006)
  if p == 0.5:
    expected = {3.0: (0.5859393, 0.1072078), 9.0: (0.6892977, 0.0038492)}[beta_1]
    assert float(loss) == pytest.approx(expected[0], abs=0.006)
    assert float(reconstruction) == pytest.approx(expected[1], rel=0.03)


@pytest.mark.parametrize('steps', [1, 5, 20])
def test_three_classes_cost_their_entropy_in_any_number_of_steps(steps):
  """The receiver is the exact mixture, so L^n + L_r = H = 1.0296530 nats for every n."""
  n, prior = 200_000, np.array([0.2, 0.5, 0.3])
  flow, oracle = discrete_flow(3, 1.0, 2), exact_discrete(prior)
  level = levels_of(prior, n)
  i = jnp.floor(times(n) * steps) + 1
  theta = flow.sample(keys_of(n), level, (i - 1) / steps)
  loss = flow.n_step_loss(keys_of(n, 1), level, oracle(theta), i, steps).mean()
  theta = flow.sample(keys_of(n, 2), level, jnp.ones(n))
  reconstruction = -flow.log_prob(level, oracle(theta)).mean()
  assert float(loss + reconstruction) == pytest.approx(1.0296530, abs=0.01)


def test_one_discrete_update_and_the_accuracies():
  flow = discrete_flow(2, 9.0, 1)
  theta = flow.update(jnp.zeros((1, 1, 1, 1, 2)), jnp.array([-0.2, 0.9]), 0.0, 1.0)
  np.testing.assert_allclose(jax.nn.softmax(theta)[0, 0, 0, 0], [0.24973989, 0.75026011], rtol=1e-6)
  alphas = [float(flow.accuracy(i, 10)) for i in range(1, 11)]
  np.testing.assert_allclose(alphas[:2] + alphas[-1:], [0.09, 0.27, 1.71], rtol=1e-6)
  assert sum(alphas) == pytest.approx(9)


def test_two_classes_have_the_logit_of_their_closed_form():
  """y_1 - y_0 ~ N(2 beta (2 x - 1), 4 beta) is the logit of theta_1."""
  n, t = 200_000, 0.5
  flow = discrete_flow(2, 9.0, 1)
  for level in (0, 1):
    theta = flow.sample(keys_of(n), jnp.full((n, 1, 1, 1), level, jnp.uint8), jnp.full(n, t))
    logit = theta[..., 1] - theta[..., 0]
    beta = 9 * t**2
    assert float(logit.mean()) == pytest.approx(2 * beta * (2 * level - 1), rel=0.01)
    assert float(logit.var()) == pytest.approx(4 * beta, rel=0.02)


def test_two_class_loss_is_four_beta_t_times_the_square():
  flow = discrete_flow(2, 3.0, 1)
  p = flow.output(jnp.zeros((1, 1, 1, 1, 2)), jnp.zeros(1), jnp.full((1, 1, 1, 1), 0.4))
  p_hat = 1 / (1 + math.exp(-0.4))
  loss = flow.loss(jnp.ones((1, 1, 1, 1), jnp.uint8), p, jnp.array([0.7]))
  assert float(loss[0]) == pytest.approx(4 * 3.0 * 0.7 * (1 - p_hat) ** 2, rel=1e-5)


# --- continuous ---


@pytest.mark.parametrize(('square', 'nats'), [(1e-6, 6.907755279), (1e-3, 3.453877639)])
def test_unit_gaussian_data_cost_minus_log_sigma(square, nats):
  """x ~ N(0, 1) has E[x | mu] = mu and E (x - mu)^2 = sigma_1^(2 t): L^inf = -ln sigma_1 at any t.

  L^n = n / 2 (sigma_1^(-2 / n) - 1). So an output that far from the data has exactly these losses.
  """
  sigma = math.sqrt(square)
  flow = gaussian_flow(256, sigma, 1, False)
  level = jnp.zeros((4, 1, 1, 1), jnp.uint8)  # at -1 + 1 / 256
  at = jnp.array([0.1, 0.4, 0.7, 1.0])
  p = (-1 + 1 / 256) + (sigma**at).reshape(-1, 1, 1, 1)  # off by the deviation of the posterior
  np.testing.assert_allclose(flow.loss(level, p, at), nats, rtol=1e-4)
  i = jnp.arange(1, 5).astype(jnp.float32)
  p = (-1 + 1 / 256) + (sigma ** ((i - 1) / 10)).reshape(-1, 1, 1, 1)
  expected = 10 / 2 * (sigma ** (-2 / 10) - 1)
  assert expected == pytest.approx({1e-6: 14.9053585, 1e-3: 4.9763116}[square], rel=1e-6)
  found = flow.n_step_loss(keys_of(4), level, p, i, 10)
  np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_accuracies_of_continuous_data_sum_to_beta():
  flow = gaussian_flow(256, SIGMA, 1, False)
  alphas = np.array([float(flow.accuracy(i, 10)) for i in range(1, 11)])
  np.testing.assert_allclose(alphas[:2], [2.9810717, 11.8678602], rtol=1e-5)
  assert alphas.sum() == pytest.approx(999_999, rel=1e-5)


def test_one_continuous_step_has_its_golden_value():
  flow = gaussian_flow(256, SIGMA, 1, False)
  t = jnp.array([0.3])
  p = flow.output(jnp.full((1, 1, 1, 1), 0.2), t, jnp.full((1, 1, 1, 1), 0.1))
  assert float(p[0, 0, 0, 0]) == pytest.approx(0.19053061, rel=1e-5)
  # x = 0.25 is level 2 of 4
  four = gaussian_flow(4, SIGMA, 1, False)
  loss = four.loss(jnp.full((1, 1, 1, 1), 2, jnp.uint8), p, t)
  assert float(loss[0]) == pytest.approx(1.54143015, rel=1e-4)


def test_a_continuous_flow_is_vdm_with_its_signal_to_noise_ratio():
  """z = mu / sqrt(gamma): SNR(t) = sigma_1^(-2 t) - 1, and L^inf = 1/2 int |x - x_hat|^2 dSNR."""
  n = 100_000
  flow = gaussian_flow(256, SIGMA, 1, False)
  level = jnp.full((n, 1, 1, 1), 200, jnp.uint8)
  x = (2 * 200 + 1) / 256 - 1
  for t in (0.1, 0.5, 0.9):
    mu = flow.sample(keys_of(n), level, jnp.full(n, t))
    g = -jnp.log(jnp.float32(SIGMA ** (-2 * t) - 1))
    z = mu / jnp.sqrt(1 - SIGMA ** (2 * t))
    assert float(z.mean()) == pytest.approx(float(gaussian.alpha(g)) * x, abs=0.01)
    assert float(z.std()) == pytest.approx(float(gaussian.sigma(g)), rel=0.01)
    # the net's eps means the same in both
    p = flow.output(mu[:3], jnp.full(3, t), jnp.full((3, 1, 1, 1), 0.1))
    same = jnp.clip(gaussian.x_from_eps(z[:3], g, 0.1), -1, 1)
    np.testing.assert_allclose(p, same, atol=2e-3)
  # dSNR / dt = -2 ln sigma_1 sigma_1^(-2 t), so that 1/2 |x - x_hat|^2 dSNR is the loss of one t
  t, off = jnp.array([0.37]), 0.05
  slope = jax.grad(lambda t: SIGMA ** (-2 * t))(0.37)
  loss = flow.loss(level[:1], jnp.full((1, 1, 1, 1), x + off), t)
  assert float(loss[0]) == pytest.approx(0.5 * off**2 * float(slope), rel=1e-3)


@pytest.mark.parametrize('kind', ['continuous', 'discrete'])
def test_updates_do_not_depend_on_the_order(kind):
  """Two observations of accuracies a and b, either first; and together as one of a + b."""
  if kind == 'discrete':
    flow, theta = discrete_flow(3, 1.0, 1), jnp.zeros((1, 1, 1, 1, 3))
    one, two = jnp.array([0.3, -0.2, 0.7]), jnp.array([-1.0, 0.4, 0.1])
    first = flow.update(flow.update(theta, one, 0.0, 0.5), two, 0.0, 2.0)
    second = flow.update(flow.update(theta, two, 0.0, 2.0), one, 0.0, 0.5)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    return
  flow = gaussian_flow(256, SIGMA, 1, False)
  time_of = lambda rho: -math.log(rho) / (2 * math.log(SIGMA))  # where the precision is rho
  a, b, y, w = 0.5, 2.0, 0.3, -0.8
  mu = jnp.zeros(1)
  first = flow.update(flow.update(mu, y, time_of(1.0), a), w, time_of(1 + a), b)
  second = flow.update(flow.update(mu, w, time_of(1.0), b), y, time_of(1 + b), a)
  together = flow.update(mu, (a * y + b * w) / (a + b), time_of(1.0), a + b)
  np.testing.assert_allclose([first[0], second[0]], together[0], rtol=1e-4)


def test_flow_distribution_is_what_the_updates_lead_to():
  """n observations of x with accuracies alpha_i give theta ~ p_F(. | x; 1)."""
  n, steps = 50_000, 8
  level = jnp.full((n, 1, 1, 1), 1, jnp.uint8)
  for flow in (gaussian_flow(4, 0.1, 1, True), discrete_flow(3, 2.0, 1)):
    theta, sent = flow.prior((n, 1, 1, 1)), level
    if theta.ndim == 4:
      sent = jnp.full(theta.shape, (2 * 1 + 1) / 4 - 1)
    for i in range(1, steps + 1):
      y = flow.sender(keys_of(n, i), sent, flow.accuracy(i, steps))
      theta = flow.update(theta, y, (i - 1) / steps, flow.accuracy(i, steps))
    direct = flow.sample(keys_of(n, 99), level, jnp.ones(n))
    if theta.ndim == 5:  # up to a constant
      theta, direct = (x[..., 1] - x[..., 0] for x in (theta, direct))
    assert float(theta.mean()) == pytest.approx(float(direct.mean()), rel=0.01, abs=2e-3)
    assert float(theta.std()) == pytest.approx(float(direct.std()), rel=0.02)


# --- discretised ---


def test_output_probabilities_of_bins():
  """mu = .3, sigma = .5, K = 4."""
  flow = gaussian_flow(4, 0.1, 1, True)
  p = jnp.full((1, 1, 1, 1), 0.3), jnp.full((1, 1, 1, 1), 0.5)
  each = [
    float(jnp.exp(flow.log_prob(jnp.full((1, 1, 1, 1), k, jnp.uint8), p))[0]) for k in range(4)
  ]
  np.testing.assert_allclose(each, [0.05479929, 0.21945383, 0.38116862, 0.34457826], rtol=1e-5)
  x_hat = 2 * float(flow.mean(p)[0, 0, 0, 0]) - 1
  assert x_hat == pytest.approx(0.25776292, rel=1e-5)
  assert flow.mode(p)[0, 0, 0, 0] == 2


@pytest.mark.parametrize('bins', [4, 17, 256])
def test_bins_sum_to_one_and_far_tails_stay_finite(bins):
  flow = gaussian_flow(bins, SIGMA, 1, True)
  mean = jnp.array([0.0, 0.97, -3.0, 5.0]).reshape(-1, 1, 1, 1)
  p = mean, jnp.array([1.0, 1e-3, 1e-3, 0.1]).reshape(-1, 1, 1, 1)
  level = lambda k: jnp.full((4, 1, 1, 1), k, jnp.uint8)
  log_p = jnp.stack([flow.log_prob(level(k), p) for k in range(bins)])
  assert jnp.isfinite(log_p).all()
  np.testing.assert_allclose(jnp.exp(log_p).sum(0), 1, rtol=1e-4)
  centers = (2 * np.arange(bins) + 1) / bins - 1
  np.testing.assert_allclose(2 * flow.mean(p).ravel() - 1, jnp.exp(log_p).T @ centers, atol=1e-4)
  np.testing.assert_array_equal(flow.mode(p).ravel(), log_p.argmax(0))


def test_drawn_bins_have_their_probabilities():
  n = 100_000
  flow = gaussian_flow(4, 0.1, 1, True)
  p = jnp.full((n, 1, 1, 1), 0.3), jnp.full((n, 1, 1, 1), 0.5)
  drawn = np.asarray(flow.to_level(flow.draw(keys_of(n), p))).ravel()
  found = np.bincount(drawn, minlength=4) / n
  np.testing.assert_allclose(found, [0.05479929, 0.21945383, 0.38116862, 0.34457826], atol=0.006)


@pytest.mark.parametrize('steps', [1, 4])
def test_discretised_data_cost_their_entropy(steps):
  """K = 4 bins of known probabilities, the exact posterior as output: L^n + L_r = H."""
  n, prior = 100_000, np.array([0.1, 0.2, 0.3, 0.4])
  flow = gaussian_flow(4, 0.25, 2, True)
  level = levels_of(prior, n)
  centers = (2 * np.arange(4) + 1) / 4 - 1

  def posterior(mu, t):  # mu ~ N(gamma x, gamma (1 - gamma))
    g = (1 - 0.25 ** (2 * jnp.maximum(t, 1e-6))).reshape(-1, 1, 1, 1, 1)
    fit = -0.5 * (mu[..., None] - g * centers) ** 2 / (g * (1 - g))
    return jax.nn.log_softmax(jnp.log(jnp.asarray(prior)) + fit)

  i = jnp.floor(times(n) * steps) + 1
  t = (i - 1) / steps
  log_p = posterior(flow.sample(keys_of(n), level, t), t)
  # the exact posterior is no discretised normal: the mixture's loss, written out as in the flow
  alpha = flow.accuracy(i, steps).reshape(-1, 1, 1, 1)
  noise = jax.random.normal(jax.random.key(5), level.shape) / jnp.sqrt(alpha)
  x = jnp.asarray(centers)[level]
  fit = -0.5 * alpha[..., None] * ((x + noise)[..., None] - centers) ** 2
  loss = steps * (-0.5 * alpha * noise**2 - jax.nn.logsumexp(log_p + fit, -1)).mean()
  end = jnp.ones(n)
  last = posterior(flow.sample(keys_of(n, 2), level, end), end)
  reconstruction = -jnp.take_along_axis(last, level[..., None].astype(int), -1).mean()
  entropy = -(prior * np.log(prior)).sum()
  assert float(loss + reconstruction) == pytest.approx(entropy, abs=0.015)
  # and the flow's own estimate agrees where its output can be compared: a discretised normal
  p = jnp.full((n, 1, 1, 1), 0.1), jnp.full((n, 1, 1, 1), 0.6)
  own = flow.n_step_loss(keys_of(n, 3), level, p, i, steps).mean()
  every = jnp.stack([flow.log_prob(jnp.full_like(level, k), p) for k in range(4)], -1)
  by_hand = -0.5 * alpha * noise**2 - jax.nn.logsumexp(every[:, None, None, None] + fit, -1)
  assert float(own) == pytest.approx(float(steps * by_hand.mean()), rel=0.02)


# --- the model ---


def exact_logit(p):
  """The net that knows each pixel's chance p of a 1."""

  def logit(z, t):  # z = 2 theta - 1 of both classes
    theta = jnp.clip((z + 1) / 2, 1e-6, 1)
    return jnp.log(p / (1 - p)) + jnp.log(theta[..., 1:] / theta[..., :1])

  return logit


@pytest.mark.parametrize('steps', [1, 10])
def test_the_sampler_reproduces_the_marginals_of_a_factorised_distribution(monkeypatch, steps):
  """With the exact posterior, ending in a draw, any number of steps is exact: a chi-square test."""
  p = np.array([0.1, 0.35, 0.5, 0.8]).reshape(1, 2, 2, 1)
  config = tiny('discrete', beta_1=9.0)
  config.sample.update({'steps': steps, 'final': 'draw'})

  monkeypatch.setattr(bfn.model, 'make_net', lambda *a, **k: StandIn(exact_logit(p)))
  model = bfn.model.make(config, Spec('x', (2, 2, 1), 2, 2, ()))
  n = 20_000
  drawn = jax.jit(model.sample)({'net': {}}, keys_of(n), jnp.zeros(n, jnp.int32))
  assert drawn.dtype == jnp.uint8 and drawn.max() == 1
  ones = np.asarray(drawn).sum(0)
  chi_square = ((ones - n * p[0]) ** 2 / (n * p[0] * (1 - p[0]))).sum()
  assert chi_square < 18.5  # four degrees of freedom: one in a thousand


@pytest.mark.parametrize('steps', [0, 5])
def test_the_bound_of_a_factorised_distribution_is_its_entropy(monkeypatch, steps):
  """With the exact posterior, for continuous time and any number of steps; in training, too."""
  p, n = np.array([0.1, 0.35, 0.5, 0.8]).reshape(1, 2, 2, 1), 4000
  config = tiny('discrete', beta_1=3.0, steps=steps)
  config.data.binarise = False
  config.train.batch_size = n
  monkeypatch.setattr(bfn.model, 'make_net', lambda *a, **k: StandIn(exact_logit(p)))
  model = bfn.model.make(config, Spec('x', (2, 2, 1), 2, 2, ()))
  ranks = spread_ranks(4 * n).reshape(4, n).T.reshape(n, 2, 2, 1)
  batch = batch_of(jnp.asarray(ranks < p, jnp.uint8))
  terms = jax.jit(model.bits.terms)
  parts = [terms({'net': {}}, jax.random.key(0), batch, part) for part in range(model.bits.parts)]
  entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean()
  measured = sum(float(v.mean()) for part in parts for v in part.values())
  assert measured == pytest.approx(entropy, abs=0.02)
  loss = jax.jit(model.losses['net'], static_argnums=4)
  found = [loss({'net': {}}, jax.random.key(k), batch, 0, False)[1] for k in range(5)]
  assert np.mean([m['bits_per_dim'] for m in found]) == pytest.approx(entropy, abs=0.03)


@pytest.mark.parametrize('kind', ['continuous', 'discretised'])
def test_the_sampler_with_a_perfect_net_brings_back_the_image(monkeypatch, kind):
  """A net that knows x gives its eps; the deviation it adds is the smallest."""
  config = tiny(kind, sigma_1=0.01)
  config.sample.steps = 10
  level = jnp.arange(64, dtype=jnp.uint8).reshape(1, 8, 8, 1) % 17
  x = (2 * level.astype(jnp.float32) + 1) / 17 - 1

  def eps_hat(mu, t):
    g = -jnp.expm1(2 * jnp.maximum(t, 1e-6) * math.log(0.01)).reshape(-1, 1, 1, 1)
    eps = (mu / g - x) / jnp.sqrt((1 - g) / g)
    return eps if kind == 'continuous' else jnp.concatenate([eps, jnp.full_like(eps, -10.0)], -1)

  monkeypatch.setattr(bfn.model, 'make_net', lambda *a, **k: StandIn(eps_hat))
  model = bfn.model.make(config, known_spec(config.data))
  drawn = jax.jit(model.sample)({'net': {}}, keys_of(5), jnp.zeros(5, jnp.int32))
  np.testing.assert_array_equal(drawn, jnp.repeat(level, 5, 0))


@pytest.mark.parametrize('kind', ['continuous', 'discretised', 'discrete'])
@pytest.mark.parametrize('steps', [0, 5])
def test_losses_and_gradients_are_finite_at_both_ends_of_time(monkeypatch, kind, steps):
  config = tiny(kind, steps=steps)
  spec = known_spec(config.data)
  model = families.make(config, spec)
  params = model.init(jax.random.key(0))
  image = jax.random.randint(jax.random.key(1), (8, 8, 8, 1), 0, spec.stored_levels)
  batch = {
    'image': image.astype(jnp.uint8), 'label': jnp.zeros(8, jnp.int32), 'index': jnp.arange(8),
  }  # fmt: skip
  for u in (0.0, 1.0 - 1e-7):
    monkeypatch.setattr(jax.random, 'uniform', lambda *a, u=u, **k: jnp.float32(u))
    config.train.batch_size = 10**9  # every t is u
    model = families.make(config, spec)
    loss = model.losses['net']
    for train in (True, False):
      f = lambda p, train=train, loss=loss: loss(p, jax.random.key(2), batch, 0, train)[0]
      value, gradient = jax.jit(jax.value_and_grad(f))(params)
      assert jnp.isfinite(value)
      assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize('kind', ['continuous', 'discretised', 'discrete'])
def test_levels_in_levels_out_and_frames_of_both_distributions(kind):
  config = tiny(kind, conditional=True, label_drop=0.1)
  spec = known_spec(config.data)
  label = jnp.arange(3)
  for frames in ('state', 'guess'):
    config.sample.update({'frames': frames, 'guidance': 2.0, 'final': 'draw'})
    model = families.make(config, spec)
    params = model.init(jax.random.key(0))
    sample = jax.jit(model.sample, static_argnums=3)
    image, states = sample(params, keys_of(3), label, 4)
    assert image.dtype == jnp.uint8 and image.shape == (3, 8, 8, 1) and image.max() < spec.levels
    assert states.shape == (4, 3, 8, 8, 1) and states.dtype == jnp.uint8
    alone, _ = sample(params, keys_of(3)[1:2], label[1:2], 4)
    np.testing.assert_array_equal(alone[0], image[1])


def test_the_bound_does_not_see_guidance():
  config = tiny('discretised', conditional=True, label_drop=0.1)
  spec = known_spec(config.data)
  batch = {
    'image': jnp.zeros((2, 8, 8, 1), jnp.uint8), 'label': jnp.arange(2), 'index': jnp.arange(2),
  }  # fmt: skip
  found = []
  for scale in (1.0, 3.0):
    config.sample.guidance = scale
    model = families.make(config, spec)
    params = jax.tree.map(
      lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape),
      model.init(jax.random.key(0)),
    )
    found.append(model.bits.terms(params, jax.random.key(1), batch, 0))
  for name in found[0]:
    np.testing.assert_array_equal(found[0][name], found[1][name])


def test_official_parameter_counts():
  """MNIST 24,808,961; CIFAR-10 discretised 30,722,584 and continuous 30,722,188."""
  get = lambda name, words='': importlib.import_module(f'configs.{name}').get_config(words)
  mnist = get('mnist_bfn', 'paper').net
  assert count(make_net(mnist, (28, 28, 2), 1, 0), (28, 28, 2)) == 24_808_961
  for words, outputs, expected in (('', 6, 30_722_584), ('continuous', 3, 30_722_188)):
    net = get('cifar10_bfn', words).net
    assert count(make_net(net, (32, 32, 3), outputs, 0), (32, 32, 3)) == expected


@pytest.mark.parametrize(('key', 'value', 'message'), [
  ('model.kind', 'binary', 'continuous, discrete, discretised'),
  ('model.sigma_1', 1.5, 'between 0 and 1'),
  ('model.samples', 0, 'at least 1'),
  ('model.steps', -1, 'continuous time'),
  ('sample.final', 'mean', 'draw, mode'),
  ('sample.frames', 'both', 'guess, state'),
  ('sample.steps', 0, 'at least 1'),
])  # fmt: skip
def test_settings_that_cannot_work_say_so(key, value, message):
  refuses(tiny(), key, value, message)
