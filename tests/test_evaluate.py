"""The protocol: rows made once, whole or not, whatever the batch; and what users type wrong."""

import json
import shutil

import jax
import numpy as np
import pytest
from conftest import tiny
from test_cli import TINY, call

from configs import digits_bfn, digits_classifier, swirl_vdm
from trilemma import compare, evaluate, features, proxy
from trilemma import data as data_lib
from trilemma import draw as draw_lib
from trilemma.exits import Preempted, UserError
from trilemma.run import open_checkpoint
from trilemma.train import train


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'ddpm'
  call('train', TINY, f'--workdir={workdir}')
  return workdir


def trained(config, workdir):
  """A run of one step."""
  config.train.update({
    'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0, 'sample_every': 0,
  })  # fmt: skip
  train(config, workdir, devices=jax.devices()[:1])
  return workdir


def rows_in(directory):
  return [json.loads(path.read_text()) for path in sorted(directory.glob('*.json'))]


def settings_of(row):
  return {k: v for k, v in row.items() if 'seconds' not in k}


def test_bits_do_not_depend_on_batch_size_or_devices(run, tmp_path):
  opened = open_checkpoint(run)
  test = data_lib.load(opened.config.data, 'test')

  def measure(batch, devices, repeats=1):
    path = tmp_path / f'{batch}-{devices}-{repeats}.npz'
    devices = jax.devices()[:devices]
    return evaluate.bits_per_dim(
      opened.model, opened.state.ema, test, 6, batch, 0, path, repeats, devices
    )

  one, several, mean = measure(6, 1), measure(4, 4), measure(6, 1, repeats=2)
  assert set(one) == {'total', 'prior', 'diffusion', 'reconstruction'}
  for name in one:
    assert one[name].shape == mean[name].shape == (6,)
    np.testing.assert_allclose(one[name], several[name], rtol=1e-4)
  np.testing.assert_allclose(one['total'], one['prior'] + one['diffusion'] + one['reconstruction'])
  assert not np.allclose(one['total'], mean['total'], rtol=1e-6)  # the other half drew anew
  np.testing.assert_allclose(one['total'], mean['total'], rtol=0.5)
  np.testing.assert_allclose(one['prior'], mean['prior'], rtol=1e-6)  # but this has no noise


def test_mean_and_error():
  found = evaluate.mean_and_error(np.array([1.0, 2.0, 3.0, 4.0]))
  assert found['mean'] == 2.5
  assert found['standard_error'] == pytest.approx(np.sqrt(5 / 3 / 4))


class StopAfter:
  """A stop flag that is raised at the n-th check."""

  def __init__(self, n):
    self.left = n

  def check(self):
    self.left -= 1
    if self.left < 0:
      raise Preempted('stopped')


def test_a_killed_evaluation_goes_on_to_the_same_bits(run, tmp_path):
  """Stopped in the middle, with a chunk damaged on top: the same images and bounds, to the bit."""
  opened = open_checkpoint(run)
  params, test = opened.state.ema, data_lib.load(opened.config.data, 'test')
  labels = draw_lib.cycle_labels(20, opened.spec)
  draw = lambda path, stop=None: evaluate.drawn(opened, params, labels, 8, 0, path, stop)[0]
  bound = lambda path, stop=None: evaluate.bits_per_dim(
    opened.model, params, test, 10, 4, 0, path, devices=jax.devices()[:1], stop=stop
  )['total']
  for n, measure in enumerate((draw, bound)):
    whole = measure(tmp_path / f'{n}whole.npz')
    assert len(whole) == (20 if measure is draw else 10)
    path = tmp_path / f'{n}killed.npz'
    with pytest.raises(Preempted):
      measure(path, StopAfter(3 if measure is draw else 40))
    parts = sorted(path.with_suffix('.parts').iterdir())
    assert parts and not path.exists()
    parts[0].write_bytes(parts[0].read_bytes()[:50])
    np.testing.assert_array_equal(measure(path), whole)
    assert not path.with_suffix('.parts').exists()
    path.write_bytes(b'')  # a damaged result is made again, too
    np.testing.assert_array_equal(measure(path), whole)


