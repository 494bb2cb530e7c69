"""Tables: what a row runs, what is a reproduction, rows that go on, and the page in a browser."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from conftest import PLAIN_FLAGS, ROOT
from PIL import Image
from test_cli import call

from configs.tables import TABLES
from trilemma import families, features, report, reproduce
from trilemma import verdict as verdict_lib
from trilemma.config import check_train, flatten
from trilemma.data import known_spec
from trilemma.exits import UserError

SMALLER = ('dtu_mnist', 'bfn_mnist')


@pytest.mark.parametrize('name', TABLES)
def test_a_table_says_what_it_needs_and_a_budget_scales_no_more_than_it_may(name):
  table = TABLES[name]
  assert {'title', 'source', 'data', 'measures', 'rows', 'budgets'} <= set(table)
  assert f'| `{name}` | {table["title"]} |' in (ROOT / 'README.md').read_text()
  for row in table['rows'].values():
    assert set(row.get('published', {})) <= set(table['measures'])
    for column in row.get('published', {}):
      assert {'tolerance', 'unlike'} & table['measures'][column].keys()
    for part in (table, row):
      for less in part.get('budgets', {}).values():
        assert set(less.get('set', {})) <= reproduce.SCALED
        assert set(less.get('flags', {})) <= reproduce.SCALED_FLAGS
        # another configuration: README.md says of these two that a CPU takes the small one
        assert set(less) <= {'set', 'flags', *(['config'] if name in SMALLER else [])}
    paper = reproduce.scaled(table, row, 'paper')
    assert paper[0] == row.get('config', '')
    assert paper[1] == row.get('set', {})


@pytest.mark.parametrize('name', TABLES)
def test_every_row_of_every_budget_is_one_that_the_scripts_take(name):
  table = TABLES[name]
  for budget in reproduce.BUDGETS:
    plans = reproduce.plans(TABLES, [name], budget, 'out')
    assert [plan.row for plan in plans] == list(table['rows'])
    assert len({plan.file for plan in plans}) == len(plans)
    for plan in plans:
      assert budget != 'paper' or plan.scaled == ()
      columns = {c: m for one in plan.calls for c, m in one.columns.items()}
      assert columns == {c: measure['metric'] for c, measure in table['measures'].items()}
      for run in plan.runs:
        config = run.configure()
        check_train(config)
        assert config.data.name == table['data']
        assert budget != 'smoke' or config.train.steps == 4
      for one in plan.calls:
        flags, own = one.flags, set()
        if 'images' not in flags:
          own = (set(config.sample) & set(flags)) - {'n'}
          config.sample.update({k: flags[k] for k in own})
          families.make(config, known_spec(config.data))
        rest = flags.keys() - own - {'metrics', 'workdir', 'workdirs', 'out', 'images', 'data'}
        assert rest <= reproduce.OF_ALL | reproduce.OF_BITS | reproduce.OF_REAL | {'n'}
        # Inception has 2,048 features, the project's own classifiers 64, tiny ones 8
        if 'fd' in flags.get('metrics', '') and flags.get('extractor') != 'inception':
          assert flags['n'] > 64


def test_a_key_is_of_everything_that_a_row_depends_on():
  key = lambda table, budget='cpu', n=0: reproduce.plans(table, ['demo'], budget, 'out')[n].key()
  other = json.loads(json.dumps({'demo': TABLES['demo']}))
  assert key(other) == key(TABLES)
  assert len({key(TABLES), key(TABLES, 'paper'), key(TABLES, n=1)}) == 3
  other['demo']['flags']['n'] = 300
  assert key(other) != key(TABLES)
  swapped = json.loads(json.dumps({'demo': TABLES['demo']}))
  measures = swapped['demo']['measures']
  measures['precision'], measures['recall'] = measures['recall'], measures['precision']
  assert key(swapped) != key(TABLES)
  elsewhere = reproduce.plans(TABLES, ['demo'], 'cpu', '/somewhere/else')[0]
  assert elsewhere.key() == key(TABLES)


def test_a_key_is_of_the_extractor_where_it_is_ours(tmp_path, monkeypatch):
  def keys():
    [demo, *_] = reproduce.plans(TABLES, ['demo'], 'cpu', 'out')
    [swirl, *_] = reproduce.plans(TABLES, ['cs726_shortcut'], 'cpu', 'out')
    [inception, *_] = reproduce.plans(TABLES, ['cats_floors'], 'paper', 'out')
    return [plan.key() for plan in (demo, swirl, inception)]

  before = keys()
  monkeypatch.setattr(features, 'WEIGHTS', tmp_path)
  for data in ('digits', 'cifar10', 'swirl'):
    features.own_weights(data).write_bytes(b'others')
  after = keys()
  assert before[0] != after[0]
  assert before[1:] == after[1:]


def test_rows_and_budgets_that_are_not_there():
  for names, budget, only, message in (
    (['demos'], 'cpu', (), 'unknown table'),
    (['demo'], 'cpus', (), 'unknown budget'),
    (['demo'], 'cpu', ['vdms'], 'unknown row'),
  ):
    with pytest.raises(UserError, match=message):
      reproduce.plans(TABLES, names, budget, 'out', only)
  assert [p.row for p in reproduce.plans(TABLES, ['demo'], 'cpu', 'out', ['vdm'])] == ['VDM']


FID = {'metric': 'fd', 'tolerance': 0.3, 'extractor': 'inception'}
BITS = {'metric': 'bits', 'tolerance': 0.05}
UNLIKE = {'metric': 'fd', 'unlike': 'theirs is x'}


@pytest.mark.parametrize(
  ('published', 'mean', 'name', 'measure', 'budget', 'n', 'said'),
  [
    (3.17, 3.4, 'fd_inception@50', FID, 'paper', 50, '^reproduced within tolerance$'),
    (3.17, 2.9, 'fd_inception@50', FID, 'gpu', 50, r'^reproduced .* \(scaled\)'),
    (3.17, 3.5, 'fd_inception@50', FID, 'paper', 50, r'^differs \(by \+0.33; with the published'),
    (3.17, 9.0, 'fd_inception@50', FID, 'gpu', 50, r'^differs \(by \+5.83; scaled'),
    (3.17, 3.17, 'fd_lenet@50', FID, 'paper', 50, '^differs .*features of lenet, not of inception'),
    (3.17, 3.17, 'fd_inception@5', FID, 'gpu', 5, '^differs .*n 5 instead of 50'),
    (3.17, 3.17, 'fd_inception@50', FID, 'smoke', 50, '^differs .*a tiny net'),
    (3.17, 3.17, 'fd_lenet@50', UNLIKE, 'paper', 50, '^differs .*theirs is x'),
    (2.65, 2.61, 'bits_test@90', BITS, 'gpu', 50, '^reproduced'),
    (2.65, 2.65, 'bits_test@2', BITS, 'gpu', 50, '^differs .*certain'),
    (2.65, 2.75, 'bits_test@2', BITS, 'gpu', 50, r'^differs \(by \+0.1; scaled'),
    (2.65, 2.71, 'bits_test@90', BITS, 'paper', 50, r'^differs \(by \+0.06'),
    (2.65, 2.51, 'bits_test@90', BITS, 'paper', 50, r'^differs \(by -0.14'),
    (2.65, 2.65, 'bits_test@90', {**BITS, 'tolerance': 0.01}, 'paper', 50, '^differs .*certain'),
    (2.65, 2.69, 'bits_test@90', {**BITS, 'tolerance': 0.01}, 'paper', 50, '^differs .*certain'),
    (2.65, 2.75, 'bits_test@90', {**BITS, 'tolerance': 0.01}, 'paper', 50, r'^differs \(by \+0.1'),
  ],
)  # fmt: skip
def test_verdicts(published, mean, name, measure, budget, n, said):
  def plan(budget, n, scaled):
    call = reproduce.Call('evaluate', {'n': n}, {'column': measure['metric']})
    return reproduce.Plan('table', 'row', budget, 'digits', None, (), (call,), {}, scaled)

  value = {'name': name, 'mean': mean, 'spread': 0.02, 'floor': None}
  ours, full = plan(budget, n, ('half',) * (budget != 'paper')), plan('paper', 50, ())
  assert re.search(said, verdict_lib.verdict(published, value, measure, ours, full))
  assert verdict_lib.verdict(published, None, measure, ours, full) == 'not run'


def test_another_net_is_no_reproduction():
  value = {'name': 'bits_test@512', 'mean': 77.87, 'spread': 0.1, 'floor': None}
  measure = TABLES['bfn_mnist']['measures']['nats per image']
  cpu, gpu, paper = (
    reproduce.plans(TABLES, ['bfn_mnist'], budget, '')[0] for budget in ('cpu', 'gpu', 'paper')
  )
  assert 'another net' in verdict_lib.verdict(77.87, value, measure, cpu, paper)
  assert 'reproduced' in verdict_lib.verdict(77.87, value, measure, gpu, paper)


@pytest.mark.parametrize('name', TABLES)
@pytest.mark.parametrize('budget', ['cpu', 'gpu'])
def test_everything_that_a_budget_scales_is_named(name, budget):
  pairs = zip(*(reproduce.plans(TABLES, [name], b, '') for b in (budget, 'paper')), strict=True)
  for ours, whole in pairs:
    named = {said.split()[0] for said in ours.scaled}
    if ours.runs:
      new, old = (flatten(plan.runs[-1].configure()) for plan in (ours, whole))
      other = {k for k in new | old if new.get(k) != old.get(k)} - reproduce.ASIDE
      assert {k.removeprefix('sample.') for k in other} <= named, ours.row
    for one, another in zip(ours.calls, whole.calls, strict=True):
      usual = lambda plan: plan.runs[-1].configure().sample.to_dict() if plan.runs else {}
      new, old = ({**usual(plan), **call.flags} for plan, call in ((ours, one), (whole, another)))
      other = {k for k in new | old if new.get(k) != old.get(k)} - {'workdir', 'workdirs', 'out'}
      assert other <= named, ours.row


def test_what_is_scaled_stands_with_what_it_touches():
  says = lambda name, budget='cpu': verdict_lib.markdown(
    TABLES, name, budget, everything([name], [budget])[budget][name]
  )
  # no sampler has a part in a bound
  assert 'bits_n' in says('vdm') and 'steps 20 ' not in says('vdm').replace('train.steps', '')
  [bits, distance] = [
    line for line in says('iddpm').splitlines() if line.startswith('| T = 1000, linear')
  ]
  assert 'steps 10 instead of 1,000' in distance and 'steps 10 ' not in bits
  # another network's features are never under the name FID alone, nor is a tiny n unsaid
  assert '(fd_x)' in distance and '(' not in bits.split('|')[4]
  assert 'n 100 instead of 50,000' in says('iddpm', 'smoke')
  assert 'instead of' not in verdict_lib.markdown(TABLES, 'iddpm', 'cpu', {}).split('Scaled')[0]


def test_metrics_are_found_by_name():
  row = {
    'fd_lenet@100': 3.0, 'fd_lenet@100/floor': 1.0, 'is_lenet@100': {'mean': 8.0, 'sd': 0.1},
    'nfe': 4, 'bits_test@80': {'total': {'mean': 9.0, 'standard_error': 1.0}}, 'swd@100': 7.0,
    'bits_train@20': {'total': {'mean': 1.0, 'standard_error': 1.0}},
    'bits_test@20': {'total': {'mean': 2.0, 'standard_error': 0.5},
                     'nats_per_image': {'mean': 80.0, 'standard_error': 3.0}},
  }  # fmt: skip
  flags = {'n': 100, 'bits_n': 20}
  found = lambda metric: tuple((reproduce.found(metric, row, flags) or {}).values())
  assert found('fd') == ('fd_lenet@100', 3.0, None, 1.0)
  assert found('is') == ('is_lenet@100', 8.0, 0.1, None)
  assert found('swd') == ('swd@100', 7.0, None, None)
  assert found('bits') == ('bits_test@20', 2.0, 0.5, None)
  assert found('nats') == ('bits_test@20', 80.0, 3.0, None)
  assert found('nfe') == ('nfe', 4, None, None)
  assert found('recall') == ()
  settled = reproduce.found('settled', {'n': 100, 'right_from': None}, {})
  assert settled == {'name': 'settled@100', 'mean': None, 'spread': None, 'floor': None}


def test_minutes_count_a_shared_run_once_and_go_by_the_log():
  log = [
    {'step': 10, 'train/images_per_second': 40.0}, {'step': 20, 'eval/loss': 1.0},
    {'step': 30, 'train/images_per_second': 20.0}, {'step': 40, 'train/images_per_second': 0.0},
  ]  # fmt: skip
  # 10 steps of 8 at 40 images/s and 20 at 20
  assert reproduce.trained_minutes(log, 8) == pytest.approx((2 + 8) / 60)
  rows = [{'minutes': {'evaluating': 1.0, 'a': 5.0}}, {'minutes': {'evaluating': 2.0, 'a': 5.0}}]
  assert reproduce.minutes(rows) == 8.0
  assert reproduce.minutes([*rows, {'minutes': {'evaluating': 0.5, 'b': 1.0}}]) == 9.5


def test_rows_of_an_older_table_and_damaged_ones_are_said_to_be(tmp_path):
  [plan] = reproduce.plans(TABLES, ['demo'], 'cpu', tmp_path, ['vdm'])
  plan.file.parent.mkdir(parents=True)
  result = everything(['demo'])['cpu']['demo']['VDM']
  plan.file.write_text(json.dumps({**result, 'key': plan.key()}))
  rows = reproduce.read(tmp_path, TABLES)['cpu']['demo']
  assert not rows['VDM']['stale']
  plan.file.write_text(json.dumps({**result, 'key': 'another'}))
  rows = reproduce.read(tmp_path, TABLES)['cpu']['demo']
  assert 'made under an older table' in verdict_lib.markdown(TABLES, 'demo', 'cpu', rows)
  # such a number is not judged, whether it is the published one or not
  bound = {'name': 'bits_test@10000', 'mean': 2.65, 'spread': 0.001, 'floor': None, 'of': 0}
  result = {'values': {'bits/dim': bound}, 'trained': '9 x 9'}
  says = lambda **more: verdict_lib.markdown(
    TABLES, 'vdm', 'paper', {'without augmentation': {**result, **more}}
  )
  assert 'reproduced within tolerance' in says()
  for old in (says(stale=True), says(stale=True, error='cifar10 is not there')):
    assert 'made under an older table' in old and 'reproduced' not in old
  for damaged in ('{', '[]', '{}', json.dumps({'key': plan.key(), 'values': {}})):
    plan.file.write_text(damaged)
    rows = reproduce.read(tmp_path, TABLES)['cpu']['demo']
    assert 'damaged' in verdict_lib.markdown(TABLES, 'demo', 'cpu', rows)
    report.page(TABLES, {'cpu': {'demo': rows}}, tmp_path)


def rows_of(workdir):
  return [json.loads(file.read_text()) for file in sorted(workdir.glob('rows/*/*/*.json'))]


def test_a_killed_row_goes_on_and_a_table_is_made_once(tmp_path):
  flags = ['--table=digits', '--budget=smoke', '--rows=dcgan', f'--workdir={tmp_path}']
  command = [sys.executable, str(ROOT / 'scripts' / 'reproduce.py'), *flags]
  environment = {**os.environ, 'XLA_FLAGS': PLAIN_FLAGS}
  grid = tmp_path / 'rows' / 'smoke' / 'digits' / 'dcgan.png'
  grid.parent.mkdir(parents=True)
  Image.new('L', (9, 9)).save(grid)  # of an older result
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
    for line in process.stdout:
      if 'step 2/4' in line:
        process.send_signal(signal.SIGTERM)
  assert process.returncode == 75
  assert not rows_of(tmp_path)
  done = subprocess.run(command, capture_output=True, text=True, env=environment)
  assert done.returncode == 0, done.stderr
  assert 'step 4/4' in done.stdout
  assert 'step 2/4' not in done.stdout  # it went on
  [row] = rows_of(tmp_path)
  assert row['values']['distance']['name'] == 'fd_lenet@100'
  assert row['values']['distance']['mean'] == row['evaluations'][0]['fd_lenet@100'] > 0
  assert row['values']['distance']['floor'] > 0
  assert row['trained'] == '4 x 8'
  assert set(row['losses']) == {'discriminator', 'generator'}
  assert '| DCGAN ' in done.stdout
  with Image.open(grid) as picture:
    assert picture.size[0] > 100
  again = call('reproduce', *flags, '--report').stdout
  assert 'is there' in again
  assert 'training' not in again
  assert row == rows_of(tmp_path)[0]
  assert 'DCGAN' in (tmp_path / 'report.html').read_text()


def test_a_row_of_points_end_to_end(tmp_path):
  flags = ['--table=cs726_shortcut', '--budget=smoke', f'--workdir={tmp_path}']
  done = call('reproduce', *flags, '--rows=vdm-shortcut-k-10', '--report', XLA_FLAGS=PLAIN_FLAGS)
  [row] = rows_of(tmp_path)
  assert row['values']['net calls']['mean'] == reproduce.SMOKE['few']
  distance = row['values']['sliced Wasserstein']
  assert distance['mean'] > distance['floor'] > 0
  assert row['gamma'][0][1] < row['gamma'][-1][1]  # from signal to noise
  assert '| VDM, shortcut, K = 10 ' in done.stdout
  page = (tmp_path / 'report.html').read_text()
  assert page.count('<img') == 2 and 'Noise schedules' in page


def test_a_row_that_cannot_be_measured_is_not_trained(tmp_path):
  changed = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
from configs.tables import TABLES
rows = TABLES['digits']['rows']
rows['DCGAN']['flags'] = {{'n': 64}}
net = {{'data.resolution': 16, 'net.attention': ()}}
other = {{'set': net, 'flags': {{'extractor': 'run:digits_classifier:clean'}}}}
rows['VDM'] |= other
runpy.run_path({str(ROOT / 'scripts' / 'reproduce.py')!r}, run_name='__main__')
"""
  flags = ['--table=digits', '--rows=vdm,dcgan,bfn', '--dry_run', f'--workdir={tmp_path}']
  done = subprocess.run([sys.executable, '-c', changed, *flags], capture_output=True, text=True)
  assert done.returncode == 2 and '2 of 3 rows cannot run' in done.stderr
  assert 'DCGAN: 64 images are too few for a distance of 64 features' in done.stdout
  assert 'digits-classifier-clean takes other images than (16, 16, 1)' in done.stdout


