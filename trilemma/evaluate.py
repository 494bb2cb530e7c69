"""Measuring samples and bounds by one protocol: what is expensive is done once and kept.

In WORKDIR/eval/, named by the checkpoint and a hash of what it depends on: the rows of results
(.json), the samples and the bound's values per example that they come from (.npz), and, while these
are being made, a directory of their chunks.
"""

import json
import os
import shutil
import time
import zipfile
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from trilemma import metrics, parallel
from trilemma.data import cache_dir, view
from trilemma.draw import Draw
from trilemma.exits import UserError
from trilemma.keys import of_examples, stream
from trilemma.plots import to_pixels
from trilemma.rows import key_of
from trilemma.run import digest, open_checkpoint
from trilemma.workdir import versions
from trilemma.writers import duration

# what each metric of samples is called in a row, before _<extractor>@<n>
IN_FEATURES = {
  'fd': ('fd',), 'kid': ('kid',), 'is': ('is',),
  'pr': ('precision', 'recall', 'density', 'coverage'),
}  # fmt: skip


def chosen_rows(total, n, after=0):
  """n rows of `total`, the same every time, in order: files may be sorted by class. Those `after`
  the first so many are others."""
  return np.sort(np.random.default_rng(0).permutation(total)[after : after + n])


def facts(run, weights):
  """What every result says of its run."""
  found = {
    'family': run.config.family, 'config': run.config.to_dict(), 'checkpoint': int(run.state.step),
    'weights': weights, 'device': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    'versions': versions(),
  }  # fmt: skip
  if run.config.sample.get('classifier'):
    found['classifier'] = digest(open_checkpoint(run.config.sample.classifier).state.ema)
  return found


def _read(path):
  """The arrays in an .npz file; None where it is missing or damaged."""
  try:
    with np.load(path) as arrays:
      return dict(arrays)
  except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
    return None


def _write(path, arrays):
  temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
  with temporary.open('wb') as file:
    np.savez(file, **arrays)
  temporary.replace(path)


def resumable(path, count, make, what, stop=None):
  """The arrays of make(0), make(1), ... make(count - 1) one after another, kept in the file `path`.

  make(i) -> {name: array}, with the 'seconds' f64[1] that it took. Until all are there each is a
  file of its own, so that a killed call goes on with the next. The first says what all will cost.
  """
  whole = _read(path)
  if whole is not None:
    return whole
  parts, found, said = path.with_suffix('.parts'), [], False
  parts.mkdir(parents=True, exist_ok=True)
  for i in tqdm(range(count), what, unit='chunk', disable=None, leave=False):
    if stop:
      stop.check()
    file = parts / f'{i:06d}.npz'
    chunk = _read(file)
    if chunk is None:
      chunk = make(i)
      _write(file, chunk)
      if not said and count - i > 1:
        seconds = float(chunk['seconds'][0]) * (count - i - 1)
        tqdm.write(f'{what}: the first of {count - i} chunks took {chunk["seconds"][0]:.1f} s, '
                   f'about {duration(seconds)} to go')  # fmt: skip
        said = True
    found.append(chunk)
  whole = {name: np.concatenate([chunk[name] for chunk in found]) for name in found[0]}
  _write(path, whole)
  shutil.rmtree(parts)
  return whole


