"""Feature extractors: the project's own, and the public Inception against its PyTorch original."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import random_inception
from flax.traverse_util import unflatten_dict
from test_cli import call

from configs import base, digits_classifier
from trilemma import data as data_lib
from trilemma import features
from trilemma.data import known_spec, load
from trilemma.exits import UserError
from trilemma.nets.inception import from_torch, resize
from trilemma.plots import to_pixels
from trilemma.train import train

CHECKSUMS = dict(
  reversed(line.split()) for line in (features.WEIGHTS / 'SHA256SUMS').read_text().splitlines()
)


def section(name):
  c = base.common().data
  c.name = name
  return c


@pytest.mark.parametrize(
  ('name', 'accuracy'), [('digits', 0.975), ('mnist', 0.992), ('cifar10', 0.74)]
)
def test_the_committed_classifiers_are_what_they_say(name, accuracy):
  spec = known_spec(section(name))
  extractor = features.find('', spec)
  assert extractor.sha256 == CHECKSUMS[f'{name}_lenet.npz'] and extractor.shape == spec.shape
  assert extractor.about['test_accuracy'] >= accuracy
  assert (features.WEIGHTS / f'{name}_lenet.npz').stat().st_size < 1e6
  if name == 'digits':
    test = load(section(name), 'test')
    pool, logits = extractor.extract(to_pixels(test.image, spec.levels))
    assert pool.shape == (299, 64) and logits.shape == (299, 10)
    found = (logits.argmax(1) == test.label).mean()
    assert found == pytest.approx(extractor.about['test_accuracy'])


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'classifier'
  config = digits_classifier.get_config('tiny')
  config.train.update({'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0})
  train(config, workdir, devices=jax.devices()[:1])
  return workdir


def test_a_classifiers_file_is_its_workdir(classifier, tmp_path):
  file = tmp_path / 'own.npz'
  done = call('extractor', f'--workdir={classifier}', f'--out={file}')
  assert 'test images are classified right' in done.stdout
  spec = known_spec(section('digits'))
  image = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 1)).astype(np.uint8)
  ours, theirs = (features.find(str(choice), spec) for choice in (file, classifier))
  for a, b in zip(ours.extract(image), theirs.extract(image), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)  # its weights have 16 bits
  assert ours.sha256 in done.stdout
  # a batch is padded to one shape: features do not depend on their neighbours
  alone = ours.extract(image[3:4])
  np.testing.assert_allclose(alone[0], ours.extract(image)[0][3:4], rtol=1e-5, atol=1e-6)
  file.write_bytes(file.read_bytes()[:-100])
  with pytest.raises(UserError, match='damaged'):
    features.find(str(file), spec)


def test_what_does_not_fit_is_refused(classifier, tmp_path, monkeypatch):
  monkeypatch.setenv('TRILEMMA_CACHE', str(tmp_path))
  cifar, digits = (known_spec(section(name)) for name in ('cifar10', 'digits'))
  with pytest.raises(UserError, match='no feature extractor for swirl'):
    features.find('', known_spec(section('swirl')))
  with pytest.raises(UserError, match=r'takes images \(8, 8, 1\), not \(32, 32, 3\)'):
    features.find(str(classifier), cifar)
  with pytest.raises(UserError, match='--inception=FILE'):
    features.find('inception', cifar)
  with pytest.raises(UserError, match=r'nothing\.npz is not there'):
    features.find(str(tmp_path / 'nothing.npz'), digits)
  config = digits_classifier.get_config('noisy,tiny')
  config.train.update({'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0})
  train(config, tmp_path / 'noisy', devices=jax.devices()[:1])
  with pytest.raises(UserError, match='no classifier of clean images'):
    features.find(str(tmp_path / 'noisy'), digits)
  any_size = features.Extractor('x', '', (), {}, None)
  with pytest.raises(UserError, match='1 or 3 channels, not 2'):
    any_size.check((1, 1, 2))


@pytest.mark.parametrize('size', [5, 20, 299, 310])
def test_resizing_is_tensorflow_1s(size):
  """Output i reads input i size / 299: a ramp stays one up to the last input pixel."""
  ramp = np.arange(size) % 256
  image = jnp.asarray(ramp.reshape(1, size, 1, 1).repeat(3, 2), jnp.uint8)
  out = np.asarray(resize(image))[0, :, 0, 0]
  at = np.minimum(np.arange(299) * size / 299, size - 1)
  np.testing.assert_allclose(out, np.interp(at, np.arange(size), ramp), atol=2e-2)


def test_inception_agrees_with_the_public_implementation(tmp_path):
  """Random weights through torch-fidelity 0.4's FeatureExtractorInceptionV3 gave these numbers."""
  weights = random_inception.weights()
  trained = sum(v.size for k, v in weights.items() if 'running' not in k)
  assert trained + 1008 == 23_850_960  # with the bias that the logits leave out
  params = unflatten_dict(from_torch(weights), sep='/')
  features.save(tmp_path / 'inception.npz', {'net': {'name': 'inception'}}, params)
  extractor = features.load(tmp_path / 'inception.npz')
  pool, logits = extractor.extract(random_inception.image())
  np.testing.assert_allclose(pool[0, ::400], [
    0.17548311, 7.69861269, 17.32200050, 0.14577733, 2.56796885, 4.23942804,
  ], rtol=1e-3)  # fmt: skip
  np.testing.assert_allclose(logits[1, ::250], [
    6.07751942, 3.79517674, 2.95738959, -0.88713622, 1.59253359,
  ], rtol=2e-3)  # fmt: skip
  assert pool.shape == (2, 2048) and logits.shape == (2, 1008)
  weights.pop('Mixed_7c.branch1x1.bn.bias')
  with pytest.raises(KeyError):
    from_torch(weights)


def test_another_file_is_not_the_public_inception(tmp_path):
  (tmp_path / 'weights.pth').write_bytes(b'something else')
  done = call('extractor', f'--inception={tmp_path}/weights.pth', code=2)
  assert 'not the public file' in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_images_are_read_from_a_folder_and_from_npz(tmp_path):
  from PIL import Image

  image = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
  np.savez(tmp_path / 'images.npz', arr_0=image)
  for n, one in enumerate(image):
    Image.fromarray(one).save(tmp_path / f'{n}.png')
  np.testing.assert_array_equal(data_lib.read_images(tmp_path), image)
  np.testing.assert_array_equal(data_lib.read_images(tmp_path / 'images.npz'), image)
  (tmp_path / 'grey').mkdir()
  Image.fromarray(image[0, :, :, 0]).save(tmp_path / 'grey' / 'a.png')
  np.testing.assert_array_equal(data_lib.read_images(tmp_path / 'grey')[0], image[0, :, :, :1])
  Image.fromarray(image[0, :4]).save(tmp_path / 'other.png')
  (tmp_path / 'empty').mkdir()
  np.savez(tmp_path / 'floats.npz', arr_0=image / 255)
  (tmp_path / 'text.npz').write_text(json.dumps({}))
  for name, message in (
    ('', 'one size'),
    ('empty', 'no images'),
    ('floats.npz', 'not float64'),
    ('text.npz', 'arr_0'),
  ):
    with pytest.raises(UserError, match=message):
      data_lib.read_images(tmp_path / name)
