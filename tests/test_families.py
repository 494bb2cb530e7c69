"""Every configuration, shrunk by :tiny, can train and sample; one of each kind really does."""

import importlib
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import ROOT, needs_data
from PIL import Image

from configs import base
from trilemma import families
from trilemma.data import known_spec
from trilemma.draw import Draw, cycle_labels, labels_for
from trilemma.exits import UserError
from trilemma.plots import to_pixels
from trilemma.run import open_checkpoint
from trilemma.step import init_state, make_tx, train_step
from trilemma.train import train

NAMES = sorted(
  p.stem for p in (ROOT / 'configs').glob('*.py') if p.stem not in ('__init__', 'base', 'tables')
)
DATA = {'mnist': needs_data('mnist'), 'cifar10': needs_data('cifar10')}


def load(name):
  return importlib.import_module(f'configs.{name}').get_config('tiny')


# what the others do is the same program for other shapes
REAL = [
  'cifar10_iddpm', 'cifar10_vdm_aug', 'cifar10_vdm_latent_conditional', 'digits_bfn',
  'digits_classifier', 'digits_cold', 'digits_dcgan', 'digits_ddgan', 'digits_ddpm', 'digits_vdm',
  'folder_ddpm', 'mnist_bfn', 'mnist_cnn_ddpm', 'swirl_vdm_shortcut',
]  # fmt: skip


@pytest.mark.parametrize('name', NAMES)
def test_a_training_step_and_samples_have_their_shapes(name):
  """All but compiling and running: the step keeps the state's shapes, samples are images."""
  config = load(name)
  if config.data.name.startswith('folder:'):
    config.data.name = 'cifar10'
  spec = known_spec(config.data)
  model = families.make(config, spec)
  tx = {player: make_tx(config.optim[player], 4) for player in model.losses}
  key = jax.random.key(0)
  state = jax.eval_shape(lambda: init_state(model, tx, key))
  n = config.train.batch_size
  batch = {
    'image': jax.ShapeDtypeStruct((n, *spec.shape), np.uint8),
    'label': jax.ShapeDtypeStruct((n,), np.int32), 'index': jax.ShapeDtypeStruct((n,), np.int32),
  }  # fmt: skip
  after, metrics = jax.eval_shape(
    lambda state, batch: train_step(model, tx, config.ema, state, key, batch), state, batch
  )
  shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
  assert shapes(after) == shapes(state)
  assert all(value.shape == () for value in metrics.values())
  if model.sample:
    keys, label = jax.random.split(key, 3), np.zeros(3, np.int32)
    image = jax.eval_shape(lambda p: model.sample(p, keys, label), state.params)
    assert (image.shape, image.dtype) == ((3, *spec.shape), np.uint8)


@pytest.mark.parametrize(
  'name', [pytest.param(n, marks=DATA.get(load(n).data.name, ())) for n in REAL]
)
def test_trains_saves_restores_and_samples(name, tmp_path, one_device):
  config = load(name)
  if config.data.name.startswith('folder:'):
    folder = tmp_path / 'images'
    folder.mkdir()
    for number in range(20):
      noise = np.random.default_rng(number).integers(0, 256, (40, 30, 3), np.uint8)
      Image.fromarray(noise).save(folder / f'{number}.jpg')
    config.data.update({'name': f'folder:{folder}', 'resolution': 16})
  config.train.update({'steps': 2, 'eval_every': 2, 'sample_every': 2})
  state = train(config, tmp_path / 'run', devices=one_device)
  run = open_checkpoint(tmp_path / 'run')
  for a, b in zip(jax.tree.leaves(run.state), jax.tree.leaves(state), strict=True):
    np.testing.assert_array_equal(a, b)
  assert (tmp_path / 'run' / 'config.json').exists()
  if config.family == 'classifier':
    assert run.model.sample is None and not (tmp_path / 'run' / 'samples').exists()
    return
  draw = Draw(run.model, run.spec, config.sample.n, one_device)
  images = draw(run.state.ema, 0, cycle_labels(config.sample.n, run.spec))
  assert images.dtype == np.uint8 and images.shape == (config.sample.n, *run.spec.shape)
  assert images.max() < run.spec.levels
  picture = Image.open(tmp_path / 'run' / 'samples' / '00000002.png')
  assert picture.size[0] > 0


