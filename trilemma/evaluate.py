"""Measuring a run: likelihood bounds, distance of its samples to data, seconds per image."""

import hashlib
import json
import time
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from trilemma import metrics, parallel
from trilemma.data import view
from trilemma.draw import cycle_labels, make_draw
from trilemma.exits import UserError
from trilemma.keys import of_examples, stream
from trilemma.run import digest, open_checkpoint
from trilemma.workdir import versions
from trilemma.writers import write_json


def chosen_rows(total, n):
  """Rows i64[n] of `total`, the same every time, in order: files may be sorted by class."""
  return np.sort(np.random.default_rng(0).permutation(total)[:n])


def facts(run, weights):
  """What every row says of its run."""
  found = {
    'family': run.config.family, 'config': run.config.to_dict(), 'checkpoint': int(run.state.step),
    'weights': weights, 'device': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    'versions': versions(),
  }  # fmt: skip
  if run.config.sample.get('classifier'):
    found['classifier'] = digest(open_checkpoint(run.config.sample.classifier).state.ema)
  return found


def row(directory, settings, measure):
  """The row of these settings in `directory`: read where it is there, else measured and written."""
  name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
  path = Path(directory) / f'{settings["checkpoint"]}-{name}.json'
  if not path.exists():
    path.parent.mkdir(exist_ok=True)
    write_json(path, {**settings, **measure()})
  return json.loads(path.read_text())


def bits_per_dim(model, params, data, n, batch_size, seed, devices=None, stop=None):
  """The bound on n examples of `data`: {'total' and its terms: f64[n]} in bits/dim.

  Example k depends on (seed, k) only. stop.check() is called between the parts of a batch.
  """
  rows = chosen_rows(len(data.image), n)
  replicated, sharded = parallel.shardings(devices or jax.devices())
  batch_size = -(-batch_size // replicated.mesh.size) * replicated.mesh.size
  terms = parallel.jit(model.bits.terms)
  params, key = jax.device_put(params, replicated), stream(seed, 'bits')
  batches, found = -(-n // batch_size), []
  bar = tqdm(total=batches * model.bits.parts, desc='bits/dim', unit='part', disable=None)
  with bar:
    for number in range(batches):
      index = np.arange(number * batch_size, (number + 1) * batch_size, dtype=np.int32)
      here = rows[np.minimum(index, n - 1)]
      batch = {'image': data.image[here], 'label': data.label[here], 'index': index}
      batch = jax.device_put(batch, sharded)
      totals = {}
      for part in range(model.bits.parts):
        if stop:
          stop.check()
        for name, value in terms(params, key, batch, part).items():
          totals[name] = totals.get(name, 0) + np.asarray(value, np.float64)
        bar.update()
      found.append(totals)
  found = {name: np.concatenate([f[name] for f in found])[:n] for name in found[0]}
  return {'total': sum(found.values()), **found}


def mean_and_error(values):
  """{'mean', 'standard_error'} of f[n], over examples."""
  error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float('nan')
  return {'mean': float(values.mean()), 'standard_error': float(error)}


def draw_timed(run, params, n, batch_size, seed, stop=None):
  """(images u8[n,H,W,C], seconds per image, seconds to compile), labels in turn."""
  batch_size = -(-batch_size // jax.device_count()) * jax.device_count()
  draw = make_draw(run.model, run.spec, batch_size)
  labels = cycle_labels(n, run.spec)
  began = time.monotonic()
  draw(params, seed, labels[:batch_size], stop=stop)
  warm = time.monotonic()
  images = draw(params, seed, labels, stop=stop)
  seconds = (time.monotonic() - warm) / (-(-n // batch_size) * batch_size)
  return images, seconds, max(0.0, warm - began - seconds * batch_size)


def feature_distance(extractor, config, data, n):
  """(name, floor, distance(image u8[n,...])): Frechet distance in the extractor's features.

  The floor is the distance of two disjoint sets of n real images. Real images are as the model sees
  them, so binarised where config.data says so. Raises UserError where the extractor is for other
  images or the split has too few.
  """
  spec = data.spec
  if (extractor.shape, extractor.levels) != (spec.shape, spec.levels):
    raise UserError(
      f'the extractor takes images {extractor.shape} of {extractor.levels} levels, '
      f'not {spec.shape} of {spec.levels}'
    )
  if 2 * n > len(data.image):
    raise UserError(f'{spec.name} {data.split} has {len(data.image)} images: two disjoint sets of '
                    f'n need --n={len(data.image) // 2} or less')  # fmt: skip
  both = np.random.default_rng(0).permutation(len(data.image))[: 2 * n]

  def moments(rows):
    keys = of_examples(stream(0, 'reference'), rows)
    image = np.asarray(view(spec, config.data, keys, data.image[rows], False))
    return metrics.moments(extractor.extract(image)[0])

  def distance(image):
    return metrics.frechet_distance(*real, *metrics.moments(extractor.extract(image)[0]))

  real, other = moments(np.sort(both[:n])), moments(np.sort(both[n:]))
  return f'fd_{extractor.name}@{n}', metrics.frechet_distance(*real, *other), distance


def point_distance(data, other, n):
  """(name, floor, distance(points u8[n,1,1,D])): sliced Wasserstein to n points of `data`.

  The floor is that of n points of `other`, a second draw. UserError for too few.
  """
  if n > min(len(data.image), len(other.image)):
    raise UserError(f'{data.spec.name} has {len(data.image)} points: use --n={len(data.image)}')
  flat = lambda image: np.asarray(image).reshape(len(image), -1)
  real, again = (flat(d.image[chosen_rows(len(d.image), n)]) for d in (data, other))
  floor = metrics.sliced_wasserstein(again, real)
  return f'swd@{n}', floor, lambda image: metrics.sliced_wasserstein(flat(image), real)
