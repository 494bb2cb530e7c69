"""Nets: published parameter counts, and layers equal to flax's own."""

import importlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import (
  cifar10_cats_ddpm,
  cifar10_ddpm,
  cifar10_iddpm,
  digits_classifier,
  digits_ddpm,
  mnist_ddpm,
)
from trilemma.exits import UserError
from trilemma.nets import CLASSIFIERS, make_net
from trilemma.nets.cnn import CNN
from trilemma.nets.layers import (
  Conv,
  GroupNorm,
  LabelMLP,
  add_bias,
  column_sums,
  fourier,
  sinusoid,
  upsample,
)


def shapes(net, shape):
  arguments = jnp.zeros((2, *shape)), jnp.zeros(2), jnp.zeros(2, jnp.int32), False
  return jax.eval_shape(lambda key: net.init(key, *arguments), jax.random.key(0))['params']


def count(net, shape):
  return sum(leaf.size for leaf in jax.tree.leaves(shapes(net, shape)))


def perturbed(variables):
  """The same with noise on every leaf, so that no zero-initialised layer hides the others."""
  leaves, tree = jax.tree.flatten(variables)
  keys = jax.random.split(jax.random.key(9), len(leaves))
  noisy = [p + 0.1 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
  return jax.tree.unflatten(tree, noisy)


def test_published_parameter_counts():
  config = cifar10_ddpm.get_config()
  assert count(make_net(config.net, (32, 32, 3), 3, 0), (32, 32, 3)) == 35_746_307
  config.net.update({'channels': 64, 'multipliers': (1, 2, 2)})
  assert count(make_net(config.net, (32, 32, 3), 3, 0), (32, 32, 3)) == 6_472_195
  assert count(CNN(1), (28, 28, 1)) == 291_217


def test_vdms_parameter_counts():
  """With the schedule's own: 2 of learned_linear; 3,074 of the authors' net, 3,076 of ours."""
  net = lambda name: importlib.import_module(f'configs.{name}').get_config('').net
  image = (32, 32, 3)
  assert count(make_net(net('cifar10_vdm'), image, 3, 0), image) + 2 == 30_578_181
  large = net('cifar10_vdm_aug')
  assert count(make_net(large, image, 3, 0), image) + 3074 == 139_279_877
  large.attention = False
  assert count(make_net(large, image, 3, 0), image) + 3074 == 122_140_677
  assert count(make_net(net('swirl_vdm'), (1, 1, 2), 2, 0), (1, 1, 2)) + 2 == 290_308


def test_fourier_features():
  """On 8-bit data in [-1, 1] the pair n = 7 is constant, n = 6's sine the last bit."""
  x = jnp.float32(2 * (np.arange(256) + 0.5) / 256 - 1)[:, None]
  features = fourier(x, (6, 7))
  assert features.shape == (256, 4)
  sin6, sin7, cos6, cos7 = features.T
  np.testing.assert_allclose(sin7, 0, atol=1e-3)
  np.testing.assert_allclose(cos7, -1, atol=1e-3)
  np.testing.assert_allclose(cos6, 0, atol=1e-3)
  np.testing.assert_allclose(sin6, np.where(np.arange(256) % 2, -1, 1), atol=1e-3)


def test_improved_ddpms_parameter_counts():
  net = cifar10_iddpm.get_config().net
  assert count(make_net(net, (32, 32, 3), 6, 0), (32, 32, 3)) == 52_546_438
  net.multipliers = (1, 2, 3, 4)
  assert count(make_net(net, (64, 64, 3), 6, 0), (64, 64, 3)) == 121_063_942


@pytest.mark.parametrize(('words', 'ours'), [
  ('2xud_half', 2_799_267), ('2xud', 11_167_043), ('3xblocks', 18_322_499),
])  # fmt: skip
def test_the_cats_reports_nets_have_the_counts_that_the_readme_gives(words, ours):
  net = cifar10_cats_ddpm.get_config(words).net
  assert count(make_net(net, (32, 32, 3), 3, 0), (32, 32, 3)) == ours


def test_the_dtu_reports_net_has_the_count_that_the_readme_gives():
  net = mnist_ddpm.get_config('report,no_attention').net
  assert count(make_net(net, (28, 28, 1), 1, 0), (28, 28, 1)) == 14_140_545


def test_no_label_is_the_zero_vector_of_the_one_hot_form():
  labels = LabelMLP(10, 6)
  variables = perturbed(labels.init(jax.random.key(0), jnp.arange(2)))
  first, second = variables['params']['Dense_0'], variables['params']['Dense_1']
  h = jax.nn.gelu(first['bias'], approximate=False)
  expected = h @ second['kernel'] + second['bias']
  out = labels.apply(variables, jnp.array([10, 3]))
  np.testing.assert_allclose(out[0], expected, rtol=1e-4)
  assert not np.allclose(out[1], expected, rtol=1e-2)


@pytest.mark.parametrize('change', [{'scale_shift': True}, {'label': 'mlp'}])
def test_time_and_label_matter_in_every_form(change):
  config = digits_ddpm.get_config('tiny').net
  config.update(change)
  net = make_net(config, (8, 8, 1), 1, 10)
  x, t, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.ones(2), jnp.arange(2)
  variables = perturbed(jax.jit(lambda k: net.init(k, x, t, label, False))(jax.random.key(1)))
  apply = jax.jit(lambda v, t, label: net.apply(v, x, t, label, False))
  out = apply(variables, t, label)
  assert not np.allclose(out, apply(variables, t, label + 1), rtol=1e-3)
  assert not np.allclose(out, apply(variables, 0.5 * t, label), rtol=1e-3)


def test_classifiers_give_logits_and_lenet_its_features():
  x, t, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.ones(2), jnp.zeros(2)
  for config in (digits_classifier.get_config('noisy,tiny'), digits_classifier.get_config('tiny')):
    net = make_net(config.net, (8, 8, 1), 10, 0, CLASSIFIERS)
    variables = perturbed(
      jax.jit(lambda k, n=net: n.init(k, x, t, label, False))(jax.random.key(1))
    )
    apply = jax.jit(lambda v, t, n=net: n.apply(v, x, t, label, False))
    assert apply(variables, t).shape == (2, 10)
    sees_time = not np.allclose(apply(variables, t), apply(variables, 0.5 * t), rtol=1e-3)
    assert sees_time == config.model.noisy
  variables = {'params': variables['params']}
  logits, kept = net.apply(variables, x, t, label, False, mutable=['intermediates'])
  (pool,) = kept['intermediates']['pool']
  last = variables['params']['Dense_1']
  np.testing.assert_allclose(pool @ last['kernel'] + last['bias'], logits, rtol=1e-5)
  with pytest.raises(UserError, match='cannot be pooled 2 times'):
    make_net(config.net, (2, 2, 1), 10, 0, CLASSIFIERS)


def test_28_by_28_works_and_what_cannot_be_halved_says_so():
  net = digits_ddpm.get_config().net
  net.multipliers, net.attention = (1, 2, 2), (7,)
  assert (
    shapes(make_net(net, (28, 28, 1), 1, 10), (28, 28, 1))['label']['Embed_0']['embedding'].shape[0]
    == 11
  )
  net.multipliers = (1, 2, 2, 2)
  with pytest.raises(UserError, match='28x28 image cannot be halved 3 times'):
    make_net(net, (28, 28, 1), 1, 0)
  net.attention = (5,)
  with pytest.raises(UserError, match=r'levels are at \[32, 16, 8, 4\]'):
    make_net(net, (32, 32, 1), 1, 0)
  net.attention, net.heads = (), 5
  with pytest.raises(UserError, match='heads=5 does not divide'):
    make_net(net, (32, 32, 1), 1, 0)


def test_zero_initialised_output_and_labels_that_matter():
  net = make_net(digits_ddpm.get_config('tiny').net, (8, 8, 1), 1, 10)
  x, t, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.ones(2), jnp.arange(2)
  variables = jax.jit(lambda k: net.init(k, x, t, label, False))(jax.random.key(1))
  apply = jax.jit(lambda v, t, label: net.apply(v, x, t, label, False))
  np.testing.assert_array_equal(apply(variables, t, label), np.zeros_like(x))
  variables = perturbed(variables)
  out = apply(variables, t, label)
  assert not np.allclose(out[0], apply(variables, t, label + 1)[0], rtol=1e-3)
  assert not np.allclose(out, apply(variables, 0.5 * t, label), rtol=1e-3)


@pytest.mark.parametrize(
  'shape',
  [(2, 4, 4, 64), (3, 7, 5, 48), (2, 2, 2, 8), (2, 4, 2, 256), (1, 4, 4, 192), (2, 2, 2, 9)],
)
def test_group_norm_equals_flax(shape):
  x = 2 * jax.random.normal(jax.random.key(0), shape) + 1
  dy = jax.random.normal(jax.random.key(1), shape)
  groups = {64: 16, 48: 8, 8: 2, 256: 32, 192: 32, 9: 1}[shape[-1]]
  ours, theirs = GroupNorm(), nn.GroupNorm(groups, epsilon=1e-6)
  params = {
    'scale': 1 + 0.1 * jnp.arange(shape[-1]), 'bias': 0.3 * jnp.ones(shape[-1]),
  }  # fmt: skip

  def value_and_gradients(norm):
    y, pullback = jax.vjp(lambda p, x: norm.apply({'params': p}, x), params, x)
    return y, pullback(dy)

  for a, b in zip(*map(jax.tree.leaves, map(value_and_gradients, (ours, theirs))), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(('kernel', 'stride'), [(3, 1), (3, 2), (1, 1), (7, 1)])
def test_conv_equals_flax(kernel, stride):
  x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
  ours, theirs = Conv(5, kernel, stride), nn.Conv(5, (kernel,) * 2, stride, 'SAME')
  params = theirs.init(jax.random.key(1), x)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, ours.init(jax.random.key(1), x))

  def value_and_gradients(conv):
    return jax.value_and_grad(lambda p, x: (conv.apply(p, x) ** 2).mean(), (0, 1))(params, x)

  for a, b in zip(*map(jax.tree.leaves, map(value_and_gradients, (ours, theirs))), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_column_sums_and_bias_gradient():
  x, y = jax.random.normal(jax.random.key(0), (2, 3, 48, 5))
  np.testing.assert_allclose(column_sums(x), x.sum(1), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(column_sums(x, y), (x * y).sum(1), rtol=1e-4, atol=1e-5)
  gradient = jax.grad(lambda b: (add_bias(x, b) * y).sum())(jnp.zeros(5))
  np.testing.assert_allclose(gradient, y.sum((0, 1)), rtol=1e-4, atol=1e-5)


def test_upsample_is_nearest():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5))
  np.testing.assert_array_equal(upsample(x), jax.image.resize(x, (2, 6, 8, 5), 'nearest'))


def test_sinusoid_is_ddpms():
  expected = [-0.54402111, 0.44767083, 0.02154268, 0.001]
  expected += [-0.83907153, 0.89419843, 0.99976793, 0.9999995]
  np.testing.assert_allclose(sinusoid(jnp.array([0.01]), 8)[0], expected, atol=2e-6)
  late = sinusoid(jnp.array([0.998, 0.999], jnp.bfloat16).astype(jnp.float32), 8)
  assert late.dtype == jnp.float32


def test_bfloat16_compute_keeps_float32_parameters_and_output():
  config = digits_ddpm.get_config('tiny').net
  full = make_net(config, (8, 8, 1), 1, 10)
  config.dtype = 'bfloat16'
  half = make_net(config, (8, 8, 1), 1, 10)
  x, t, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.ones(2), jnp.arange(2)
  variables = jax.jit(lambda k: half.init(k, x, t, label, False))(jax.random.key(1))
  variables = perturbed(variables)
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  a, b = (jax.jit(lambda v, n=n: n.apply(v, x, t, label, False))(variables) for n in (full, half))
  assert b.dtype == jnp.float32
  np.testing.assert_allclose(a, b, atol=0.05 * float(jnp.abs(a).max()))
  assert not np.array_equal(a, b)


def test_dropout_is_for_training_only():
  net = make_net(digits_ddpm.get_config('tiny').net, (8, 8, 1), 1, 10)
  x, t, label = jnp.ones((2, 8, 8, 1)), jnp.ones(2), jnp.arange(2)
  variables = jax.jit(lambda k: net.init(k, x, t, label, False))(jax.random.key(1))
  variables = perturbed(variables)
  apply = jax.jit(lambda key: net.apply(variables, x, t, label, True, rngs={'dropout': key}))
  assert not np.allclose(apply(jax.random.key(2)), apply(jax.random.key(3)))
