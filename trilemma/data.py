"""Data sets as uint8 arrays, and batch_at: which rows make the batch of a step.

`image` holds levels 0..levels-1 as uint8 [N,H,W,C]; nothing is scaled here. A decoded split is
cached as one .npy file, which is memory-mapped, so a folder may be larger than memory. No network
is touched: scripts/download.py is the only code that downloads.
"""

import functools
import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from trilemma.exits import UserError, choose
from trilemma.keys import folded

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')


class Spec(NamedTuple):
  """What a model must know of its data. shape is (H, W, C); classes are names, () for none."""

  name: str
  shape: tuple[int, int, int]
  levels: int  # of the image that the model sees
  stored_levels: int  # of Data.image; differs where pixels are binarised or put into bins
  classes: tuple[str, ...]


class Data(NamedTuple):
  """One split: image u8[N,H,W,C], label i32[N], and a sha256 over both."""

  spec: Spec
  split: str
  image: np.ndarray
  label: np.ndarray
  sha256: str

  def fingerprint(self):
    """What a checkpoint keeps of its data, JSON-ready."""
    return {
      'name': self.spec.name, 'split': self.split, 'n': len(self.image), 'sha256': self.sha256,
    }  # fmt: skip


CIFAR10_CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer']
CIFAR10_CLASSES += ['dog', 'frog', 'horse', 'ship', 'truck']
DIGIT_CLASSES = [str(n) for n in range(10)]
# name: shape, levels, classes. What a folder holds is known once it is read.
FIXED = {
  'digits': ((8, 8, 1), 17, DIGIT_CLASSES),
  'mnist': ((28, 28, 1), 256, DIGIT_CLASSES),
  'cifar10': ((32, 32, 3), 256, CIFAR10_CLASSES),
  'swirl': ((1, 1, 2), 256, []),
}


def cache_dir():
  """Where decoded data and compiled programs are kept: TRILEMMA_CACHE or ~/.cache/trilemma."""
  return Path(os.environ.get('TRILEMMA_CACHE') or Path.home() / '.cache' / 'trilemma')


def data_dir(flag=''):
  """The TFDS directory: the flag, else TFDS_DATA_DIR, else TFDS's own default."""
  return Path(flag or os.environ.get('TFDS_DATA_DIR') or Path.home() / 'tensorflow_datasets')


def _digits(split):
  from sklearn.datasets import load_digits

  images, labels = load_digits(return_X_y=True)
  held_out = np.arange(len(labels)) % 6 == 5  # every sixth image is the test split
  keep = held_out if split == 'test' else ~held_out
  return images[keep].reshape(-1, 8, 8, 1).astype(np.uint8), labels[keep]


def _swirl(split):
  """The 2-D swirl of Kingma et al.'s example, 1024 points; the test split is another draw."""
  random = np.random.RandomState(0 if split == 'train' else 1)
  theta = np.sqrt(random.rand(1024)) * 3 * np.pi
  radius = 2 * theta + np.pi
  points = np.stack([np.cos(theta) * radius, np.sin(theta) * radius], -1)
  points = points + 0.25 * random.randn(1024, 2)
  return np.uint8(4 * (points + 30)).reshape(-1, 1, 1, 2), np.zeros(1024)


def _tfds(name, split, directory):
  def decode(allocate):
    if not list((directory / name).glob('*/dataset_info.json')):
      raise UserError(
        f'{name} is not in {directory}: run python scripts/download.py {name} '
        f'--data_dir={directory}, or name the directory that has it with --data_dir or '
        'TFDS_DATA_DIR'
      )
    import tensorflow_datasets as tfds

    try:
      source = tfds.data_source(
        name, split=split, data_dir=directory, download=False, try_gcs=False
      )
    except NotImplementedError:
      raise UserError(
        f'{name} in {directory} was not prepared as array_record: run '
        f'python scripts/download.py {name} --data_dir=ANOTHER_DIRECTORY'
      ) from None
    image = allocate((len(source), *FIXED[name][0]))
    label = np.empty(len(source), np.int32)
    for i in tqdm(range(len(source)), f'decoding {name} {split}', disable=None):
      row = source[i]
      image[i], label[i] = row['image'], row['label']
    return image, label

  return _cached(cache_dir() / f'{name}-{split}', decode)


