"""The command line: what users type wrong gets one line and exit code 2, and loses nothing."""

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import PLAIN_FLAGS, ROOT
from PIL import Image

from configs import base
from trilemma.train import train

TINY = f'--config={ROOT}/tests/tiny.py'
# TensorFlow is not installed, as far as an import can tell, and a connection is an error
BLOCK = """
import socket
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
def without_tensorflow(name, path=None, target=None):
  blocked = name.split('.')[0] in ('tensorflow', 'tensorflow_datasets')
  return None if blocked else find_spec(name, path, target)
PathFinder.find_spec = without_tensorflow
def refuse(*a, **k): raise OSError('the network is blocked')
socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""


@functools.cache
def server():
  """The process of server.py, with the environment of this one."""
  return subprocess.Popen(
    [sys.executable, str(ROOT / 'tests' / 'server.py')], text=True, stdin=subprocess.PIPE,
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )  # fmt: skip


def call(script, *flags, code=0, **environment):
  """Runs scripts/SCRIPT.py: its exit code must be `code`. A new interpreter where PYTHONPATH says
  what it may import, else a fork of the server."""
  argv = [str(ROOT / 'scripts' / f'{script}.py'), *flags]
  environment = {**os.environ, 'XLA_FLAGS': PLAIN_FLAGS, **environment}
  if 'PYTHONPATH' in environment:
    done = subprocess.run(
      [sys.executable, *argv], capture_output=True, text=True, env=environment, timeout=300
    )
  else:
    with tempfile.TemporaryDirectory() as directory:
      files = [Path(directory) / name for name in ('stdout', 'stderr')]
      request = {'argv': argv, 'environment': environment, **{f.name: str(f) for f in files}}
      server().stdin.write(json.dumps(request) + '\n')
      server().stdin.flush()
      returned = int(server().stdout.readline())
      done = subprocess.CompletedProcess(argv, returned, *(file.read_text() for file in files))
  assert done.returncode == code, done.stdout + done.stderr
  return done


@pytest.mark.parametrize(('flags', 'message'), [
  (('--config=configs/nothing.py',), 'no such configuration'),
  ((f'{TINY}:small',), "unknown variant 'small': choose from tiny"),
  ((TINY, '--config.train.stpes=3'), "did you mean 'steps'?"),
  ((TINY, '--config.train.steps=many'), 'many'),
  ((TINY, '--confg.train.steps=3'), 'confg'),
  ((TINY, '--config.family=ddmp'), 'choose from bfn, classifier, cold, dcgan, ddgan, ddpm'),
  ((TINY, '--config.data.name=mnist', '--data_dir=/nowhere'), 'scripts/download.py mnist'),
  ((TINY, '--config.train.batch_size=0'), 'at least 1'),
  ((TINY, 'stray'), 'unknown arguments: stray'),
  ((), '--config is needed'),
])  # fmt: skip
def test_a_users_mistake_gets_one_line(flags, message, tmp_path):
  done = call('train', *flags, f'--workdir={tmp_path}/run', code=2, TRILEMMA_CACHE=str(tmp_path))
  lines = done.stderr.strip().splitlines()
  assert len(lines) == 1 and lines[0].startswith('error: ') and message in lines[0], done.stderr
  assert not (tmp_path / 'run').exists()


def test_who_started_a_script_learns_what_ended_it(tmp_path):
  done = call('train', code=2, TRILEMMA_WHY=str(tmp_path / 'why'))
  assert done.stderr == f'error: {(tmp_path / "why").read_text()}\n'


def test_a_reader_that_has_seen_enough_is_no_error():
  command = [sys.executable, str(ROOT / 'scripts' / 'reproduce.py'), '--list']
  with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
    process.stdout.close()
    assert process.stderr.read() == b''
  assert process.returncode == 128 + signal.SIGPIPE


def test_an_unwritable_workdir(tmp_path):
  (tmp_path / 'file').write_text('')
  done = call('train', TINY, f'--workdir={tmp_path}/file/run', code=2)
  assert 'cannot write to the workdir' in done.stderr and 'Traceback' not in done.stderr


def test_train_then_sample_without_tensorflow_and_network(tmp_path):
  site = tmp_path / 'site'
  site.mkdir()
  (site / 'sitecustomize.py').write_text(BLOCK)
  blocked = {'PYTHONPATH': str(site)}
  run = tmp_path / 'run'
  dry = call('train', TINY, f'--workdir={run}', '--dry_run', **blocked)
  assert 'parameters' in dry.stdout and 'images 8x8x1' in dry.stdout and not run.exists()

  trained = call('train', TINY, f'--workdir={run}', '--config.train.sample_every=20', **blocked)
  assert 'step 20/20' in trained.stdout and 'images/s' in trained.stdout
  assert 'no TensorBoard events, because tensorflow is not installed' in trained.stdout
  assert trained.stdout.splitlines()[-1] == f'done. Next: python scripts/sample.py --workdir={run}'
  rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
  assert rows[-1]['step'] == 20 and rows[-1]['train/net/loss'] > 0
  again = call('train', TINY, f'--workdir={run}', **blocked)
  assert 'resumed at step 20' in again.stdout

  out = tmp_path / 'out'
  flags = (f'--workdir={run}', f'--out={out}', '--n=12', '--steps=14', '--seed=3', '--weights=raw')
  call('sample', *flags, '--sampler=ancestral', **blocked)
  arrays = np.load(out / 'samples.npz')
  assert arrays['arr_0'].shape == (12, 8, 8, 1) and arrays['arr_0'].dtype == np.uint8
  assert list(arrays['label']) == [*range(10), 0, 1]
  assert Image.open(out / 'process.gif').n_frames == 12
  assert Image.open(out / 'samples.png').size[0] > 256
  assert Image.open(out / 'process.png').size[0] > Image.open(out / 'samples.png').size[0] / 2
  done = call('sample', *flags, '--label=eleven', code=2, **blocked)
  assert done.stderr.startswith('error: unknown label') and len(done.stderr.splitlines()) == 1


def test_tensorboard_events_are_written_where_tensorflow_is_there(tmp_path):
  pytest.importorskip('tensorflow')
  call('train', TINY, f'--workdir={tmp_path}/run')
  (events,) = (tmp_path / 'run' / 'tensorboard').iterdir()
  assert b'train/net/loss' in events.read_bytes()


def test_benchmark_prints_one_line_of_json():
  done = call('benchmark', TINY, '--repeats=1')
  row = json.loads(done.stdout.splitlines()[-1])
  assert row['train_images_per_second'] > 0 and row['sample_images_per_second'] > 0
  assert row['compile_seconds']['train'] > 0 and row['peak_memory_mb'] > 0


def test_schedules_of_several_runs_in_one_picture(tmp_path):
  for gamma in ('fixed_linear', 'variance'):
    workdir = one_step(f'swirl_vdm:{gamma}', tmp_path / gamma)
    if gamma == 'variance':
      refused = call('gammas', f'--workdirs={workdir}', f'--out={tmp_path}/out', code=2)
      assert f'evaluate.py --workdir={workdir} --metrics=bits' in refused.stderr
    call('evaluate', f'--workdir={workdir}', '--metrics=bits', '--n=4')
  both = f'{tmp_path}/fixed_linear,{tmp_path}/variance'
  done = call('gammas', f'--workdirs={both}', f'--out={tmp_path}/out')
  assert 'fixed_linear' in done.stdout and 'learned_net, variance' in done.stdout
  table = json.loads((tmp_path / 'out' / 'gammas.json').read_text())
  assert table[0]['ends'] == pytest.approx([-13.3, 5.0])
  assert table[1]['bits']['total']['mean'] > 0 and (tmp_path / 'out' / 'gammas.png').exists()


def test_how_soon_guesses_are_right(tmp_path):
  bfn, gan = one_step('digits_bfn', tmp_path / 'bfn'), one_step('digits_dcgan', tmp_path / 'gan')
  done = call(
    'convergence', f'--workdirs={bfn},{bfn}', '--n=4', '--steps=6', f'--out={tmp_path}/out'
  )
  assert 'within 0.05 of the final image' in done.stdout
  (row,) = json.loads((tmp_path / 'out' / 'convergence.json').read_text())
  assert len(row['distance']) == 6 and row['distance'][0] > 0
  assert Image.open(tmp_path / 'out' / 'states.png').size[0] > 256
  refused = call('convergence', f'--workdirs={gan}', f'--out={tmp_path}/out', code=2)
  assert 'whose number of steps is fixed' in refused.stderr


def one_step(words, workdir):
  """A tiny run of configs/NAME.py:VARIANT after one step."""
  name, _, variant = words.partition(':')
  config = importlib.import_module(f'configs.{name}').get_config(f'{variant},tiny')
  if config.net.name == 'unet':
    config.net = base.cnn()
    config.net.update({'widths': (4,), 'kernel': 3})
  config.train.update({
    'steps': 1, 'log_every': 1, 'save_every': 1, 'eval_every': 0, 'sample_every': 0,
  })  # fmt: skip
  train(config, workdir, devices=jax.devices()[:1])
  return workdir


def test_download_names_what_it_can():
  done = call('download', 'imagenet', code=2)
  assert done.stderr.strip() == 'error: name what to download, of mnist, cifar10'