def test_every_configuration_says_how_to_run_it():
  for name in NAMES:
    text = Path(ROOT / 'configs' / f'{name}.py').read_text()
    assert f'python scripts/train.py --config=configs/{name}.py' in text
    with pytest.raises(UserError, match=r"unknown variant 'huge'.*tiny"):
      importlib.import_module(f'configs.{name}').get_config('huge')


def test_a_variant_cannot_make_a_new_key():
  with pytest.raises(KeyError, match='stpes'):
    base.variants(base.ddpm(), 'long', {'long': {'model.stpes': 3}})


@pytest.mark.parametrize('name', NAMES)
def test_every_variant_makes_a_model(name):
  get_config = importlib.import_module(f'configs.{name}').get_config
  with pytest.raises(UserError) as refused:
    get_config('huge')
  words = str(refused.value).split('choose from ')[1].split(', ')
  default = get_config().to_dict()
  for word in words:
    config = get_config(word)
    if not config.data.name.startswith('folder:'):
      families.make(config, known_spec(config.data))
    if word == 'tiny':
      assert config.to_dict() != default
  with pytest.raises(UserError, match=r'exclude each other'):
    base.variants(get_config(), 'a,b', {'a': {}, 'b': {}})


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  config = importlib.import_module('tiny').get_config()
  config.train.update({'steps': 2, 'save_every': 1, 'log_every': 1})
  train(config, workdir, devices=jax.devices()[:1])
  return workdir


def test_samples_do_not_depend_on_batch_size_or_devices(run):
  """Image i depends on (seed, i) only; a rounding may differ by one level, rarely."""
  opened = open_checkpoint(run)
  params, labels = opened.state.ema, cycle_labels(12, opened.spec)
  one = Draw(opened.model, opened.spec, 12, jax.devices()[:1])(params, 7, labels)
  for batch, devices in ((5, 1), (12, 8), (4, 4)):
    draw = Draw(opened.model, opened.spec, batch, jax.devices()[:devices])
    np.testing.assert_allclose(draw(params, 7, labels).astype(int), one, atol=1)
    assert (draw(params, 7, labels) == one).mean() > 0.999
  assert not np.array_equal(
    Draw(opened.model, opened.spec, 12, jax.devices()[:1])(params, 8, labels), one
  )


def test_frames_end_with_the_images(run):
  opened = open_checkpoint(run, step=1, sample={'steps': 8, 'sampler': 'ancestral'})
  draw = Draw(opened.model, opened.spec, 3, jax.devices()[:1])
  images, frames = draw(opened.state.ema, 0, cycle_labels(5, opened.spec), frames=4)
  assert frames.shape == (4, 5, 8, 8, 1)
  # the images have 17 levels, the frames 256: half a level apart at most
  np.testing.assert_allclose(frames[-1].astype(int), to_pixels(images, 17), atol=8)


def test_opening_what_is_not_there_says_so(run, tmp_path):
  with pytest.raises(UserError, match='no checkpoint of step 9'):
    open_checkpoint(run, step=9)
  with pytest.raises(UserError, match='no run'):
    open_checkpoint(tmp_path)
  with pytest.raises(UserError, match='ancestral, ddim, dpmpp_2m'):
    open_checkpoint(run, sample={'sampler': 'euler'})


def test_labels(run):
  spec = open_checkpoint(run).spec
  assert list(labels_for(3, '7', spec, True, 0.1)) == [7, 7, 7]
  assert list(labels_for(1, 'none', spec, True, 0.1)) == [10]
  assert list(labels_for(12, '', spec, True, 0.1))[9:] == [9, 0, 1]
  with pytest.raises(UserError, match='unknown label'):
    labels_for(1, '10', spec, True, 0.1)
  with pytest.raises(UserError, match='unknown label'):
    labels_for(1, 'none', spec, True, 0.0)
  with pytest.raises(UserError, match='not conditional'):
    labels_for(1, '1', spec, False, 0.0)
