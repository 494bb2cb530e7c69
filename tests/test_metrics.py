"""Distances against closed forms."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors

from trilemma.exits import UserError
from trilemma.metrics import (
  frechet_distance,
  inception_score,
  kernel_distance,
  manifolds,
  moments,
  settles,
  sliced_wasserstein,
)


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


def waves(n, d, step):
  """Features that any program can make again."""
  i, j = np.arange(n)[:, None], np.arange(d)[None]
  return np.sin((i * step + 1.7) * (j + 1) * 0.7 + (i % 7) * j * 0.3)


def test_public_tools_give_the_same_numbers():
  """torch-fidelity 0.4 (KID, IS, precision and recall) and prdc 0.2 (density, coverage)."""
  fake, real = waves(60, 8, 1.3), 0.8 * waves(60, 8, 2.1) + 0.1
  kid = kernel_distance(fake, real, subsets=3, size=60)
  assert kid['mean'] == pytest.approx(0.05581080814743622) and kid['sd'] < 1e-12
  assert inception_score(5 * fake, 1)['mean'] == pytest.approx(2.7286845151863743)
  found = manifolds(real, fake)
  assert found == pytest.approx({
    'precision': 0.45, 'recall': 0.96666667, 'density': 0.57666667, 'coverage': 0.86666667,
  })  # fmt: skip


def test_neighbours_are_scikit_learns(monkeypatch):
  """The same with NearestNeighbors, which sees all at once, and blocks of a few rows."""
  import trilemma.metrics

  random = np.random.default_rng(0)
  real, fake = random.normal(size=(300, 4)), random.normal(size=(200, 4)) + 0.5
  chunked = trilemma.metrics.pairwise_distances_chunked
  small = lambda a, b, working_memory: chunked(a, b, working_memory=0.02)
  monkeypatch.setattr(trilemma.metrics, 'pairwise_distances_chunked', small)
  found = manifolds(real, fake)

  def radius(x, k):
    return NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]

  d = np.linalg.norm(fake[:, None] - real, axis=-1)
  assert found['precision'] == (d <= radius(real, 3)).any(1).mean()
  assert found['recall'] == (d <= radius(fake, 3)[:, None]).any(0).mean()
  assert found['density'] == pytest.approx((d <= radius(real, 5)).sum() / 5 / 200)
  assert found['coverage'] == (d <= radius(real, 5)).any(0).mean()


def test_what_precision_and_recall_see():
  """Identical sets have all, disjoint ones nothing; a dropped mode costs recall, not precision."""
  random = np.random.default_rng(0)
  two = np.concatenate([random.normal(size=(200, 2)), random.normal(size=(200, 2)) + 20])
  same = manifolds(two, two)
  assert same['precision'] == same['recall'] == same['coverage'] == 1
  apart = manifolds(two, two + 100)
  assert not any(apart.values())
  one_mode = manifolds(two, random.normal(size=(400, 2)))
  assert one_mode['precision'] > 0.9 and one_mode['recall'] < 0.55 and one_mode['coverage'] < 0.55
  wide = manifolds(two[:200], 3 * random.normal(size=(400, 2)))
  assert wide['precision'] < 0.6 and wide['recall'] > 0.9


def test_kernel_distance_is_unbiased():
  """0 on average for two sets of one distribution, however small, and |m|^2-like for a shift."""
  random = np.random.default_rng(0)
  draw = lambda shift=0.0: random.normal(size=(40, 6)) + shift
  found = [kernel_distance(draw(), draw(), 1, 40)['mean'] for _ in range(300)]
  error = np.std(found) / np.sqrt(300)
  assert abs(np.mean(found)) < 4 * error
  assert (
    np.mean([kernel_distance(draw(), draw(0.5), 1, 40)['mean'] for _ in range(20)]) > 10 * error
  )


def test_inception_score_counts_classes():
  even = 50 * np.eye(10)[np.arange(1000) % 10]
  assert inception_score(even)['mean'] == pytest.approx(10, rel=0.05)
  assert inception_score(even[np.argsort(np.arange(1000) % 10)])['mean'] > 9  # sorted by class
  assert inception_score(np.zeros((1000, 10)))['mean'] == pytest.approx(1)
  assert inception_score(even[:, [0] * 10])['mean'] == pytest.approx(1)


def test_a_few_images_have_no_neighbours():
  with pytest.raises(UserError, match='--n=6'):
    manifolds(np.zeros((5, 2)), np.zeros((5, 2)))


def test_when_a_curve_settles():
  assert settles([10.0, 5.0, 0.9, 2.0, 1.0, 0.0], 1.0) == 5 / 6
  assert settles([10.0, 1.0], 1.0) == 1.0
  assert settles([10.0, 1.1], 1.0) is None
  assert settles([0.0, 0.0], 1.0) == 1 / 2


def test_sliced_wasserstein():
  """A shift by v: every direction has |v . axis|, of mean square |v|^2 / D; order is nothing."""
  points = np.random.default_rng(0).normal(size=(300, 2))
  assert sliced_wasserstein(points, points[::-1]) == pytest.approx(0, abs=1e-12)
  shifted = sliced_wasserstein(points, points + [3.0, 4.0])
  assert shifted == pytest.approx(5 / np.sqrt(2), rel=0.03)
  with pytest.raises(UserError, match='two sets of one size'):
    sliced_wasserstein(points, points[1:])
