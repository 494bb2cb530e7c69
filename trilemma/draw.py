"""Drawing images from a model: fixed-size chunks, one key per image, progress."""

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


def make_draw(model, spec, batch_size, devices=None):
  """draw(params, seed, labels i32[n], frames=0, stop=None) -> u8[n,H,W,C] (, u8[frames,n,H,W,C]).

  Image i depends on (seed, i, labels[i]) only: any batch_size and number of devices draw the same,
  up to the rounding of a convolution over another batch. Each chunk is padded to the same shape,
  so that one compilation serves all. stop.check() is called between chunks.
  """
  devices = devices or jax.devices()
  batch_size = -(-batch_size // len(devices)) * len(devices)
  replicated, sharded = parallel.shardings(devices)
  bar = tqdm(disable=True)

  def tick(done, total):
    bar.update(int(done) / int(total) + chunk - bar.n)

  chunk = 0
  compiled = {}

  def draw(params, seed, labels, frames=0, stop=None):
    nonlocal bar, chunk
    n = len(labels)
    chunks = -(-n // batch_size)
    bar = tqdm(
      total=chunks, desc='drawing', unit='chunk', disable=None, leave=False,
      bar_format='{l_bar}{bar}| {elapsed}<{remaining}',
    )  # fmt: skip
    # a host callback would keep the program out of the compilation cache: only a terminal has one
    if frames not in compiled:
      on_host = None if bar.disable else tick
      compiled[frames] = parallel.jit(
        lambda params, keys, label: model.sample(params, keys, label, frames=frames, tick=on_host)
      )
    params, key = jax.device_put(params, replicated), stream(seed, 'sample')
    images = np.empty((n, *spec.shape), np.uint8)
    trace = []
    with bar:
      for chunk in range(chunks):
        if stop:
          stop.check()
        index = np.arange(chunk * batch_size, (chunk + 1) * batch_size)
        here = index[index < n]
        keys = of_examples(key, index)
        label = np.asarray(labels, np.int32)[np.minimum(index, n - 1)]
        out = compiled[frames](params, *jax.device_put((keys, label), sharded))
        image, states = out if frames else (out, None)
        images[here] = np.asarray(image)[: len(here)]
        if frames:
          trace.append(np.asarray(states)[:, : len(here)])
        bar.update(chunk + 1 - bar.n)
    return (images, np.concatenate(trace, 1)) if frames else images

  return draw
