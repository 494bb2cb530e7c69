"""Distances between sets of features, as functions of arrays in float64."""

import numpy as np
from scipy.linalg import eigvalsh

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


def settles(distance, share=0.1):
  """The fraction of a curve f[S] from which on it stays within `share` of its first value.

  The first point counts as 1 / S of the way; None where even the last is farther.
  """
  far = np.flatnonzero(np.asarray(distance) > share * distance[0])
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