def test_samples_do_not_depend_on_the_batch_and_are_exactly_n(run, tmp_path):
  opened = open_checkpoint(run)
  draw = lambda batch: evaluate.drawn(
    opened, opened.state.ema, draw_lib.cycle_labels(21, opened.spec), batch, 0,
    tmp_path / f'{batch}.npz',
  )[0]  # fmt: skip
  one, other = draw(8), draw(16)
  assert one.shape == other.shape == (21, 8, 8, 1) and one.dtype == np.uint8
  assert (one == other).mean() > 0.99  # a convolution over another batch rounds differently
  np.testing.assert_array_equal(np.load(tmp_path / '8.npz')['arr_0'], one)
  assert set(np.unique(one)) <= {round(255 * level / 16) for level in range(17)}  # as pixels


def test_real_images_are_compared_as_the_model_sees_them(monkeypatch, tmp_path):
  monkeypatch.setenv('TRILEMMA_CACHE', str(tmp_path))
  seen = []
  extractor = features.Extractor(
    'mean', 'abc', (8, 8, 1), {}, lambda image: (seen.append(image) or image.mean((1, 2)), image)
  )
  config = digits_classifier.get_config()
  config.data.binarise = True
  real, other = (data_lib.load(config.data, split) for split in ('train', 'test'))
  find = lambda n, data=real: evaluate.real_features(extractor, config, data, other, n)
  found = find(200)
  assert all(set(np.unique(image)) == {0, 255} for image in seen) and len(seen) == 2
  assert evaluate.distances('fd', found, found.pool, None)['fd'] == pytest.approx(0, abs=1e-6)
  np.testing.assert_array_equal(find(200).pool, found.pool)
  assert len(seen) == 2  # kept in the cache
  # the floor is of the same split, else of the other, else there is none
  assert found.where == '200 more of train' and find(280, other).where == '280 of test'
  assert find(1000).again is None and 'no floor' in find(1000).where
  judged = evaluate.judged('fd', extractor, find(1000), found.pool, None)
  assert list(judged) == ['fd_mean@1000']
  with pytest.raises(UserError, match='--n=1498'):
    find(1499)
  # features of other images under this name
  one, two = sorted((tmp_path / 'reference').iterdir())[:2]
  shutil.copy(one, two)
  with pytest.raises(UserError, match='features of other images: remove it'):
    for n in (200, 280, 1000):
      find(n)
      find(n, other) if n == 280 else None


