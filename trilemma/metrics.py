"""Distances between sets of features, as functions of arrays in float64."""

import numpy as np
from scipy.linalg import eigvalsh
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import pairwise_distances_chunked

from trilemma.exits import UserError


def moments(features):
  """Mean f64[D] and covariance f64[D,D] of features f[N,D]; UserError where N <= D.

  With no more examples than dimensions the covariance is singular and the distance meaningless.
  """
  n, d = features.shape
  if n <= d:
    raise UserError(f'a Frechet distance in {d} dimensions needs more than {n} images: --n={d + 1}')
  features = np.asarray(features, np.float64)
  return features.mean(0), np.cov(features, rowvar=False).reshape(d, d)


def frechet_distance(mean1, cov1, mean2, cov2):
  """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two Gaussians (Dowson and Landau 1982).

  The trace of the root is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which
  is symmetric and has no negative ones but by rounding.
  """
  values, vectors = np.linalg.eigh(cov1)
  root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
  cross = np.sqrt(np.maximum(eigvalsh(root @ cov2 @ root), 0)).sum()
  return float(((mean1 - mean2) ** 2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * cross)


def kernel_distance(a, b, subsets=100, size=0):
  """KID of features f[N,D], f[M,D]: {'mean', 'sd'} over subsets drawn without replacement.

  Of `size`, or else of 1,000 and at most half of the smaller set.

  The unbiased squared MMD with the kernel (x y / D + 1)^3 (Binkowski et al. 2018); its mean over
  draws is 0 for two sets of one distribution at any size, so that single values may be negative.
  """
  a, b = (np.asarray(x, np.float64) for x in (a, b))
  size = size or min(1000, len(a) // 2, len(b) // 2)
  if size < 2:
    raise UserError('a kernel distance needs at least 4 images: --n=4')
  rng = np.random.default_rng(0)
  kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
  found = []
  for _ in range(subsets):
    x, y = (f[rng.choice(len(f), size, replace=False)] for f in (a, b))
    xx, yy = kernel(x, x), kernel(y, y)
    within = xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)
    found.append(within / (size * (size - 1)) - 2 * kernel(x, y).mean())
  return {'mean': float(np.mean(found)), 'sd': float(np.std(found))}


def inception_score(logits, splits=10):
  """exp of the mean KL(p(y|x) || p(y)) of logits f[N,K]: {'mean', 'sd'} over random splits.

  Salimans et al. 2016; 1 to K. It sees no real images.
  """
  if len(logits) < splits:
    raise UserError(f'an inception score needs at least {splits} images: --n={splits}')
  shuffled = np.random.default_rng(0).permutation(np.asarray(logits, np.float64))
  found = []
  for part in np.array_split(shuffled, splits):
    log_p = log_softmax(part, axis=1)
    log_mean = logsumexp(log_p, axis=0) - np.log(len(part))
    found.append(np.exp((np.exp(log_p) * (log_p - log_mean)).sum(1).mean()))
  return {'mean': float(np.mean(found)), 'sd': float(np.std(found))}


def _distances(a, b):
  """(first row, distances f[rows,M]) of a f[N,D] to b f[M,D], as many rows as fit in memory."""
  first = 0
  for block in pairwise_distances_chunked(a, b, working_memory=256):
    yield first, block
    first += len(block)


def _radii(x, *ks):
  """Distance of each of x f[N,D] to its k-th nearest other, f[N] for each k."""
  found = [np.partition(d, ks, axis=1)[:, ks] for _, d in _distances(x, x)]  # 0 is itself
  return np.concatenate(found).T


def manifolds(real, fake, k=3, k_density=5):
  """{'precision', 'recall', 'density', 'coverage'} of features f[N,D], f[M,D].

  Precision is the share of fakes within the k-nearest-neighbour ball of some real one, recall the
  share of real ones within that of some fake (Kynkaanniemi et al. 2019). Density counts the balls
  of real ones that a fake is in, over k_density; coverage is the share of real ones whose ball has
  a fake in it (Naeem et al. 2020).
  """
  if min(len(real), len(fake)) <= k_density:
    raise UserError(f'precision and recall need more than {k_density} images: --n={k_density + 1}')
  near, wide = _radii(real, k, k_density)
  (own,) = _radii(fake, k)
  precise, dense = [], 0
  recalled, covered = (np.zeros(len(real), bool) for _ in range(2))
  for first, d in _distances(fake, real):
    precise.append((d <= near).any(1))
    inside = d <= wide
    dense += inside.sum()
    covered |= inside.any(0)
    recalled |= (d <= own[first : first + len(d), None]).any(0)
  return {
    'precision': float(np.concatenate(precise).mean()),
    'recall': float(recalled.mean()),
    'density': float(dense / (k_density * len(fake))),
    'coverage': float(covered.mean()),
  }


def settles(distance, within):
  """The fraction of a curve f[S] from which on it stays at or below `within`.

  The first point counts as 1 / S of the way; None where even the last is farther.
  """
  far = np.flatnonzero(np.asarray(distance) > within)
  first = far[-1] + 1 if len(far) else 0
  return (first + 1) / len(distance) if first < len(distance) else None


def sliced_wasserstein(a, b, directions=500):
  """Root mean square over directions of the 1-D Wasserstein-2 distance of points f[N,D] each.

  Bonneel et al. 2015; the same directions every time. In the points' own units.
  """
  if a.shape != b.shape:
    raise UserError(f'sliced Wasserstein needs two sets of one size, not {len(a)} and {len(b)}')
  axes = np.random.default_rng(0).normal(size=(a.shape[1], directions))
  axes /= np.linalg.norm(axes, axis=0)
  along = (np.sort(np.asarray(x, np.float64) @ axes, axis=0) for x in (a, b))
  return float(np.sqrt(np.mean(np.subtract(*along) ** 2)))
