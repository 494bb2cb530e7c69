"""Makes published tables anew: trains, evaluates and draws what each row needs.

python scripts/reproduce.py --list
python scripts/reproduce.py --table=demo --budget=cpu --report
python scripts/reproduce.py --table=dtu_mnist --budget=cpu --rows=linear,cosine
The tables are in configs/tables.py. A row that is there is not made again, and a killed one goes on
where it was. Published numbers are quoted; ours stand beside them, with a verdict. --report writes
WORKDIR/report.html, one page of all the rows in WORKDIR/rows.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
from absl import flags

from trilemma import cli

TABLE = flags.DEFINE_list('table', [], 'Tables, by the names that --list gives.')
BUDGET = flags.DEFINE_enum(
  'budget', 'cpu', ['smoke', 'cpu', 'gpu', 'paper'], 'How much is trained, drawn and measured.'
)
ROWS = flags.DEFINE_list('rows', [], 'Only these rows of the tables.')
WORKDIR = flags.DEFINE_string('workdir', 'runs/reproduce', 'Directory of runs and rows.')
DATA_DIR = flags.DEFINE_string('data_dir', '', 'TFDS directory; default TFDS_DATA_DIR.')
LIST = flags.DEFINE_bool('list', False, 'Say which tables there are and what they cost.')
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Check everything, say what would run, and stop.')
REPORT = flags.DEFINE_bool('report', False, 'Write WORKDIR/report.html of the rows that are there.')
ROOT = Path(__file__).resolve().parents[1]
GRID, STRIP = 60, 10  # images in a row's pictures


def main(stop):
  from configs.tables import TABLES
  from trilemma import report, reproduce
  from trilemma.exits import UserError

  jax.config.update('jax_platforms', 'cpu')  # the device is for the scripts that this one starts
  if LIST.value:
    return show_list(TABLES)
  if not TABLE.value and not REPORT.value:
    raise UserError('--table=NAME, --list or --report is needed; --help lists all flags')
  plans = reproduce.plans(TABLES, TABLE.value, BUDGET.value, WORKDIR.value, ROWS.value)
  missing = {}
  for plan in plans:
    try:
      check(plan)
    except UserError as e:  # the other rows can still be made
      missing[plan.table, plan.row] = str(e)
  if DRY_RUN.value:
    return show_plans(plans, missing)
  for number, plan in enumerate(plans, 1):
    title = f'--- {plan.table}: {plan.row}, row {number} of {len(plans)}'
    if done(plan):
      print(f'{title}: is there')
    elif (plan.table, plan.row) in missing:
      print(f'{title}: not run: {missing[plan.table, plan.row]}')
      save(plan, {'error': missing[plan.table, plan.row]})
    else:
      print(title, flush=True)
      make(plan, TABLES[plan.table], stop)
  everything = reproduce.read(WORKDIR.value, TABLES)
  for name in TABLE.value:
    found = everything.get(BUDGET.value, {}).get(name, {})
    print(f'\n{TABLES[name]["title"]}, budget {BUDGET.value}')
    print(reproduce.markdown(TABLES[name], found))
  if REPORT.value:
    page = Path(WORKDIR.value) / 'report.html'
    report.save(page, TABLES, everything, WORKDIR.value)
    print(f'\npage in {page}')
  failed = [plan for plan in plans if not done(plan)]
  if failed:
    raise UserError(f'not run: {", ".join(plan.row for plan in failed)}; the reasons are above')


def check(plan):
  """Raises UserError for what would stop a row later: settings, data, weights of an extractor."""
  from trilemma import data, features
  from trilemma.train import set_up

  spec = None
  for run in plan.runs:
    spec = set_up(run.configure(), DATA_DIR.value).data.spec
  for call in plan.calls:
    extractor = str(call.flags.get('extractor', ''))
    of_features = {'fd', 'kid', 'pr', 'is'} & set(call.flags.get('metrics', '').split(','))
    if 'images' in call.flags:
      from configs import base

      config = base.common()
      config.data.name = call.flags['data']
      spec = data.load(config.data, 'test', DATA_DIR.value).spec
    if of_features and extractor in ('', 'inception'):
      features.find(extractor, spec)


def done(plan):
  """Whether a row's numbers are there, and of what the table now says."""
  saved = json.loads(plan.file.read_text()) if plan.file.exists() else {}
  return 'error' not in saved and saved.get('key') == plan.key()


def save(plan, result):
  """Writes a row's JSON."""
  from trilemma.writers import write_json

  plan.file.parent.mkdir(parents=True, exist_ok=True)
  write_json(plan.file, {
    'table': plan.table, 'row': plan.row, 'budget': plan.budget, 'key': plan.key(),
    'scaled': plan.scaled, **result,
  })  # fmt: skip


def run(script, argv, stop):
  """Runs scripts/SCRIPT.py; its last line. Raises Preempted, or UserError where it fails."""
  from trilemma.exits import Preempted, UserError

  stop.check()
  command = [sys.executable, str(ROOT / 'scripts' / f'{script}.py'), *argv]
  last = ''
  with subprocess.Popen(
    command, stdout=subprocess.PIPE, text=True, start_new_session=True
  ) as stop.child:
    for line in stop.child.stdout:
      last = line.rstrip()
      if not last.startswith('{'):  # a row, for programs
        print(f'  {last}', flush=True)
  code, stop.child = stop.child.returncode, None
  if code == Preempted.code:
    raise Preempted('stopped by a signal: the same command goes on')
  if code:
    raise UserError(f'{script}.py ended with exit code {code}, as it says above')
  return last