def test_a_row_says_which_prerequisite_is_missing(tmp_path):
  flags = [f'--workdir={tmp_path}', f'--data_dir={tmp_path}']
  done = call('reproduce', '--table=bfn_mnist', *flags, code=2, TRILEMMA_CACHE=str(tmp_path))
  assert 'not run: continuous time' in done.stderr
  assert f'mnist is not in {tmp_path}' in done.stdout
  [row] = rows_of(tmp_path)
  assert 'mnist is not in' in row['error']
  # what an older table measured stays
  old = everything(['bfn_mnist'])['cpu']['bfn_mnist']['continuous time']
  [file] = tmp_path.glob('rows/*/*/*.json')
  file.write_text(json.dumps({**old, 'key': 'older'}))
  call('reproduce', '--table=bfn_mnist', *flags, code=2, TRILEMMA_CACHE=str(tmp_path))
  [row] = rows_of(tmp_path)
  assert row['values'] == old['values'] and 'mnist is not in' in row['error']
  plan = call('reproduce', '--table=digits', '--dry_run', '--rows=vdm', *flags).stdout
  assert 'scripts/train.py --config=configs/digits_vdm.py' in plan
  assert '--metrics=fd,pr,speed' in plan
  run = tmp_path / 'runs' / 'digits-vdm'
  run.mkdir(parents=True)
  (run / 'notes').touch()
  of_vdm = ['--table=digits', '--rows=vdm', *flags]
  assert (
    f'{run} is another run: remove it' in call('reproduce', *of_vdm, '--dry_run', code=2).stdout
  )
  assert '--table=NAME' in call('reproduce', code=2).stderr
  for alone, other in (('--report', 'rows'), ('--report', 'budget'), ('--list', 'table')):
    done = call('reproduce', alone, f'--{other}=smoke', code=2)
    assert f'--{other}' in done.stderr and len(done.stderr.splitlines()) == 1
  assert 'leave out' in call('reproduce', '--table=demo', '--dry_run', '--report', code=2).stderr
  assert 'cats_floors' in call('reproduce', '--list').stdout


