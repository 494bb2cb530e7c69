"""Feature extractors: extract(image u8[N,H,W,C], 0..255) -> (pool f32[N,D], logits f32[N,K]).

The weights of this project's own are in trilemma/weights; scripts/extractor.py makes such files.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict
from tqdm import tqdm

from trilemma import parallel
from trilemma.data import cache_dir
from trilemma.exits import UserError
from trilemma.gaussian import to_model_scale
from trilemma.nets import CLASSIFIERS, make_net
from trilemma.nets.inception import Inception
from trilemma.run import digest, open_checkpoint

WEIGHTS = Path(__file__).parent / 'weights'
# how many features a net of each kind has, of its configuration
SIZES = {
  'inception': lambda net: 2048,
  'lenet': lambda net: net['hidden'],
  'encoder': lambda net: net['channels'] * net['multipliers'][-1],
}


class Extractor(NamedTuple):
  """name is for results, as in 'fd_<name>'; sha256 of the weights; shape (H, W, C) of the images
  that it takes, () for any of 1 or 3 channels; what it was made from; the function."""

  name: str
  sha256: str
  shape: tuple[int, ...]
  about: dict
  extract: Callable

  def check(self, shape):
    """Raises UserError where images of `shape` (H, W, C) do not fit."""
    if self.shape and tuple(shape) != self.shape:
      raise UserError(f'the extractor {self.name} takes images {self.shape}, not {tuple(shape)}: '
                      'name another one with --extractor')  # fmt: skip
    if shape[-1] not in (1, 3):
      raise UserError(f'the extractor {self.name} takes 1 or 3 channels, not {shape[-1]}')


def own_weights(data):
  """The file of this project's own extractor for images of the data set `data`, there or not."""
  return WEIGHTS / f'{data}_lenet.npz'


def find(choice, spec):
  """The Extractor of a user's choice: a .npz file, the workdir of a classifier, 'inception', or ''
  for this project's own of the data `spec`. Raises UserError where there is none that fits."""
  own = own_weights(spec.name)
  inception = cache_dir() / 'inception.npz'
  if choice == 'inception' and not inception.exists():
    raise UserError(
      f'{inception} is not there: python scripts/extractor.py --inception=FILE.pth makes it from '
      'the public weights'
    )
  if not choice and not own.exists():
    raise UserError(
      f'there is no feature extractor for {spec.name}: name one with --extractor=WORKDIR of a '
      'classifier of clean images, or --extractor=inception'
    )
  file = inception if choice == 'inception' else Path(choice or own)
  extractor = load(file) if file.suffix == '.npz' else of_classifier(file)
  extractor.check(spec.shape)
  return extractor


def load(file):
  """The Extractor in an .npz file. Raises UserError for one that is damaged or of another kind."""
  try:
    content = Path(file).read_bytes()
    with np.load(file) as arrays:
      about = json.loads(str(arrays['about']))
      name = about['net']['name']
      params = unflatten_dict({k: arrays[k] for k in arrays if k != 'about'}, sep='/')
  except FileNotFoundError:
    raise UserError(f'{file} is not there') from None
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
    raise UserError(f'{file} is no extractor or damaged: {e}') from e
  sha256 = hashlib.sha256(content).hexdigest()
  if name == 'inception':
    apply = lambda params, image: Inception().apply({'params': params}, image)
    return Extractor('inception', sha256, (), about, _in_batches(apply, params, 32))
  return _classifier(about, sha256, params)


def save(file, about, params):
  """Writes an extractor: `about` is JSON-ready, params a pytree of dicts."""
  flat = {k: np.asarray(v) for k, v in flatten_dict(params, sep='/').items()}
  temporary = Path(file).with_suffix('.tmp')
  with temporary.open('wb') as f:
    np.savez(f, about=np.array(json.dumps(about, sort_keys=True)), **flat)
  temporary.replace(file)


def of_classifier(workdir):
  """The Extractor of a trained classifier of clean images. Raises UserError for any other run."""
  run = open_checkpoint(workdir)
  if run.config.net.name not in CLASSIFIERS or run.config.model.noisy:
    raise UserError(f'{workdir} is no classifier of clean images: train one with '
                    'configs/mnist_classifier.py or configs/digits_classifier.py')  # fmt: skip
  about = {
    'net': run.config.net.to_dict(), 'shape': list(run.spec.shape),
    'classes': list(run.spec.classes), 'step': int(run.state.step),
  }  # fmt: skip
  return _classifier(about, digest(run.state.ema), run.state.ema['net'])


def _classifier(about, sha256, params):
  """Its features are the activations before the last layer."""
  config, shape = ConfigDict(about['net']), tuple(about['shape'])
  net = make_net(config, shape, len(about['classes']), 0, CLASSIFIERS)

  def apply(params, image):
    zeros = jax.numpy.zeros(len(image))
    x = to_model_scale(image, 256)
    logits, kept = net.apply({'params': params}, x, zeros, zeros, False, mutable=['intermediates'])
    return kept['intermediates']['pool'][0], logits

  return Extractor(config.name, sha256, shape, about, _in_batches(apply, params, 256))


def _in_batches(apply, params, batch_size):
  apply = parallel.jit(jax.default_matmul_precision('highest')(apply))

  def extract(image):
    pool, logits = [], []
    for first in tqdm(range(0, len(image), batch_size), 'features', disable=None, leave=False):
      batch = image[first : first + batch_size]
      padded = np.pad(batch, ((0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0)))
      for out, kept in zip(apply(params, padded), (pool, logits), strict=True):
        kept.append(np.asarray(out)[: len(batch)])
    return np.concatenate(pool), np.concatenate(logits)

  return extract