def bits_per_dim(
  model, params, data, n, batch_size, seed, path, repeats=1, devices=None, stop=None
):
  """The bound on n examples of `data`: {'total' and its terms: f64[n]} in bits/dim.

  Each is the mean over `repeats` estimates, which draw their noise anew. Example k depends on
  (seed, repeat, k) only. stop.check() is called between the parts of a batch.
  """
  rows = chosen_rows(len(data.image), n)
  replicated, sharded = parallel.shardings(devices or jax.devices())
  batch_size = -(-min(batch_size, n) // replicated.mesh.size) * replicated.mesh.size
  batches = -(-n // batch_size)
  terms = parallel.jit(model.bits.terms)
  placed = []

  def make(i):
    repeat, number = divmod(i, batches)
    if not placed:  # nothing touches the device where all is on disk
      placed.append(jax.device_put(params, replicated))
    index = np.arange(number * batch_size, (number + 1) * batch_size, dtype=np.int32)
    here = rows[np.minimum(index, n - 1)]
    batch = {'image': data.image[here], 'label': data.label[here], 'index': index}
    batch = jax.device_put(batch, sharded)
    key = stream(seed, f'bits {repeat}' if repeat else 'bits')
    arguments = placed[0], key, batch
    if len(placed) == 1:
      placed.append(terms.lower(*arguments, np.int32(0)).compile())
    began, totals = time.monotonic(), {}
    for part in tqdm(range(model.bits.parts), 'one batch', disable=None, leave=False):
      if stop:
        stop.check()
      for name, value in placed[1](*arguments, np.int32(part)).items():
        totals[name] = totals.get(name, 0) + np.asarray(value, np.float64)
    kept = min(batch_size, n - number * batch_size)
    seconds = np.array([time.monotonic() - began])
    return {**{name: value[:kept] for name, value in totals.items()}, 'seconds': seconds}

  what = f'bits/dim of {n:,} images' + (f' x {repeats}' if repeats > 1 else '')
  found = resumable(path, repeats * batches, make, what, stop)
  del found['seconds']
  found = {name: value.reshape(repeats, n).mean(0) for name, value in found.items()}
  return {'total': sum(found.values()), **found}


def mean_and_error(values):
  """{'mean', 'standard_error'} of f[n], over examples."""
  error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float('nan')
  return {'mean': float(values.mean()), 'standard_error': float(error)}


def drawn(run, params, labels, batch_size, seed, path, stop=None):
  """(pixels u8[n,H,W,C], what a row says of them) for labels i32[n].

  The seconds are the median over chunks, without compiling and after a warm-up.
  """
  n = len(labels)
  draw = Draw(run.model, run.spec, min(batch_size, n))
  chunks = -(-n // draw.batch_size)

  def make(i):
    if chunks == 1:  # else the first one is the warm-up
      draw(params, seed, labels, stop=stop)
    began, compiling = time.monotonic(), draw.compile_seconds
    first = i * draw.batch_size
    image = draw(params, seed, labels[first : first + draw.batch_size], stop=stop, first=first)
    seconds = time.monotonic() - began - (draw.compile_seconds - compiling)
    return {
      'arr_0': to_pixels(image, run.spec.levels), 'seconds': np.array([seconds]),
      'compiling': np.array([draw.compile_seconds]),
    }  # fmt: skip

  what = f'drawing {n:,} images x {run.model.nfe:,} net calls'
  found = resumable(path, chunks, make, what, stop)
  return found['arr_0'], {
    'nfe': run.model.nfe,
    'samples': path.name,
    'seconds_per_image': float(np.median(found['seconds'][chunks > 1 :])) / draw.batch_size,
    'compile_seconds': float(found['compiling'].max()),
  }


class Real(NamedTuple):
  """Features f32[n,D] and logits f32[n,K] of real images, and of as many others for the floor.

  `again` is None where there are not enough; `where` says which they are.
  """

  pool: np.ndarray
  again: tuple[np.ndarray, np.ndarray] | None
  where: str


def real_features(extractor, config, data, other, n, floor=True):
  """The Real of n images of `data`; its floor is of n more, or else of n of the split `other`, and
  not there without `floor`.

  Real images are as the model sees them, so binarised or in bins where config.data says so. Kept in
  the cache. Raises UserError for too few images, for ones that the extractor does not take, and for
  a cached file of other images.
  """
  spec = data.spec
  extractor.check(spec.shape)
  if n > len(data.image):
    raise UserError(f'{spec.name} {data.split} has {len(data.image)} images: --n={len(data.image)}')
  rows, more = chosen_rows(len(data.image), n), chosen_rows(len(data.image), n, after=n)
  second, where = None, 'no floor'
  if floor and 2 * n <= len(data.image):
    second, where = (data, more), f'{n} more of {data.split}'
  elif floor and n <= len(other.image):
    second, where = (other, chosen_rows(len(other.image), n)), f'{n} of {other.split}'
  elif floor:
    where += f': {data.split} has fewer than 2 x {n} images, {other.split} fewer than {n}'
  about = {
    'extractor': extractor.sha256, 'n': n, 'data': data.fingerprint(), 'where': where,
    'floor': second[0].fingerprint() if second else None,
    'bins': config.data.bins, 'binarise': config.data.binarise, 'shape': list(spec.shape),
  }  # fmt: skip
  path = cache_dir() / 'reference' / f'{key_of(about)}.npz'
  saved = _read(path)
  if saved is not None and json.loads(str(saved['about'])) != about:
    raise UserError(f'{path} holds the features of other images: remove it')

  def features(source, rows):
    keys = of_examples(stream(0, 'reference'), rows)
    image = np.asarray(view(spec, config.data, keys, source.image[rows], False))
    return extractor.extract(to_pixels(image, spec.levels))

  if saved is None:
    saved = {'pool': features(data, rows)[0]}
    if second:
      saved['floor_pool'], saved['floor_logits'] = features(*second)
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      _write(path, {**saved, 'about': np.array(json.dumps(about))})
    except OSError as e:
      print(f'note: cannot keep the features of real images in {path} ({e}); going on without')
  again = (saved['floor_pool'], saved['floor_logits']) if second else None
  return Real(saved['pool'], again, where)


def distances(metric, real, pool, logits):
  """{name: value} of one of IN_FEATURES, for features and logits of images to be judged."""
  if metric == 'fd':
    return {'fd': metrics.frechet_distance(*metrics.moments(real.pool), *metrics.moments(pool))}
  if metric == 'kid':
    return {'kid': metrics.kernel_distance(real.pool, pool)}
  if metric == 'is':
    return {'is': metrics.inception_score(logits)}
  return metrics.manifolds(real.pool, pool)


def judged(metric, extractor, real, pool, logits):
  """distances() and the floor's, as a row has them: named by extractor and n."""
  named = lambda found, end='': {
    f'{name}_{extractor.name}@{len(real.pool)}{end}': value for name, value in found.items()
  }
  floor = distances(metric, real, *real.again) if real.again else {}
  return {**named(distances(metric, real, pool, logits)), **named(floor, '/floor')}


def point_distance(data, other, n, images):
  """Sliced Wasserstein of points u8[n,1,1,D] to n of `data`; the floor is n of `other`'s."""
  flat = lambda image: np.asarray(image).reshape(len(image), -1)
  real, again = (flat(d.image[chosen_rows(len(d.image), n)]) for d in (data, other))
  return {
    f'swd@{n}': metrics.sliced_wasserstein(flat(images), real),
    f'swd@{n}/floor': metrics.sliced_wasserstein(again, real),
  }