def everything(names, budgets=('cpu',)):
  """Made-up results for all rows of tables, as reproduce.read() gives them."""
  found = {}
  for name, budget in ((name, budget) for name in names for budget in budgets):
    for number, plan in enumerate(reproduce.plans(TABLES, [name], budget, 'out')):
      values, rows = {}, []
      for i, one in enumerate(plan.calls):
        row = {'family': 'images', 'seed': 0}
        if plan.runs:
          config = plan.runs[-1].configure()
          row |= {
            'family': config.family, 'config': config.to_dict(), 'checkpoint': 4, 'weights': 'ema',
            'device': '1 x cpu', 'versions': {'jax': '0.10'}, 'nfe': 4, 'seconds_per_image': 0.1,
          }  # fmt: skip
        for column in one.columns:
          metric = TABLES[name]['measures'][column]['metric']
          if metric in ('bits', 'nats'):
            label = 'bits_test@100'
          else:
            label = metric if metric in ('nfe', 'seconds_per_image') else f'{metric}_x@100'
          row['right_from' if metric == 'settled' else label] = float(10 + number)
          floor = 1.0 if metric == 'fd' else None
          values[column] = {
            'name': label, 'mean': float(10 + number), 'spread': 0.1, 'floor': floor, 'of': i,
          }  # fmt: skip
        rows.append(row)
      found.setdefault(budget, {}).setdefault(name, {})[plan.row] = {
        'values': values, 'evaluations': rows, 'commands': ['python x'], 'trained': '4 x 8',
        'losses': {'net': [[1, 2.0], [2, 1.0]]}, 'gamma': [[0.0, -5.0], [1.0, 5.0]],
        'budget': budget, 'minutes': {'evaluating': 1.0, 'x': 2.0}, 'stale': False,
      }  # fmt: skip
  return found


