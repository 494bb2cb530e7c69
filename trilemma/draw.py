"""Drawing images from a model: fixed-size chunks, one key per image, progress."""

import time

import jax
import numpy as np
from tqdm import tqdm

from trilemma import parallel
from trilemma.exits import UserError, choose
from trilemma.keys import of_examples, stream


def cycle_labels(n, spec):
  """Labels i32[n] that go through the classes in turn; zeros where there are none."""
  return np.arange(n, dtype=np.int32) % max(1, len(spec.classes))


def labels_for(n, choice, spec, conditional, label_drop):
  """Labels i32[n] for a user's choice: a class name or number, 'none', or '' for all in turn.

  'none' is known only to a model that was trained with dropped labels. Raises UserError for a
  class that the model does not have.
  """
  if not choice:
    return cycle_labels(n, spec)
  if not conditional:
    raise UserError(f'label {choice!r}: this model is not conditional on classes')
  names = dict(zip(spec.classes, range(len(spec.classes)), strict=True))
  numbers = {str(number): number for number in names.values()}
  known = {**numbers, **names, **({'none': len(names)} if label_drop else {})}
  return np.full(n, choose('label', choice, known), np.int32)


class Draw:
  """Images of a model, compiled once for chunks of `batch_size`, rounded up to whole devices.

  Image i depends on (seed, i, labels[i]) only: any batch_size and number of devices draw the same,
  up to the rounding of a convolution over another batch. compile_seconds is the time so far.
  """

  def __init__(self, model, spec, batch_size, devices=None):
    self.model, self.shape = model, spec.shape
    self.devices = devices or jax.devices()
    self.batch_size = -(-batch_size // len(self.devices)) * len(self.devices)
    self.compile_seconds = 0.0
    self._compiled = {}
    self._placed = None, None
    self._bar = tqdm(disable=True)
    self._chunk = 0

  def _tick(self, done, total):
    self._bar.update(int(done) / int(total) + self._chunk - self._bar.n)

  def _run(self, frames, *arguments):
    if frames not in self._compiled:
      began = time.monotonic()
      # a host callback would keep the program out of the compilation cache: only a terminal has one
      tick = None if self._bar.disable else self._tick
      sample = parallel.jit(
        lambda params, keys, label: self.model.sample(params, keys, label, frames, tick)
      )
      self._compiled[frames] = sample.lower(*arguments).compile()
      self.compile_seconds += time.monotonic() - began
    return self._compiled[frames](*arguments)

  def __call__(self, params, seed, labels, frames=0, stop=None, first=0):
    """Images number first, first + 1, ...: u8[n,H,W,C] for labels i32[n] (, u8[frames,n,H,W,C]).

    Each chunk is padded to the same shape. stop.check() is called between chunks.
    """
    n = len(labels)
    chunks = -(-n // self.batch_size)
    self._bar = tqdm(
      total=chunks, desc='drawing', unit='chunk', disable=None, leave=False,
      bar_format='{l_bar}{bar}| {elapsed}<{remaining}',
    )  # fmt: skip
    replicated, sharded = parallel.shardings(self.devices)
    if self._placed[0] is not params:
      self._placed = params, jax.device_put(params, replicated)
    params, key = self._placed[1], stream(seed, 'sample')
    images = np.empty((n, *self.shape), np.uint8)
    trace = []
    with self._bar:
      for self._chunk in range(chunks):
        if stop:
          stop.check()
        index = np.arange(self.batch_size) + self._chunk * self.batch_size
        here = index[index < n]
        keys = of_examples(key, first + index)
        label = np.asarray(labels, np.int32)[np.minimum(index, n - 1)]
        out = self._run(frames, params, *jax.device_put((keys, label), sharded))
        image, states = out if frames else (out, None)
        images[here] = np.asarray(image)[: len(here)]
        if frames:
          trace.append(np.asarray(states)[:, : len(here)])
        self._bar.update(self._chunk + 1 - self._bar.n)
    return (images, np.concatenate(trace, 1)) if frames else images
