"""bits/dim and distances of a run, and the command that measures them."""

import json

import jax
import numpy as np
import pytest
from test_cli import TINY, call

from configs import digits_classifier
from trilemma import data as data_lib
from trilemma import evaluate, features
from trilemma.exits import UserError
from trilemma.run import open_checkpoint
from trilemma.train import train


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'ddpm'
  call('train', TINY, f'--workdir={workdir}')
  return workdir


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'classifier'
  config = digits_classifier.get_config('tiny')
  config.train.update({'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0})
  train(config, workdir, devices=jax.devices()[:1])
  return workdir


def test_bits_do_not_depend_on_batch_size_or_devices(run):
  opened = open_checkpoint(run)
  test = data_lib.load(opened.config.data, 'test')
  measure = lambda batch, devices: evaluate.bits_per_dim(
    opened.model, opened.state.ema, test, 6, batch, 0, jax.devices()[:devices]
  )
  one, several = measure(6, 1), measure(4, 4)
  assert set(one) == {'total', 'prior', 'diffusion', 'reconstruction'}
  for name in one:
    assert one[name].shape == (6,)
    np.testing.assert_allclose(one[name], several[name], rtol=1e-4)
  np.testing.assert_allclose(one['total'], one['prior'] + one['diffusion'] + one['reconstruction'])


def test_mean_and_error():
  found = evaluate.mean_and_error(np.array([1.0, 2.0, 3.0, 4.0]))
  assert found['mean'] == 2.5
  assert found['standard_error'] == pytest.approx(np.sqrt(5 / 3 / 4))


def test_extracted_features_do_not_depend_on_the_batch(classifier):
  spec = open_checkpoint(classifier).spec
  image = np.random.default_rng(0).integers(0, 17, (11, *spec.shape)).astype(np.uint8)
  whole = features.of_classifier(classifier, 11).extract(image)
  parts = features.of_classifier(classifier, 4).extract(image)
  assert whole[0].shape == (11, 8) and whole[1].shape == (11, 10)
  for a, b in zip(whole, parts, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_extractor_of_other_images_is_refused(run, classifier):
  with pytest.raises(UserError, match='no classifier of clean images'):
    features.of_classifier(run)
  extractor = features.of_classifier(classifier)
  config = open_checkpoint(run).config
  digits = data_lib.load(config.data, 'test')
  with pytest.raises(UserError, match=r'takes images \(16, 16, 1\)'):
    evaluate.feature_distance(extractor._replace(shape=(16, 16, 1)), config, digits, 100)
  with pytest.raises(UserError, match='--n=149 or less'):
    evaluate.feature_distance(extractor, config, digits, 200)


def test_real_images_are_compared_as_the_model_sees_them():
  seen = []
  extractor = features.Extractor(
    'mean', '', (8, 8, 1), 2, lambda image: (seen.append(image) or image.mean((1, 2)), None)
  )
  config = digits_classifier.get_config()
  config.data.binarise = True
  train_split = data_lib.load(config.data, 'train')
  _, floor, distance = evaluate.feature_distance(extractor, config, train_split, 200)
  assert all(image.max() == 1 and 0 < image.mean() < 1 for image in seen) and len(seen) == 2
  assert distance(seen[0]) == pytest.approx(0, abs=1e-9) and floor > 0


def test_evaluate_makes_rows_once_and_a_figure(run, classifier):
  flags = (
    f'--workdir={run}', '--metrics=bits,fd', '--n=20', f'--extractor={classifier}',
    '--sampler=ddim,dpmpp_2m', '--steps=2,4', '--batch=20',
  )  # fmt: skip
  done = call('evaluate', *flags)
  assert 'between two real sets' in done.stdout and '20 images' in done.stdout
  last = json.loads(done.stdout.splitlines()[-1])
  assert last['fd_lenet@20'] > 0 and last['fd_lenet@20/floor'] > 0 and last['checkpoint'] == 20
  sample = last['config']['sample']
  assert sample['sampler'] == 'dpmpp_2m' and sample['steps'] == 4
  assert (run / 'eval' / 'steps.png').exists()
  rows = [json.loads(path.read_text()) for path in (run / 'eval').glob('*.json')]
  assert len(rows) == 5
  (bits,) = (row for row in rows if 'bits/total' in row)
  for name in ('mean', 'standard_error'):
    expected = bits['bits/total'][name] * 64 * np.log(2)
    assert bits['nats_per_image'][name] == pytest.approx(expected)
  again = call('evaluate', *flags)
  assert json.loads(again.stdout.splitlines()[-1]) == last


@pytest.mark.parametrize(('flags', 'message'), [
  (('--metrics=fid',), 'choose from bits, fd, swd'),
  (('--metrics=fd',), '--extractor'),
  (('--steps=few', '--metrics=fd'), 'numbers are needed'),
  (('--steps=4',), '--steps is for samples'),
  (('--metrics=swd',), 'digits has images'),
  (('--metrics=fd', '--few=4', '--extractor=x'), '--few is for --sampler=shortcut'),
  (('--n=5000',), 'digits test has 299 images'),
  (('--metrics=fd', '--guidance=2', '--extractor=x'), 'label_drop'),
])  # fmt: skip
def test_a_users_mistake_gets_one_line(run, flags, message):
  done = call('evaluate', f'--workdir={run}', *flags, code=2)
  lines = done.stderr.strip().splitlines()
  assert len(lines) == 1 and lines[0].startswith('error: ') and message in lines[0], done.stderr


def test_families_without_samplers_are_measured_too(classifier, tmp_path):
  from configs import digits_bfn

  config = digits_bfn.get_config('tiny')
  config.train.update({'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0})
  config.train.sample_every = 0
  train(config, tmp_path / 'run', devices=jax.devices()[:1])
  done = call(
    'evaluate', f'--workdir={tmp_path}/run', '--metrics=fd', f'--extractor={classifier}', '--n=20',
    '--steps=2,3',
  )  # fmt: skip
  assert json.loads(done.stdout.splitlines()[-1])['nfe'] == 4


def test_points_have_their_own_distance(tmp_path):
  from configs import swirl_vdm

  config = swirl_vdm.get_config('tiny')
  config.train.update({'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0})
  train(config, tmp_path / 'run', devices=jax.devices()[:1])
  flags = (f'--workdir={tmp_path}/run', '--metrics=bits,swd', '--n=16', '--split=train')
  done = call('evaluate', *flags, '--sampler=ddim,shortcut', '--steps=3', '--few=1,2')
  rows = [json.loads(p.read_text()) for p in (tmp_path / 'run' / 'eval').glob('*.json')]
  assert sorted(row['nfe'] for row in rows if 'nfe' in row) == [1, 2, 3]
  assert all(row['swd@16'] > 0 for row in rows if 'nfe' in row)
  assert 'bits/dim' in done.stdout and 'figure in' in done.stdout


def test_a_classifier_draws_nothing(classifier):
  done = call('sample', f'--workdir={classifier}', code=2)
  assert 'draws no images' in done.stderr
  done = call('evaluate', f'--workdir={classifier}', code=2)
  assert 'has no likelihood' in done.stderr