class Tags(HTMLParser):
  """How often each tag begins; ids, which must be each its own."""

  def __init__(self, text):
    super().__init__()
    self.count, self.ids = {}, []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.count[tag] = self.count.get(tag, 0) + 1
    self.ids += [value for key, value in attributes if key == 'id' and tag in ('div', 'section')]


NO_SVG = '<svg></svg>'


def test_the_page_without_rows_and_with_all(tmp_path, monkeypatch):
  monkeypatch.setattr(report.plots, 'svg', lambda *_: NO_SVG)  # drawn in the browser below
  empty = report.page(TABLES, {}, tmp_path)
  assert 'no rows yet' in empty
  assert 'section' not in Tags(empty).count
  whole = Tags(report.page(TABLES, everything(TABLES), tmp_path))
  assert whole.count['section'] == len(TABLES)
  assert len(set(whole.ids)) == len(whole.ids)
  older = everything(['digits'])
  assert 'Training losses' in report.page(TABLES, older, tmp_path)
  for row in older['cpu']['digits'].values():
    row['stale'] = True
  assert 'Training losses' not in report.page(TABLES, older, tmp_path)
  failed = {'cpu': {'ddpm': {'simple loss': {'error': 'cifar10 is not there', 'budget': 'cpu'}}}}
  assert 'not run (cifar10 is not there)' in report.page(TABLES, failed, tmp_path)