def test_evaluate_makes_each_thing_once(run):
  flags = (f'--workdir={run}', '--n=70', '--bits_n=20', '--batch=35')
  several = (*flags, '--sampler=ddim,dpmpp_2m', '--steps=2,4')
  first = call('evaluate', *(f for f in several if 'bits' not in f), '--metrics=fd')
  assert 'about' in first.stdout and 'real to real' in first.stdout
  last = json.loads(first.stdout.splitlines()[-1])
  assert last['fd_lenet@70'] > 0 and last['fd_lenet@70/floor'] > 0 and last['checkpoint'] == 20
  sample = last['config']['sample']
  assert sample['sampler'] == 'dpmpp_2m' and sample['steps'] == last['nfe'] == 4
  assert (run / 'eval' / 'steps.png').exists() and len(rows_in(run / 'eval')) == 4
  # another metric joins the row, of the same samples
  second = call('evaluate', *several, '--metrics=kid,pr,is,bits,speed')
  assert 'drawing' not in second.stdout
  row = json.loads(second.stdout.splitlines()[-1])
  assert len(rows_in(run / 'eval')) == 4
  assert row['fd_lenet@70'] == last['fd_lenet@70'] and row['seconds_per_image'] > 0
  for name in ('kid', 'precision', 'recall', 'density', 'coverage', 'is'):
    assert {f'{name}_lenet@70', f'{name}_lenet@70/floor'} <= set(row)
  bits = row['bits_test@20']
  for name in ('mean', 'standard_error'):
    assert bits['nats_per_image'][name] == pytest.approx(bits['total'][name] * 64 * np.log(2))
  again = call('evaluate', *several, '--metrics=fd,bits')
  assert json.loads(again.stdout.splitlines()[-1]) == row
  # the samples are where other tools read them, and as images from anywhere they measure the same
  samples = run / 'eval' / row['samples']
  assert _array(samples).shape == (70, 8, 8, 1)
  done = call('evaluate', f'--images={samples}', '--data=digits', f'--out={run}/images')
  found = json.loads(done.stdout.splitlines()[-1])
  assert found['n'] == 70 and found['reference'] == row['reference']
  for name in ('fd', 'precision', 'coverage'):
    assert found[f'{name}_lenet@70'] == pytest.approx(row[f'{name}_lenet@70'])
  # real images of the other split are as far as the floor says of such images
  done = call(
    'evaluate', '--images=split:test', '--data=digits', '--n=200', '--metrics=fd', f'--out={run}/x'
  )
  found = json.loads(done.stdout.splitlines()[-1])
  assert found['fd_lenet@200'] == pytest.approx(found['fd_lenet@200/floor'], rel=0.5)
  assert found['reference']['split'] == 'train'
  # too few others for a floor: those that are judged are none
  done = call(
    'evaluate', '--images=split:train', '--reference=test', '--data=digits', '--n=200',
    '--metrics=fd', f'--out={run}/x',
  )  # fmt: skip
  found = json.loads(done.stdout.splitlines()[-1])
  assert found['fd_lenet@200'] > 0 and 'fd_lenet@200/floor' not in found
  for flags, message in (
    (('--images=nothing.npz', '--data=digits'), 'no .npz file'),
    (('--images=split:train', '--data=digits'), 'compared with its other split'),
    ((f'--images={samples}', '--data=mnist'), 'has images (8, 8, 1), mnist (28, 28, 1)'),
    ((f'--images={samples}', '--data=digits', '--n=71'), 'has 70 images'),
    ((f'--images={samples}',), '--images needs --data'),
    ((), 'one of --workdir=RUN and --images=FOLDER'),
    ((f'--images={samples}', '--data=digits', '--steps=4'), '--steps is not for --images'),
    ((f'--images={samples}', '--data=digits', '--seed=4'), '--seed is not for --images'),
  ):
    assert message in call('evaluate', *flags, code=2).stderr


def _array(path):
  with np.load(path) as arrays:
    return arrays['arr_0']


@pytest.mark.parametrize(('flags', 'message'), [
  (('--metrics=fid',), 'choose from bits, fd, is, kid, pr, speed'),
  (('--metrics=fd', '--extractor=x'), 'x is no run'),
  (('--steps=few', '--metrics=fd'), 'numbers are needed'),
  (('--steps=4', '--metrics=bits'), '--steps is for samples'),
  (('--metrics=swd',), 'choose from bits, fd'),
  (('--metrics=fd', '--few=4'), '--few is for --sampler=shortcut'),
  (('--metrics=bits', '--n=5000'), 'digits test has 299 images'),
  (('--metrics=fd', '--n=5000'), 'digits train has 1498 images: --n=1498'),
  (('--metrics=fd', '--n=60'), 'a Frechet distance in 64 dimensions needs more than 60 images'),
  (('--metrics=fd', '--guidance=2'), 'label_drop'),
  (('--step=7',), 'no checkpoint of step 7'),
  (('--metrics=is', '--n=5'), 'at least 10 images'),
  (('--metrics=kid', '--n=3'), 'at least 4 images'),
  (('--metrics=fd', '--repeats=2'), '--repeats is for bits'),
  (('--metrics=speed', '--extractor=x'), '--extractor is for fd, kid, pr and is'),
  (('--frames=guess',), '--frames is for sample.py'),
  (('--metrics=speed', '--steps='), '--steps= is empty'),
  (('--data=mnist',), '--data is for --images'),
  (('--label=ten',), "unknown label 'ten'"),
  (('runs/other',), 'unknown arguments: runs/other'),
])  # fmt: skip
def test_a_users_mistake_gets_one_line(run, flags, message):
  done = call('evaluate', f'--workdir={run}', *flags, code=2)
  lines = done.stderr.strip().splitlines()
  assert len(lines) == 1 and lines[0].startswith('error: ') and message in lines[0], done.stderr


