"""What a run survives: stops, kills, broken checkpoints, bad updates, a full disk."""

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from conftest import PLAIN_FLAGS, ROOT, tiny

import ddpm.model
from trilemma.checkpoint import Checkpoints
from trilemma.config import differences
from trilemma.data import rows_at
from trilemma.exits import Diverged, Preempted, Stop, UserError
from trilemma.train import train
from trilemma.workdir import locked
from trilemma.writers import read_rows


def go(config, workdir, **kwargs):
  return train(config, workdir, devices=jax.devices()[:1], **kwargs)


def same(a, b):
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_array_equal(x, y)


class StopAfter(Stop):
  """A signal that comes at the n-th time that the run looks."""

  def __init__(self, n):
    super().__init__()
    self.left = n

  def check(self):
    self.left -= 1
    self.requested |= self.left < 0
    super().check()


@pytest.fixture
def config():
  c = tiny()
  c.train.update({'steps': 8, 'save_every': 2, 'log_every': 2, 'eval_every': 4, 'sample_every': 4})
  return c


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
  c = tiny()
  c.train.update({'steps': 8, 'save_every': 2, 'log_every': 2, 'eval_every': 4, 'sample_every': 4})
  workdir = tmp_path_factory.mktemp('unbroken')
  return go(c, workdir), read_rows(workdir / 'metrics.jsonl')


def losses(rows):
  return {row['step']: row['train/net/loss'] for row in rows if 'train/net/loss' in row}


def evaluations(rows):
  return {row['step']: row['eval/net/loss'] for row in rows if 'eval/net/loss' in row}


def test_2n_steps_are_n_steps_and_n_more(config, unbroken, tmp_path):
  config.train.steps = 4
  half = go(config, tmp_path)
  config.train.steps = 8
  same(go(config, tmp_path), unbroken[0])
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), half.params, unbroken[0].params)
  assert any(jax.tree.leaves(moved))
  assert losses(read_rows(tmp_path / 'metrics.jsonl')) == losses(unbroken[1])


@pytest.mark.parametrize('name', ['digits_dcgan', 'digits_cold'])
def test_other_families_resume_to_the_bit(name, tmp_path):
  """Two players, running statistics and what is fitted before the first step, too."""
  config = importlib.import_module(f'configs.{name}').get_config('tiny')
  config.train.update({'eval_every': 0, 'sample_every': 0})
  whole = go(config, tmp_path / 'whole')
  with pytest.raises(Preempted):
    go(config, tmp_path / 'cut', stop=StopAfter(2))
  assert 0 < Checkpoints(tmp_path / 'cut' / 'checkpoints', 1).steps()[-1] < config.train.steps
  same(go(config, tmp_path / 'cut'), whole)


@pytest.mark.parametrize('looks', [0, 3, 4, 5, 7, 9])
def test_a_signal_anywhere_loses_nothing(config, unbroken, tmp_path, looks):
  """In training, in evaluation, in drawing; what was owed is done on resume."""
  with pytest.raises(Preempted):
    go(config, tmp_path, stop=StopAfter(looks))
  assert Checkpoints(tmp_path / 'checkpoints', read_only=True).steps()
  same(go(config, tmp_path), unbroken[0])
  rows = read_rows(tmp_path / 'metrics.jsonl')
  assert evaluations(rows) == evaluations(unbroken[1])
  assert [p.name for p in sorted((tmp_path / 'samples').iterdir())] == [
    '00000004.png', '00000008.png',
  ]  # fmt: skip
  steps = [row['step'] for row in rows if 'train/net/loss' in row]
  assert steps == sorted(set(steps))


def break_truncate(step):
  for file in step.rglob('*'):
    if file.is_file() and file.stat().st_size > 200:
      os.truncate(file, 100)


def break_empty(step):
  for file in sorted(step.rglob('*'), reverse=True):
    file.unlink() if file.is_file() else file.rmdir()


def break_manifest(step):
  for file in step.rglob('manifest*'):
    file.unlink()