def test_the_readme_has_the_tables_that_were_made_and_what_they_took(monkeypatch):
  made = reproduce.read(ROOT / 'results' / 'reproduce', TABLES)
  assert made
  text = (ROOT / 'README.md').read_text()
  again = 'python scripts/reproduce.py --report --workdir=results/reproduce'
  # figures are by the version of matplotlib
  monkeypatch.setattr(report.plots, 'svg', lambda *_: NO_SVG)
  words = lambda page: re.sub(r'(?s)<svg.*?</svg>\s*|Made on [-0-9]*', '', page)
  page = (ROOT / 'results' / 'reproduce' / 'report.html').read_text()
  assert words(page) == words(report.page(TABLES, made, ROOT / 'results' / 'reproduce')), again
  for budget, tables in made.items():
    for name, rows in tables.items():
      assert set(rows) == set(TABLES[name]['rows']), name
      assert not any(row.get('stale') or 'error' in row for row in rows.values()), name
      assert verdict_lib.markdown(TABLES, name, budget, rows) in text, name
      took = TABLES[name]['minutes'][budget]
      assert took in text, name
      # with starting, compiling and drawing: not less than what the rows know of
      assert int(took.split()[0]) >= reproduce.minutes(rows.values()), name


CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='chromium or its driver is not installed')
def test_the_page_in_a_browser(tmp_path):
  from selenium import webdriver
  from selenium.webdriver.common.by import By
  from selenium.webdriver.common.keys import Keys

  folder = tmp_path / 'rows' / 'cpu' / 'digits'
  folder.mkdir(parents=True)
  Image.new('RGB', (40, 20)).save(folder / 'dcgan.png')
  report.save(tmp_path / 'report.html', TABLES, everything(('digits', 'iddpm')), tmp_path)
  options = webdriver.ChromeOptions()
  options.binary_location = CHROMIUM
  options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
  for flag in (
    'headless', 'no-sandbox', 'disable-gpu', 'disable-quic', 'no-first-run', 'disable-sync',
    'disable-background-networking', 'disable-component-update', f'user-data-dir={tmp_path}/user',
  ):  # fmt: skip
    options.add_argument(f'--{flag}')
  service = webdriver.ChromeService(DRIVER)
  with webdriver.Chrome(options=options, service=service) as browser:
    for width in (1200, 400):
      browser.set_window_size(width, 900)
      browser.get((tmp_path / 'report.html').as_uri())
      wide = browser.execute_script(
        'let e = document.documentElement; return e.scrollWidth - e.clientWidth'
      )
      assert wide <= 0  # nothing sticks out
    for image in browser.find_elements(By.TAG_NAME, 'img'):
      browser.execute_script('arguments[0].scrollIntoView()', image)
      assert browser.execute_script('return arguments[0].decode().then(() => true)', image)

    def contrast(**media):
      """How much lighter the ground is than the ink, from -765 to 765."""
      browser.execute_cdp_cmd('Emulation.setEmulatedMedia', media)
      colours = browser.execute_script(
        'let s = getComputedStyle(document.body); return [s.backgroundColor, s.color]'
      )
      ground, ink = (sum(map(int, re.findall(r'\d+', colour)[:3])) for colour in colours)
      return ground - ink

    scheme = lambda value: [{'name': 'prefers-color-scheme', 'value': value}]
    assert contrast(features=scheme('dark')) < -500
    assert (
      contrast(features=scheme('dark'), media='print') > 500
    )  # ink on white, whatever the screen
    assert contrast(features=scheme('light'), media='') > 500
    table = browser.find_element(By.TAG_NAME, 'table')
    head = next(h for h in table.find_elements(By.TAG_NAME, 'th') if 'fd' in h.text)
    column = table.find_elements(By.TAG_NAME, 'th').index(head) + 1
    cells = lambda: [
      float(cell.get_attribute('data-value'))
      for cell in table.find_elements(By.CSS_SELECTOR, f'tbody tr > :nth-child({column})')
    ]
    for order, down in (('ascending', False), ('descending', True)):
      head.find_element(By.TAG_NAME, 'button').send_keys(Keys.ENTER)
      assert head.get_attribute('aria-sort') == order
      assert cells() == sorted(cells(), reverse=down)
    number = table.find_element(By.CSS_SELECTOR, 'td button')
    facts = browser.find_element(By.ID, number.get_attribute('popovertarget'))
    assert not facts.is_displayed()
    number.send_keys(Keys.ENTER)
    assert facts.is_displayed()
    assert 'checkpoint' in facts.text
    assert not browser.get_log('browser')
