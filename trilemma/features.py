"""Feature extractors: extract(image u8[N,H,W,C]) -> (pool f32[N,D], logits f32[N,K])."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from trilemma import parallel
from trilemma.exits import UserError
from trilemma.gaussian import to_model_scale
from trilemma.nets import CLASSIFIERS, make_net
from trilemma.run import digest, open_checkpoint


class Extractor(NamedTuple):
  """name for results, as in 'fd_<name>'; sha256 of the weights; what it takes; the function."""

  name: str
  sha256: str
  shape: tuple[int, int, int]
  levels: int
  extract: Callable


def of_classifier(workdir, batch_size=256):
  """The Extractor of a trained classifier of clean images (a run with a LeNet).

  Its features are the activations of the hidden layer. Raises UserError for any other run.
  """
  run = open_checkpoint(workdir)
  if run.config.net.name != 'lenet' or run.config.model.noisy:
    raise UserError(f'{workdir} is no classifier of clean images: train one with '
                    'configs/mnist_classifier.py or configs/digits_classifier.py')  # fmt: skip
  spec, params = run.spec, run.state.ema['net']
  net = make_net(run.config.net, spec.shape, len(spec.classes), 0, CLASSIFIERS)

  @parallel.jit
  def apply(params, image):
    zeros = jax.numpy.zeros(len(image))
    x = to_model_scale(image, spec.levels)
    logits, kept = net.apply({'params': params}, x, zeros, zeros, False, mutable=['intermediates'])
    return kept['intermediates']['pool'][0], logits

  def extract(image):
    pool, logits = [], []
    for first in range(0, len(image), batch_size):
      batch = image[first : first + batch_size]
      padded = np.pad(batch, ((0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0)))
      for out, kept in zip(apply(params, padded), (pool, logits), strict=True):
        kept.append(np.asarray(out)[: len(batch)])
    return np.concatenate(pool), np.concatenate(logits)

  return Extractor('lenet', digest(params), spec.shape, spec.levels, extract)