def _folder(path, split, resolution):
  """(image, label, class names) of a directory; every tenth file is the test split."""
  root = Path(path).expanduser()
  files = sorted(p for p in root.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
  if not files:
    raise UserError(f'no images ({", ".join(IMAGE_SUFFIXES)}) under {root}')
  classes = sorted({p.relative_to(root).parts[0] for p in files if p.parent != root})
  if classes and any(p.parent == root for p in files):
    raise UserError(f'{root} has images both beside and inside sub-directories: use one or other')
  files = [p for n, p in enumerate(files) if (n % 10 == 9) == (split == 'test')]
  if not files:
    raise UserError(f'{root} has fewer than 10 images: none is left for the test split')
  facts = [(str(p.relative_to(root)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
  key = hashlib.sha256(repr((facts, resolution)).encode()).hexdigest()[:16]

  def read(file):
    try:
      image = Image.open(file).convert('RGB')
    except (UnidentifiedImageError, OSError) as e:
      raise UserError(f'cannot read {file}: {e}') from e
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)))

  def decode(allocate):
    if not resolution:
      raise UserError('a folder needs its size: --config.data.resolution=32')
    image = allocate((len(files), resolution, resolution, 3))
    for n, file in enumerate(tqdm(files, f'decoding {root.name} {split}', disable=None)):
      image[n] = _resize(read(file)[None], resolution, 256)[0]
    label = [classes.index(p.relative_to(root).parts[0]) if classes else 0 for p in files]
    return image, np.array(label)

  return *_cached(cache_dir() / f'folder-{key}', decode), classes


def read_images(path):
  """u8[N,H,W,C] of a folder of images of one size, or of arr_0 in an .npz file."""
  path = Path(path).expanduser()
  if path.suffix == '.npz':
    try:
      with np.load(path) as arrays:
        image = arrays['arr_0']
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
      raise UserError(f'{path} is no .npz file with the array arr_0: {e}') from e
  else:
    files = sorted(p for p in path.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
      raise UserError(f'no images ({", ".join(IMAGE_SUFFIXES)}) under {path}')
    try:
      pictures = [Image.open(file) for file in files]
      grey = all(picture.mode in ('1', 'L') for picture in pictures)
      pictures = [np.atleast_3d(p.convert('L' if grey else 'RGB')) for p in pictures]
      image = np.stack(pictures)
    except (UnidentifiedImageError, OSError, ValueError) as e:
      raise UserError(f'{path}: images of one size are needed: {e}') from e
  if image.ndim != 4 or image.dtype != np.uint8:
    raise UserError(f'{path}: u8[N,H,W,C] is needed, not {image.dtype}{list(image.shape)}')
  return image


def _cached(path, decode):
  """decode(allocate)'s (image, label), read from or kept in the directory `path`.

  allocate(shape) makes the uint8 array on disk, so that it may be larger than memory; only where
  the cache cannot be written is it in memory.
  """
  names = ('image.npy', 'label.npy')
  try:
    return np.load(path / names[0], mmap_mode='r'), np.load(path / names[1])
  except (OSError, ValueError, EOFError):
    pass
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = tempfile.TemporaryDirectory(dir=path.parent)
  except OSError as e:
    print(f'note: cannot cache decoded images in {path} ({e}); going on without')
    return decode(lambda shape: np.empty(shape, np.uint8))
  with temporary as directory:
    file = Path(directory) / names[0]
    image, label = decode(
      lambda shape: np.lib.format.open_memmap(file, 'w+', np.uint8, tuple(shape))
    )
    image.flush()
    np.save(Path(directory) / names[1], label)
    path.mkdir(exist_ok=True)
    for name in names:
      os.replace(Path(directory) / name, path / name)
  return np.load(path / names[0], mmap_mode='r'), label


def _resize(image, side, levels):
  """Antialiased resize of u8[N,H,W,C] to side x side, rounded back to its levels."""

  def channel(plane):
    plane = Image.fromarray(plane.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.round(np.asarray(plane)), 0, levels - 1).astype(np.uint8)

  planes = np.moveaxis(image, -1, 1).reshape(-1, *image.shape[1:3])
  planes = np.stack([channel(p) for p in planes]).reshape(len(image), -1, side, side)
  return np.moveaxis(planes, 1, -1)


def _choose_classes(names, wanted):
  """Class numbers for 'cats+frogs' (plural or singular), in that order."""
  chosen = []
  for word in wanted.split('+'):
    name = word if word in names else word.removesuffix('s')
    if name not in names:
      raise UserError(f'config.data.classes: no class {word!r}: choose from {", ".join(names)}')
    chosen.append(list(names).index(name))
  if len(set(chosen)) < len(chosen):
    raise UserError(f'config.data.classes={wanted} names a class twice')
  return chosen


def known_spec(c):
  """The Spec of a config section `data` without reading any data, for every set but a folder."""
  shape, levels, classes = choose('config.data.name', c.name, FIXED)
  return _spec(c, shape, levels, classes)


def _spec(c, shape, levels, classes):
  if c.classes != 'all':
    classes = [classes[n] for n in _choose_classes(classes, c.classes)]
  if c.resolution and shape[:2] == (1, 1):
    raise UserError(f'config.data.resolution={c.resolution}: {c.name} is points, not images')
  if c.resolution:
    shape = (c.resolution, c.resolution, shape[2])
  if c.bins and (c.binarise or not 2 <= c.bins <= levels):
    raise UserError(f'config.data.bins={c.bins}: 2 to {levels} for {c.name}, without binarise')
  seen = 2 if c.binarise else c.bins or levels
  return Spec(c.name, tuple(shape), seen, levels, tuple(classes))


def load(c, split='train', directory=''):
  """The Data of config section `data`. Raises UserError for missing data or unknown names."""
  name, directory = c.name, data_dir(directory)
  choose('split', split, {'train': None, 'test': None})
  if name.startswith('folder:'):
    image, label, classes = _folder(name.removeprefix('folder:'), split, c.resolution)
    shape, levels = image.shape[1:], 256
  else:
    choose('config.data.name', name, {**FIXED, 'folder:PATH': None})
    shape, levels, classes = FIXED[name]
    read = {'digits': _digits, 'swirl': _swirl}.get(name)
    image, label = read(split) if read else _tfds(name, split, directory)
  spec = _spec(c, shape, levels, classes)
  label = np.asarray(label, np.int32)
  if c.classes != 'all':
    chosen = _choose_classes(classes, c.classes)
    keep = np.isin(label, chosen)
    renumber = np.full(len(classes), -1, np.int32)
    renumber[chosen] = np.arange(len(chosen))
    image, label = image[keep], renumber[label[keep]]
  if not len(image):
    raise UserError(f'{name} has no images in its split {split!r} (classes: {c.classes})')
  if image.shape[1:] != spec.shape:
    image = _resize(image, c.resolution, levels)
  return Data(spec, split, image, label, sha256(image, label))


def of_class(data, number):
  """The Data of one class's images; their labels stay. UserError where there are none."""
  keep = data.label == number
  if not keep.any():
    name = data.spec.classes[number]
    raise UserError(f'{data.spec.name} {data.split} has no images of the class {name}')
  image, label = data.image[keep], data.label[keep]
  return data._replace(image=image, label=label, sha256=sha256(image, label))


def sha256(*arrays):
  """The digest of arrays' contents, hexadecimal."""
  digest = hashlib.sha256()
  for array in arrays:
    digest.update(np.ascontiguousarray(array))
  return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _epoch(seed, epoch, n):
  return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n)


def rows_at(seed, step, n, batch_size):
  """Rows i32[batch_size] of n that make the batch of `step`: a pure function of (seed, step).

  Every epoch is a permutation of all n rows; a batch may span the end of one.
  """
  first = step * batch_size
  numbers = np.arange(first, first + batch_size)
  rows = np.empty(batch_size, np.int32)
  for epoch in range(first // n, (first + batch_size - 1) // n + 1):
    inside = numbers // n == epoch
    rows[inside] = _epoch(seed, epoch, n)[numbers[inside] % n]
  return rows


def view(spec, c, keys, image, train):
  """The image as the model sees it this time: flipped (in training), in bins or binarised.

  image u8[B,H,W,C] of spec.stored_levels -> u8 of spec.levels; keys key[B]. Binarisation draws
  each pixel anew from Bernoulli(level / (stored_levels - 1)), in evaluation too.
  """
  if c.flip and train:
    flips = jax.vmap(jax.random.bernoulli)(folded(keys, 1000))
    image = jnp.where(flips[:, None, None, None], image[:, :, ::-1], image)
  if c.bins:
    image = (image.astype(jnp.int32) * c.bins // spec.stored_levels).astype(jnp.uint8)
  if c.binarise:
    chance = image / (spec.stored_levels - 1)
    image = jax.vmap(jax.random.bernoulli)(folded(keys, 1001), chance).astype(jnp.uint8)
  return image


def reoriented(keys, image):
  """(image, changed f32[B]): flipped with chance 1/2, turned by 90, 180 or 270 with chance 1/2."""

  def draws(key):
    flip, turn, quarter = (jax.random.fold_in(key, n) for n in range(3))
    quarters = jax.random.bernoulli(turn) * jax.random.randint(quarter, (), 1, 4)
    return jax.random.bernoulli(flip), quarters

  flip, quarters = jax.vmap(draws)(keys)
  image = jnp.where(flip[:, None, None, None], image[:, :, ::-1], image)
  turned = jnp.stack([jnp.rot90(image, k, (1, 2)) for k in range(4)])
  image = turned[quarters, jnp.arange(len(image))]
  return image, (flip | (quarters > 0)).astype(jnp.float32)
