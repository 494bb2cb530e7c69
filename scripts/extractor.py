"""Makes a feature extractor's file: of a trained classifier, or of the public Inception weights.

python scripts/extractor.py --workdir=runs/mnist_classifier --out=mnist_lenet.npz
python scripts/extractor.py --inception=pt_inception-2015-12-05-6726825d.pth
The second needs PyTorch to read its file (pip install torch) and writes to the cache, where
evaluate.py --extractor=inception finds it. What is there, with its test accuracy and sha256, is
printed.
"""

import hashlib
from pathlib import Path

import jax
import numpy as np
from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'A classifier of clean images.')
INCEPTION = flags.DEFINE_string('inception', '', 'The public PyTorch file of 2015-12-05.')
OUT = flags.DEFINE_string('out', '', 'The file to write, .npz; default in the cache for Inception.')
DATA_DIR = flags.DEFINE_string('data_dir', '', 'TFDS directory; default TFDS_DATA_DIR.')
PUBLIC = '6726825d'  # the public file's sha256 begins so, as its name says


def main(stop):
  from trilemma import features
  from trilemma.data import cache_dir
  from trilemma.exits import UserError

  if bool(WORKDIR.value) == bool(INCEPTION.value):
    raise UserError('one of --workdir and --inception is needed')
  if WORKDIR.value and not OUT.value:
    raise UserError('--out=FILE.npz is needed')
  out = Path(OUT.value or cache_dir() / 'inception.npz')
  if out.suffix != '.npz':
    raise UserError(f'--out={out} must end in .npz')
  about, params = of_classifier() if WORKDIR.value else of_inception()
  out.parent.mkdir(parents=True, exist_ok=True)
  features.save(out, about, params)
  print(f'{out}: {out.stat().st_size:,} bytes, sha256 {features.load(out).sha256}')


def of_classifier():
  """Weights of the running mean, with the accuracy on the whole test split."""
  from trilemma import data, features, plots
  from trilemma.keys import of_examples, stream
  from trilemma.run import open_checkpoint
  from trilemma.workdir import versions

  extractor, run = features.of_classifier(WORKDIR.value), open_checkpoint(WORKDIR.value)
  test = data.load(run.config.data, 'test', DATA_DIR.value)
  keys = of_examples(stream(0, 'test'), np.arange(len(test.image)))
  seen = np.asarray(data.view(run.spec, run.config.data, keys, test.image, False))
  _, logits = extractor.extract(plots.to_pixels(seen, run.spec.levels))
  accuracy = float((logits.argmax(1) == test.label).mean())
  print(f'{accuracy:.2%} of {len(test.image):,} {run.spec.name} test images are classified right')
  about = {
    **extractor.about, 'config': run.config.to_dict(), 'data': test.fingerprint(),
    'test_accuracy': accuracy, 'versions': versions(),
  }  # fmt: skip
  # for a small file; its features are those of the rounded weights, computed in float32
  return about, jax.tree.map(lambda x: np.asarray(x, np.float16), run.state.ema['net'])


def of_inception():
  """The public weights, checked by their sha256."""
  from flax.traverse_util import unflatten_dict

  from trilemma.exits import UserError
  from trilemma.nets.inception import from_torch

  file = Path(INCEPTION.value)
  try:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
  except OSError as e:
    raise UserError(f'{file}: {e.strerror}') from e
  if not sha256.startswith(PUBLIC):
    raise UserError(f'{file} is not the public file: its sha256 is {sha256}, not {PUBLIC}...')
  try:
    import torch
  except ImportError:
    raise UserError('PyTorch is needed to read this file: pip install torch') from None
  weights = torch.load(file, map_location='cpu', weights_only=True)
  params = from_torch({name: value.numpy() for name, value in weights.items()})
  return {'net': {'name': 'inception'}, 'sha256': sha256}, unflatten_dict(params, sep='/')


if __name__ == '__main__':
  cli.run(main)