def test_runs_are_compared_in_one_table_and_figure(run, tmp_path):
  bfn = trained(digits_bfn.get_config('tiny'), tmp_path / 'bfn')
  refused = call('evaluate', '--compare', str(bfn), str(run), code=2)
  assert f'python scripts/evaluate.py --workdir={bfn} makes its row' in refused.stderr
  assert 'at least two' in call('evaluate', '--compare', str(run), code=2).stderr
  other = tmp_path / 'ddpm'
  shutil.copytree(run, other, ignore=shutil.ignore_patterns('eval'))
  for workdir, steps in ((bfn, '2,3'), (other, '4')):
    done = call('evaluate', f'--workdir={workdir}', '--n=70', f'--steps={steps}', '--bits_n=8')
  assert json.loads(done.stdout.splitlines()[-1])['nfe'] == 4
  done = call('evaluate', '--compare', str(bfn), str(other), f'--out={tmp_path}/out')
  lines = [line for line in done.stdout.splitlines() if line.startswith('|')]
  assert len(lines) == 6 and 'real to real' in lines[-1] and 'bits_test@8' in lines[0]
  head = [cell.strip() for cell in lines[0].split('|')[1:-1]]
  assert head[:3] == ['run', 'sampler', 'fd_lenet@70'] and head[-2:] == ['net calls', 's / image']
  cells = [cell.strip() for cell in lines[2].split('|')[1:-1]]
  assert cells[1] == 'bfn' and cells[-2] == '3' and all(cells)
  saved = json.loads((tmp_path / 'out' / 'compare.json').read_text())
  assert [row['nfe'] for row in saved] == [3, 4, 4] and (tmp_path / 'out' / 'compare.png').exists()
  # of rows with several n the ones that both runs have; other weights are told apart
  call('evaluate', f'--workdir={other}', '--n=80', '--metrics=speed,fd', '--steps=4')
  call('evaluate', f'--workdir={other}', '--n=70', '--metrics=fd', '--steps=4', '--weights=raw')
  again = compare.rows_of([str(bfn), str(other)])
  assert [row['n'] for row in again] == [70] * 4
  labels = [row['label'] for row in again]
  assert labels[:2] == ['bfn'] * 2 and sorted(labels[2:]) == [
    'ddim weights=ema',
    'ddim weights=raw',
  ]
  for path in (bfn / 'eval').glob('*.json'):
    path.write_text(json.dumps({**json.loads(path.read_text()), 'extractor': 'another'}))
  with pytest.raises(UserError, match='different real images or by different extractors'):
    compare.rows_of([str(bfn), str(other)])


def test_speed_alone_and_kid_alone(run):
  done = call('evaluate', f'--workdir={run}', '--n=4', '--metrics=speed', '--steps=2,3')
  row = json.loads(done.stdout.splitlines()[-1])
  assert row['seconds_per_image'] > 0 and 'reference' not in row and 'figure' not in done.stdout
  done = call('evaluate', f'--workdir={run}', '--n=40', '--metrics=kid', '--steps=2,3')
  assert 'figure in' in done.stdout and 'kid_lenet@40' in done.stdout


