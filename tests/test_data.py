"""Data sets and batch_at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import needs_data
from PIL import Image

from configs import base
from trilemma import data
from trilemma.exits import UserError


def section(**changes):
  c = base.common().data
  c.update(changes)
  return c


def test_digits_are_scikit_learns():
  train, test = (data.load(section(), split) for split in ('train', 'test'))
  assert train.image.shape == (1498, 8, 8, 1) and test.image.shape == (299, 8, 8, 1)
  assert train.image.dtype == np.uint8 and train.image.max() == 16
  assert train.spec == data.known_spec(section())
  assert train.spec.levels == 17 and train.spec.classes == tuple('0123456789')
  assert train.sha256 != test.sha256
  assert min(np.bincount(train.label)) > 100 and min(np.bincount(test.label)) > 20


def test_swirl_has_its_published_statistics():
  points = data.load(section(name='swirl')).image.reshape(-1, 2)
  assert len(np.unique(points, axis=0)) == 774
  np.testing.assert_allclose(points.mean(0), (115.567, 135.311), atol=1e-3)
  np.testing.assert_allclose(points.std(0), (47.216, 41.607), atol=1e-3)
  _, counts = np.unique(points, axis=0, return_counts=True)
  p = counts / 1024
  assert -(p * np.log2(p)).sum() / 2 == pytest.approx(4.735256, abs=1e-5)


def test_classes_are_chosen_and_renumbered_in_the_order_given():
  both = data.load(section(classes='7+3'))
  assert both.spec.classes == ('7', '3') and set(both.label) == {0, 1}
  everything = data.load(section())
  np.testing.assert_array_equal(
    both.image[both.label == 0], everything.image[everything.label == 7]
  )
  with pytest.raises(UserError, match='no class'):
    data.load(section(classes='eleven'))


def test_resizing_keeps_the_levels():
  small = data.load(section(resolution=4))
  assert small.spec.shape == small.image.shape[1:] == (4, 4, 1)
  assert small.image.max() <= 16
  assert small.image.mean() == pytest.approx(data.load(section()).image.mean(), rel=0.05)


@pytest.mark.parametrize(('n', 'batch'), [(10, 4), (10, 10), (7, 16), (1498, 128)])
def test_batches_go_through_every_row_once_an_epoch(n, batch):
  steps = 3 * n // batch + 2
  stream = np.concatenate([data.rows_at(5, step, n, batch) for step in range(steps)])
  epochs = stream[: len(stream) // n * n].reshape(-1, n)
  assert len(epochs) >= 2
  for rows in epochs:
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))
  assert not np.array_equal(epochs[0], epochs[1])
  assert not np.array_equal(data.rows_at(5, 0, n, batch), data.rows_at(6, 0, n, batch))


def view(c, image, train, seed=0):
  spec = data.known_spec(c)
  keys = jax.random.split(jax.random.key(seed), len(image))
  return np.asarray(data.view(spec, c, keys, jnp.asarray(image), train))


def test_flips_are_for_training_and_half_of_the_time():
  image = np.arange(8, dtype=np.uint8).reshape(1, 1, 8, 1).repeat(1000, 0)
  c = section(flip=True)
  np.testing.assert_array_equal(view(c, image, False), image)
  flipped = (view(c, image, True) == image[:, :, ::-1]).all((1, 2, 3))
  kept = (view(c, image, True) == image).all((1, 2, 3))
  assert (flipped | kept).all() and flipped.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize('train', [True, False])
def test_binarisation_is_dynamic_and_unbiased(train):
  c = section(binarise=True)
  assert data.known_spec(c).levels == 2 and data.known_spec(c).stored_levels == 17
  image = np.array([0, 4, 8, 16], np.uint8).reshape(1, 2, 2, 1).repeat(4000, 0)
  drawn = view(c, image, train)
  assert set(np.unique(drawn)) == {0, 1}
  np.testing.assert_allclose(drawn.mean(0).ravel(), [0, 0.25, 0.5, 1], atol=0.03)
  assert not np.array_equal(drawn, view(c, image, train, seed=1))


def test_bins_are_equal_parts_of_the_levels():
  c = section(name='mnist', bins=16)
  assert data.known_spec(c).levels == 16
  image = np.array([0, 15, 16, 127, 128, 255], np.uint8).reshape(1, 1, 6, 1)
  np.testing.assert_array_equal(view(c, image, False).ravel(), [0, 0, 1, 7, 8, 15])


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setenv('TRILEMMA_CACHE', str(tmp_path / 'cache'))
  for number, name in enumerate(['ant', 'bee'] * 10):
    path = tmp_path / 'images' / name / f'{number}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (20, 12), (number * 10, 0, 100)).save(path)
  return tmp_path / 'images'


def test_a_folder_of_images_with_classes(folder):
  c = section(name=f'folder:{folder}', resolution=8)
  train, test = data.load(c), data.load(c, 'test')
  assert train.image.shape == (18, 8, 8, 3) and test.image.shape == (2, 8, 8, 3)
  assert train.spec.classes == ('ant', 'bee') and set(train.label) == {0, 1}
  assert (train.image[..., 2] == 100).all()
  assert data.load(c).sha256 == train.sha256  # from the cache
  one = data.load(section(name=f'folder:{folder}', resolution=8, classes='bees'))
  assert one.spec.classes == ('bee',) and len(one.image) + len(train.image) // 2 >= 18


def test_what_is_wrong_with_a_folder_is_said(folder, tmp_path):
  with pytest.raises(UserError, match='resolution'):
    data.load(section(name=f'folder:{folder}'))
  with pytest.raises(UserError, match='no images'):
    data.load(section(name=f'folder:{tmp_path / "nothing"}', resolution=8))
  (folder / 'ant' / 'broken.png').write_bytes(b'\x89PNG nonsense')
  with pytest.raises(UserError, match=r'cannot read .*broken\.png'):
    data.load(section(name=f'folder:{folder}', resolution=8))


def test_a_damaged_cache_is_decoded_again(folder, tmp_path):
  c = section(name=f'folder:{folder}', resolution=8)
  before = data.load(c).sha256
  for file in (tmp_path / 'cache').rglob('image.npy'):
    file.write_bytes(b'half')
  assert data.load(c).sha256 == before


def test_missing_data_says_what_to_run(tmp_path, monkeypatch):
  monkeypatch.setenv('TRILEMMA_CACHE', str(tmp_path / 'cache'))
  with pytest.raises(UserError, match=r'run python scripts/download\.py mnist --data_dir='):
    data.load(section(name='mnist'), directory=str(tmp_path))
  with pytest.raises(UserError, match='cifar10, digits, folder:PATH, mnist, swirl'):
    data.load(section(name='imagenet'))


@needs_data('mnist')
def test_mnist():
  test = data.load(section(name='mnist'), 'test')
  assert test.image.shape == (10_000, 28, 28, 1) and test.image.dtype == np.uint8
  assert test.image.mean() == pytest.approx(33.79, abs=0.01)
  assert np.bincount(test.label).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@needs_data('cifar10')
def test_cifar10_subset_at_another_resolution():
  cats = data.load(section(name='cifar10', classes='cats+frogs', resolution=16), 'test')
  assert cats.image.shape == (2000, 16, 16, 3) and cats.spec.classes == ('cat', 'frog')
