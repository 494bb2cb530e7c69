"""Distances against closed forms."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from trilemma.exits import UserError
from trilemma.metrics import frechet_distance, moments, settles, sliced_wasserstein


def random_covariance(random, d):
  a = random.normal(size=(d, 2 * d))
  return a @ a.T / d


def test_frechet_distance_of_gaussians():
  random = np.random.default_rng(0)
  d = 5
  m1, m2 = random.normal(size=(2, d))
  c1, c2 = (random_covariance(random, d) for _ in range(2))
  expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
  assert frechet_distance(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-9)
  assert frechet_distance(m1, c1, m1, c1) == pytest.approx(0, abs=1e-9)
  s1, s2 = np.arange(1, 6) / 2, np.arange(5, 0, -1) / 3
  diagonal = frechet_distance(m1, np.diag(s1**2), m2, np.diag(s2**2))
  assert diagonal == pytest.approx(((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum())


def test_frechet_distance_of_singular_covariances():
  """Rank one: the square root of a product of projections, where sqrtm would warn."""
  a, b = np.array([3.0, 0.0, 0.0]), np.array([3.0, 4.0, 0.0])
  zero = np.zeros(3)
  expected = 9 + 25 - 2 * abs(a @ b)
  assert frechet_distance(zero, np.outer(a, a), zero, np.outer(b, b)) == pytest.approx(expected)


def test_the_small_sample_bias_is_what_theory_says():
  """About 2 d / n + d (d + 1) / (2 n) for two samples of N(0, I_d)."""
  random, d, n = np.random.default_rng(0), 64, 2000
  draw = lambda: moments(random.normal(size=(n, d)))
  found = np.mean([frechet_distance(*draw(), *draw()) for _ in range(8)])
  assert found == pytest.approx(2 * d / n + d * (d + 1) / (2 * n), rel=0.05)


def test_too_few_images_are_refused():
  with pytest.raises(UserError, match='64 dimensions needs more than 64 images'):
    moments(np.zeros((64, 64)))


def test_when_a_curve_settles():
  assert settles([10.0, 5.0, 0.9, 2.0, 1.0, 0.0]) == 5 / 6
  assert settles([10.0, 1.0]) == 1.0
  assert settles([10.0, 1.1]) is None
  assert settles([0.0, 0.0]) == 1 / 2


def test_sliced_wasserstein():
  """A shift by v: every direction has |v . axis|, of mean square |v|^2 / D; order is nothing."""
  points = np.random.default_rng(0).normal(size=(300, 2))
  assert sliced_wasserstein(points, points[::-1]) == pytest.approx(0, abs=1e-12)
  shifted = sliced_wasserstein(points, points + [3.0, 4.0])
  assert shifted == pytest.approx(5 / np.sqrt(2), rel=0.03)
  with pytest.raises(UserError, match='two sets of one size'):
    sliced_wasserstein(points, points[1:])