def break_values(step):
  """Rewrites the step with one parameter that is not finite, as a good checkpoint would be."""
  checkpoints = Checkpoints(step.parent)
  state = go_state
  bad = jax.tree.map(lambda p: p * np.nan, state.params)
  facts = json.loads((step / 'facts' / 'metadata').read_text())
  assert not checkpoints.save(state._replace(params=bad, step=state.step + 1), facts)  # refused
  checkpoints._manager.delete(int(step.name))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr('trilemma.checkpoint.finite', lambda state: True)
    assert checkpoints.save(state._replace(params=bad), facts) and checkpoints.wait()


go_state = None


@pytest.mark.parametrize('damage', [break_truncate, break_empty, break_manifest, break_values])
def test_a_broken_newest_checkpoint_falls_back(config, unbroken, tmp_path, damage, capsys):
  global go_state
  config.train.steps = 6
  go_state = go(config, tmp_path)
  damage(tmp_path / 'checkpoints' / '6')
  config.train.steps = 8
  same(go(config, tmp_path), unbroken[0])
  captured = capsys.readouterr()
  assert 'checkpoint 6 is broken' in captured.err and 'resumed at step 4' in captured.out
  assert (tmp_path / 'checkpoints' / '6.bad').is_dir()
  assert losses(read_rows(tmp_path / 'metrics.jsonl')) == losses(unbroken[1])


def test_when_all_are_broken_nothing_is_touched(config, tmp_path):
  go(config, tmp_path)
  for step in (tmp_path / 'checkpoints').iterdir():
    if step.is_dir():
      break_truncate(step)
  files = {p: p.stat().st_size for p in tmp_path.rglob('*')}
  config.train.steps = 10
  with pytest.raises(UserError, match='none was touched'):
    go(config, tmp_path)
  assert {p: p.stat().st_size for p in tmp_path.rglob('*')} == files


def test_another_configuration_is_refused_by_key_unless_allowed(config, tmp_path):
  config.train.steps = 2
  go(config, tmp_path)
  before = (tmp_path / 'config.json').read_text()
  config.model.variance, config.train.seed = 'fixed_small', 3
  with pytest.raises(
    UserError, match=r'model\.variance: fixed_large -> fixed_small; train\.seed: 0'
  ):
    go(config, tmp_path)
  assert (tmp_path / 'config.json').read_text() == before
  config.train.steps = 4
  go(config, tmp_path, allowed=('model.variance', 'train.seed'))
  saved = json.loads((tmp_path / 'config.json').read_text())
  assert {'train.seed': [0, 3]} in saved['changes']
  config.data.classes = '1+2'
  with pytest.raises(UserError, match='data'):
    go(config, tmp_path)


def test_a_refused_resume_leaves_the_run_as_it_was(config, tmp_path):
  """Another net is allowed by name, but the checkpoint does not fit: nothing is rewritten."""
  config.train.steps = 2
  go(config, tmp_path)
  before = (tmp_path / 'config.json').read_text()
  other = config.copy_and_resolve_references()
  other.net.widths, other.train.steps = (8,), 4
  with pytest.raises(UserError, match='none was touched'):
    go(other, tmp_path, allowed=('net.widths',))
  assert (tmp_path / 'config.json').read_text() == before
  go(config, tmp_path)


def test_steps_may_not_change_under_a_cosine_learning_rate(config, tmp_path):
  config.optim.net.schedule, config.train.steps = 'cosine', 2
  go(config, tmp_path)
  config.train.steps = 4
  with pytest.raises(UserError, match=r'train\.steps: 2 -> 4'):
    go(config, tmp_path)


def test_data_that_does_not_live_on_the_device_trains_the_same(config, unbroken, tmp_path):
  config.train.resident_gb = 0.0
  same(go(config, tmp_path), unbroken[0])


def test_from_eight_devices_to_one_and_back(config, unbroken, tmp_path):
  config.train.steps = 3
  train(config, tmp_path, devices=jax.devices())
  config.train.steps = 6
  go(config, tmp_path)
  config.train.steps = 8
  state = train(config, tmp_path, devices=jax.devices())
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(unbroken[0]), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4)


def test_differences_ignore_what_may_change(config):
  other = config.copy_and_resolve_references()
  other.train.update({'steps': 99, 'log_every': 1, 'save_minutes': 1.0})
  other.sample.steps, other.parallel = 2, 'pmap'
  assert differences(json.loads(json.dumps(config.to_dict())), other) == {}