def test_a_class_is_measured_apart(run, tmp_path):
  """Its samples are those that sample.py draws, its real images those of the class alone."""
  workdir = tmp_path / 'run'
  shutil.copytree(run, workdir, ignore=shutil.ignore_patterns('eval'))
  flags = (f'--workdir={workdir}', '--n=70', '--bits_n=8', '--steps=2')
  rows = {}
  for label in ('', '3', '4'):
    done = call('evaluate', *flags, f'--label={label}', '--metrics=fd,bits')
    rows[label] = json.loads(done.stdout.splitlines()[-1])
  assert 'class 4, ' in done.stdout
  assert [row.get('class') for row in rows.values()] == [None, '3', '4']
  digits = data_lib.load(open_checkpoint(run).config.data, 'train')
  assert rows['3']['reference']['n'] == (digits.label == 3).sum()
  assert len({row['fd_lenet@70'] for row in rows.values()}) == 3
  assert len({row['fd_lenet@70/floor'] for row in rows.values()}) == 3
  assert len({row['bits_test@8']['total']['mean'] for row in rows.values()}) == 3
  call('sample', f'--workdir={workdir}', '--n=70', '--steps=2', '--label=3')
  drawn = _array(workdir / 'samples.npz')
  np.testing.assert_array_equal(_array(workdir / 'eval' / rows['3']['samples']), drawn)
  many = ('--n=100', '--steps=2', '--label=3', '--metrics=pr')
  assert 'no floor: train has fewer than 2 x 100' in call('evaluate', flags[0], *many).stdout
  # what is compared is of all classes, and so are its bounds
  shutil.copytree(workdir, tmp_path / 'other')
  compared = compare.rows_of([str(workdir), str(tmp_path / 'other')])
  assert not any('class' in row for row in compared)
  assert all(row['bits_test@8'] == rows['']['bits_test@8'] for row in compared)


def test_more_estimates_of_a_bound_are_another_number(run):
  found = {}
  for repeats in (1, 2):
    flags = ('--metrics=bits', '--n=6', f'--repeats={repeats}')
    done = call('evaluate', f'--workdir={run}', *flags)
    row = json.loads(done.stdout.splitlines()[-1])
    found |= {k: v['total']['mean'] for k, v in row.items() if k.startswith('bits_')}
  assert sorted(found) == ['bits_test@6', 'bits_test@6x2'] and len(set(found.values())) == 2


def test_points_have_their_own_distance(tmp_path):
  workdir = trained(swirl_vdm.get_config('tiny'), tmp_path / 'run')
  flags = (f'--workdir={workdir}', '--n=16', '--split=train')
  done = call('evaluate', *flags, '--sampler=ddim,shortcut', '--steps=3', '--few=1,2')
  found = rows_in(workdir / 'eval')
  assert sorted(row['nfe'] for row in found) == [1, 2, 3]
  assert all(row['swd@16'] > 0 and 'bits_train@16' in row for row in found)
  assert 'bits/dim' in done.stdout and 'figure in' in done.stdout


def test_a_classifier_draws_nothing_and_has_no_bound(tmp_path):
  workdir = trained(digits_classifier.get_config('tiny'), tmp_path / 'classifier')
  assert 'draws no images' in call('sample', f'--workdir={workdir}', code=2).stderr
  assert 'no likelihood' in call('evaluate', f'--workdir={workdir}', code=2).stderr


def test_a_proxy_of_quality_is_logged_where_it_is_cheap(tmp_path):
  config = tiny()
  config.train.update({
    'steps': 2, 'log_every': 2, 'save_every': 2, 'eval_every': 2, 'eval_batches': 1,
    'fd_proxy': True,
  })  # fmt: skip
  train_split = data_lib.load(config.data, 'train')
  measure, note = proxy.make(config, train_split, jax.devices()[:1])
  assert measure is None and 'of the time' in note
  config.train.eval_every, config.train.batch_size = 2, 4000
  assert proxy.make(config, train_split, jax.devices()[:1])[0]
  config.sample.sampler = 'ancestral'  # 32 steps: the proxy takes ten of ddim
  train(config, tmp_path / 'run', devices=jax.devices()[:1])
  lines = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
  (row,) = (r for r in map(json.loads, lines) if 'eval/net/loss' in r)
  assert row['eval/fd_lenet_proxy@256'] > 0
  config.data.name = 'swirl'
  swirl = data_lib.load(config.data, 'train')
  assert 'no feature extractor for swirl' in proxy.make(config, swirl, jax.devices()[:1])[1]
