"""Classifiers: their loss, and the noise they see and time they are told, to train and to guide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import StandIn, batch_of

import ddpm.classifier
from configs import base
from ddpm.schedule import gamma_table
from trilemma import gaussian
from trilemma.data import Spec

SPEC = Spec('x', (4, 4, 1), 256, 256, tuple('abcdefg'))
STEPS = 4


def config_of(noisy):
  config = base.classifier(noisy)
  config.model.update({'steps': STEPS, 'schedule': 'cosine'})
  return config


def with_net(monkeypatch, logits):
  monkeypatch.setattr(ddpm.classifier, 'make_net', lambda *a, **k: StandIn(logits))


@pytest.mark.parametrize('noisy', [True, False])
def test_a_classifier_that_knows_nothing_costs_log_k_and_sees_what_it_is_told(monkeypatch, noisy):
  seen = []
  with_net(monkeypatch, lambda z, t: seen.append((z, t)) or jnp.zeros((len(z), 7)))
  config = config_of(noisy)
  model = ddpm.classifier.make(config, SPEC)
  n = 4000
  batch = batch_of(jnp.full((n, 4, 4, 1), 204, jnp.uint8))
  loss, metrics = model.losses['net']({'net': {}}, jax.random.key(0), batch, 0, True)
  assert float(loss) == pytest.approx(np.log(7)) and metrics['accuracy'] == 1  # all labels are 0
  (z, t), x = seen[-1], 204 / 127.5 - 1
  if not noisy:
    np.testing.assert_allclose(z, x, rtol=1e-6)
    assert not t.any()
    return
  gammas = gamma_table('cosine', STEPS, False)
  for i in range(1, STEPS + 1):  # the net is told (i - 1) / T of noise level i
    at = np.asarray(z)[np.isclose(t, (i - 1) / STEPS)]
    assert len(at) / n == pytest.approx(1 / STEPS, abs=0.03)
    assert at.mean() == pytest.approx(float(gaussian.alpha(gammas[i])) * x, abs=0.03)
    assert at.std() == pytest.approx(float(gaussian.sigma(gammas[i])), rel=0.03)


def test_a_guide_finds_the_time_of_another_models_noise(monkeypatch):
  seen = []
  with_net(monkeypatch, lambda z, t: seen.append(t) or z.reshape(len(z), -1)[:, :7])
  guide = ddpm.classifier.make_guide(config_of(True), SPEC, {'net': {}})
  gammas = gamma_table('cosine', STEPS, False)[1:]
  z, label = jnp.zeros((3, 4, 4, 1)), jnp.zeros(3, jnp.int32)
  between = [*gammas, (gammas[1] + gammas[2]) / 2, gammas[0] - 3]
  for g, t in zip(between, [0, 0.25, 0.5, 0.75, 0.375, 0], strict=True):
    guide(z, jnp.float32(g), label)
    np.testing.assert_allclose(seen[-1], np.full(3, t), atol=1e-6)


def test_the_clean_baseline_is_told_no_time_and_has_the_reports_epsilon(monkeypatch):
  """log(p + 1e-8) has the slope of log p times p / (p + 1e-8)."""
  seen = []
  with_net(monkeypatch, lambda z, t: seen.append(t) or z.reshape(len(z), -1)[:, :7])
  guide = ddpm.classifier.make_guide(config_of(False), SPEC, {'net': {}})
  z = jnp.zeros((1, 4, 4, 1)).at[0, 0, 0, 0].set(-18.0)
  slope = guide(z, jnp.float32(3.0), jnp.zeros(1, jnp.int32))
  p = np.exp(-18) / (6 + np.exp(-18))
  assert not np.asarray(seen[-1]).any()
  assert float(slope[0, 0, 0, 0]) == pytest.approx((1 - p) * p / (p + 1e-8), rel=1e-4)