def test_a_second_process_and_a_foreign_directory_are_refused(config, tmp_path):
  with locked(tmp_path / 'run'), pytest.raises(UserError, match='another process'):
    go(config, tmp_path / 'run')
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / 'thesis.txt').write_text('')
  with pytest.raises(UserError, match=r'thesis\.txt but no config'):
    go(config, tmp_path / 'mine')


def test_bad_updates_are_skipped_then_stop_the_run(config, tmp_path, monkeypatch):
  """From step 4 on the loss is not finite: two skips are allowed, the third ends the run."""
  diffuse = ddpm.model.gaussian.to_model_scale
  config.train.max_skipped = 2
  config.train.steps = 4
  good = go(config, tmp_path)
  monkeypatch.setattr(ddpm.model.gaussian, 'to_model_scale', lambda *a: diffuse(*a) * np.nan)
  config.train.steps = 12
  with pytest.raises(Diverged, match='in a row'):
    go(config, tmp_path)
  rows = json.loads((tmp_path / 'diverged' / 'batches.json').read_text())
  assert list(rows) == ['4', '5', '6', '7']
  assert rows['4'] == rows_at(0, 4, 1498, 8).tolist()
  assert (tmp_path / 'diverged' / 'state').is_dir()
  monkeypatch.undo()
  found, _ = Checkpoints(tmp_path / 'checkpoints').restore(jax.eval_shape(lambda: good))
  same(found.params, good.params)
  config.train.steps = 14
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(go(config, tmp_path).params))


def test_a_checkpoint_that_cannot_be_written_is_a_warning(config, tmp_path, monkeypatch, capsys):
  """The disk is full for one save (any file beyond a limit fails); training goes on."""
  import resource

  checkpoints = Checkpoints(tmp_path / 'checkpoints')
  config.train.steps = 2
  state = go(config, tmp_path / 'run')
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
  try:
    checkpoints.save(state, {})
    assert not checkpoints.wait()
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, old)
  assert 'could not be written' in capsys.readouterr().err
  state = state._replace(step=state.step + 1)  # the next period; orbax may still write to the last
  assert checkpoints.save(state, {}) and checkpoints.wait()
  same(checkpoints.restore(jax.eval_shape(lambda: state))[0], state)


COMMAND = [sys.executable, str(ROOT / 'scripts' / 'train.py'), f'--config={ROOT}/tests/tiny.py']


def start(workdir, *flags):
  environment = {**os.environ, 'XLA_FLAGS': PLAIN_FLAGS}
  return subprocess.Popen(
    [*COMMAND, f'--workdir={workdir}', *flags], env=environment, text=True,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
  )  # fmt: skip


def parameters_at(workdir, step):
  files = sorted((workdir / 'checkpoints' / str(step) / 'state').rglob('*'))
  assert files
  checkpoints = Checkpoints(workdir / 'checkpoints', read_only=True)
  return checkpoints._manager.restore(step).state


def test_killed_again_and_again_it_ends_as_if_never_killed(tmp_path):
  """kill -9 at random moments, in saves too; and SIGTERM, which saves and exits 75."""
  steps = '--config.train.steps=600'
  straight = start(tmp_path / 'straight', steps)
  assert straight.wait() == 0, straight.stderr.read()
  for _ in range(3):
    process = start(tmp_path / 'killed', steps)
    for line in process.stdout:
      if line.startswith('step'):
        break
    time.sleep(random.uniform(0.0, 0.3))
    process.kill()
    process.wait()
  process = start(tmp_path / 'killed', steps)
  for line in process.stdout:
    if line.startswith('step'):
      break
  process.send_signal(signal.SIGTERM)
  _, errors = process.communicate()
  assert process.returncode in (0, 75), errors
  if process.returncode == 75:
    assert 'the same command goes on' in errors
    assert start(tmp_path / 'killed', steps).wait() == 0
  same(parameters_at(tmp_path / 'straight', 600), parameters_at(tmp_path / 'killed', 600))
  for name in ('straight', 'killed'):
    seen = [
      r['step'] for r in read_rows(tmp_path / name / 'metrics.jsonl') if 'train/net/loss' in r
    ]
    assert seen == sorted(set(seen)) and seen[-1] == 600