def make(plan, table, stop):
  """Trains, evaluates and draws one row, and saves it, or why it is not there."""
  from trilemma.exits import Preempted, UserError

  data_dir = [f'--data_dir={DATA_DIR.value}'] if DATA_DIR.value else []
  try:
    trained = {}
    for one in plan.runs:
      run('train', [*one.argv(), *data_dir], stop)
      trained[one.workdir.name] = minutes(one)
    began, evaluations = time.monotonic(), []
    for call in plan.calls:
      own = data_dir if call.script == 'evaluate' else []
      last = run(call.script, [*call.argv(), *own], stop)
      if call.script == 'convergence':
        last = json.dumps(json.loads((call.flags['out'] / 'convergence.json').read_text())[0])
      evaluations.append(json.loads(last))
    result = collect(plan, table, evaluations)
    pictures(plan, evaluations, stop)
  except Preempted:
    raise
  except UserError as e:
    save(plan, {'error': str(e)})
    return
  save(plan, {**result, 'minutes': {'evaluating': (time.monotonic() - began) / 60, **trained}})


def collect(plan, table, evaluations):
  """What a row's JSON has of its measurements and of its run."""
  from trilemma import reproduce
  from trilemma.writers import read_rows

  values = {}
  for call, row in zip(plan.calls, evaluations, strict=True):
    for column in call.columns:
      found = reproduce.found(table['measures'][column]['metric'], row)
      values[column] = found and {**found, 'of': evaluations.index(row)}
  result = {
    'values': values, 'evaluations': evaluations, 'commands': commands(plan), 'trained': '',
  }  # fmt: skip
  if not ((plan.runs and 'workdir' in plan.calls[0].flags) or 'workdirs' in plan.calls[0].flags):
    return result
  own = plan.runs[-1]
  config, rows = own.configure(), read_rows(own.workdir / 'metrics.jsonl')
  train = config.train
  result['trained'] = f'{train.steps:,} x {train.batch_size}'
  result['losses'] = {
    player: [[row['step'], row[f'train/{player}/loss']] for row in rows
             if f'train/{player}/loss' in row] for player in config.optim
  }  # fmt: skip
  if config.family == 'vdm':
    result['gamma'] = gamma(own)
  return result


def minutes(run):
  """How long a run trained, without compiling, as its log has it."""
  from trilemma.writers import read_rows

  size, last, seconds = run.configure().train.batch_size, 0, 0.0
  for row in read_rows(run.workdir / 'metrics.jsonl'):
    if row.get('train/images_per_second'):
      seconds += (row['step'] - last) * size / row['train/images_per_second']
      last = row['step']
  return seconds / 60


def gamma(run):
  """[[t, gamma], ...] of a VDM."""
  import numpy as np

  from trilemma.run import open_checkpoint
  from vdm.gamma import curve

  opened = open_checkpoint(run.workdir)
  t = np.linspace(0, 1, 51, dtype=np.float32)
  return np.stack([t, curve(opened.config.model, opened.state.ema, t)], 1).tolist()


def pictures(plan, evaluations, stop):
  """A grid of the images that were measured, and a strip of how some came to be."""
  import numpy as np

  from trilemma import plots
  from trilemma.workdir import open_config

  row = next((row for row in evaluations if 'samples' in row), None)
  if not row:
    return
  workdir = plan.runs[-1].workdir
  config, spec = open_config(workdir)
  plan.file.parent.mkdir(parents=True, exist_ok=True)
  with np.load(workdir / 'eval' / row['samples']) as arrays:
    points = spec.shape[:2] == (1, 1)
    images = arrays['arr_0'] if points else arrays['arr_0'][:GRID]
  conditional = config.model.get('conditional', False)
  columns = plots.columns_for(len(images), spec.classes if conditional else ())
  plots.save_png(plan.file.with_suffix('.png'), plots.tile(images, columns, 256, side=400))
  if row['nfe'] > 1:
    out = workdir / 'process'
    n = len(images) if points else STRIP
    run('sample', [
      f'--workdir={workdir}', f'--out={out}', f'--n={n}',
      *(f'--{k}={v}' for k, v in plan.sampling.items()),
    ], stop)  # fmt: skip
    shutil.copy(out / 'process.png', plan.file.with_name(f'{plan.file.stem}-process.png'))


def commands(plan):
  """What a user would type for a row, line by line."""
  lines = [('train', one) for one in plan.runs] + [(call.script, call) for call in plan.calls]
  return [f'python scripts/{script}.py {" ".join(one.argv())}' for script, one in lines]


def show_plans(plans, missing):
  for plan in plans:
    state = 'is there' if done(plan) else missing.get((plan.table, plan.row), '')
    print(f'{plan.table}: {plan.row}' + (f': {state}' if state else ''))
    if not done(plan):
      print(''.join(f'  {command}\n' for command in commands(plan)), end='')


def show_list(tables):
  """A line per table, and one per budget with what it takes."""
  from trilemma import reproduce

  for name, table in tables.items():
    print(f'{name}: {table["title"]}' + (f' ({table["source"]})' if table['source'] else ''))
    for budget in ('cpu', 'gpu', 'paper'):
      if budget != 'paper' and budget not in table['budgets']:
        continue
      runs = {
        one.workdir: one.configure().train
        for plan in reproduce.plans(tables, [name], budget, '')
        for one in plan.runs
      }
      seen = sum(train.steps * train.batch_size for train in runs.values())
      minutes = table.get('minutes', {}).get(budget)
      print(f'  {budget:<6}{len(table["rows"])} rows, {len(runs)} runs, {seen:,} training images'
            + (f'; took {minutes}' if minutes else ''))  # fmt: skip


if __name__ == '__main__':
  cli.run(main)
