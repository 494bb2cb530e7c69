"""Makes published tables anew: trains, evaluates and draws what each row needs.

python scripts/reproduce.py --list
python scripts/reproduce.py --table=demo --budget=cpu --report
python scripts/reproduce.py --table=mnist --budget=cpu --rows=dcgan,vdm
The tables are in configs/tables.py. A row that is there is not made again, and a killed one goes on
where it was. Published numbers are quoted; ours stand beside them, with a verdict. --report writes
WORKDIR/report.html, one page of all the rows in WORKDIR/rows.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
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
# images in a row's two pictures; of colour fewer, as their noise cannot be compressed
PICTURED, PICTURED_IN_COLOUR = (60, 5), (25, 2)


def main(stop):
  from configs.tables import TABLES
  from trilemma import report, reproduce, verdict
  from trilemma.exits import UserError

  jax.config.update('jax_platforms', 'cpu')  # the device is for the scripts that this one starts
  given = [flag.name for flag in (TABLE, BUDGET, ROWS, DATA_DIR, DRY_RUN, REPORT) if flag.present]
  if LIST.value:
    if given:
      raise UserError(f'--list says all there is: leave out --{given[0]}')
    return show_list(TABLES)
  if not TABLE.value and not REPORT.value:
    raise UserError('--table=NAME, --list or --report is needed; --help lists all flags')
  if not TABLE.value and given != ['report']:
    raise UserError(f'--{given[0]} is of a table: name one with --table')
  if DRY_RUN.value and REPORT.value:
    raise UserError('--dry_run makes nothing to report: leave out one of the two')
  plans = reproduce.plans(TABLES, TABLE.value, BUDGET.value, WORKDIR.value, ROWS.value)
  missing = {}
  for plan in plans:
    try:
      if not done(plan):
        check(plan)
    except UserError as e:  # the other rows can still be made
      missing[plan.file] = str(e)
  if DRY_RUN.value:
    show_plans(plans, missing)
    if missing:
      raise UserError(f'{len(missing)} of {len(plans)} rows cannot run, as it says above')
    return
  for number, plan in enumerate(plans, 1):
    title = f'--- {plan.table}: {plan.row}, row {number} of {len(plans)}'
    if plan.file in missing:
      print(f'{title}: not run: {missing[plan.file]}')
      fail(plan, missing[plan.file])
      continue
    print(f'{title}: is there' if done(plan) else title, flush=True)
    if not done(plan):
      make(plan, stop)
    if done(plan) and not plan.picture().exists():
      draw(plan, stop)
  everything = reproduce.read(WORKDIR.value, TABLES)
  for name in TABLE.value:
    found = everything.get(BUDGET.value, {}).get(name, {})
    print(f'\n{TABLES[name]["title"]}, budget {BUDGET.value}')
    print(verdict.markdown(TABLES, name, BUDGET.value, found))
  if REPORT.value:
    page = Path(WORKDIR.value) / 'report.html'
    report.save(page, TABLES, everything, WORKDIR.value)
    print(f'page in {page}')
  failed = [plan for plan in plans if not done(plan)]
  if failed:
    raise UserError(f'not run: {", ".join(plan.row for plan in failed)}; the reasons are above')
  if plans and plans[-1].runs:
    print(f'Next: python scripts/sample.py --workdir={plans[-1].runs[-1].workdir} --seed=1')


def check(plan):
  """Raises UserError for what would stop a row later: settings, data, weights of an extractor."""
  from configs import base
  from trilemma import data, features
  from trilemma.exits import UserError
  from trilemma.run import make_model
  from trilemma.train import set_up
  from trilemma.workdir import compare

  config, spec = base.common(), None
  for one in plan.runs:
    config = one.configure()
    real = set_up(config, DATA_DIR.value).data
    spec = real.spec
    try:
      if one.workdir.is_dir():
        compare(one.workdir, config, real)
    except UserError as e:
      raise UserError(f'{one.workdir} is another run: remove it ({e})') from None
  for call in plan.calls:
    if 'images' in call.flags:
      config.data.name = call.flags['data']
      spec = data.load(config.data, 'test', DATA_DIR.value).spec
    else:
      for k in (set(config.sample) & set(call.flags)) - {'n'}:
        config.sample[k] = call.flags[k]
      make_model(config, spec)
    extractor = call.flags.get('extractor', '')
    if not call.of_features():
      continue
    trained = [one.configure() for one in plan.runs if one.workdir == extractor]
    if trained:
      net = trained[0].net
      if set_up(trained[0], DATA_DIR.value).data.spec.shape != spec.shape:
        raise UserError(f'{extractor} takes other images than {spec.shape}')
    else:
      net = features.find(extractor, spec).about['net']
    size = features.SIZES[net['name']](net)
    if 'fd' in call.flags['metrics'] and call.flags['n'] <= size:
      raise UserError(f'{call.flags["n"]:,} images are too few for a distance of {size:,} features')


def done(plan):
  """Whether a row's numbers are there, and of what the table now says."""
  from trilemma import reproduce

  result = reproduce.result_of(plan)
  return bool(result) and 'error' not in result and not result['stale']


def save(plan, result):
  """Writes a row's JSON."""
  from trilemma.writers import write_json

  plan.file.parent.mkdir(parents=True, exist_ok=True)
  write_json(plan.file, {
    'table': plan.table, 'row': plan.row, 'budget': plan.budget, 'key': plan.key(), **result,
  })  # fmt: skip


def fail(plan, why):
  """Writes why a row is not there; what an older one measured stays."""
  from trilemma import reproduce

  kept = reproduce.result_of(plan)
  kept = {k: v for k, v in kept.items() if k != 'stale'} if 'values' in kept else {}
  save(plan, {**kept, 'error': why})


MEANING = {1: 'an input or output that failed', 2: 'bad configuration or input', 3: 'divergence'}


def run(script, argv, stop):
  """Runs scripts/SCRIPT.py; its last line. Raises Preempted, or UserError where it fails."""
  from trilemma.exits import Preempted, UserError

  stop.check()
  command = [sys.executable, str(ROOT / 'scripts' / f'{script}.py'), *argv]
  last = ''
  with tempfile.NamedTemporaryFile() as why, subprocess.Popen(
    command, stdout=subprocess.PIPE, text=True, start_new_session=True,
    env={**os.environ, cli.WHY: why.name},
  ) as child:  # fmt: skip
    stop.child = child
    if stop.requested:  # a signal that came before this child was known
      child.terminate()
    for line in child.stdout:
      last = line.rstrip()
      if not last.startswith('{'):  # a row, for programs
        print(f'  {last}', flush=True)
    child.wait()
    said = Path(why.name).read_text()
  stop.child = None
  if child.returncode == Preempted.code or (child.returncode and stop.requested):
    raise Preempted('stopped by a signal: the same command goes on')
  if child.returncode:
    code = child.returncode
    why = f'{MEANING[code]}: {said}' if said and code in MEANING else f'exit code {code}: see above'
    raise UserError(f'{script}.py ended with {why}')
  return last


def make(plan, stop):
  """Trains and evaluates one row, and saves its numbers, or why they are not there."""
  from trilemma import reproduce
  from trilemma.exits import UserError
  from trilemma.writers import read_rows

  try:
    trained = {}
    for one in plan.runs:
      run('train', [*one.argv(ROOT), *data_dir('train')], stop)
      log = read_rows(one.workdir / 'metrics.jsonl')
      trained[one.workdir.name] = reproduce.trained_minutes(log, one.configure().train.batch_size)
    began, evaluations = time.monotonic(), []
    for call in plan.calls:
      last = run(call.script, [*call.argv(), *data_dir(call.script)], stop)
      if call.script == 'convergence':
        [row] = json.loads((call.flags['out'] / 'convergence.json').read_text())
      else:
        row = json.loads(last)
      evaluations.append(row)
      steps = plan.runs[-1].configure().train.steps if plan.runs else None
      if steps and (of := row.get('checkpoint', steps)) != steps:
        workdir = plan.runs[-1].workdir
        raise UserError(f'{workdir} was trained for {of:,} steps, not {steps:,}: remove it')
  except UserError as e:
    return fail(plan, str(e))
  spent = {'evaluating': (time.monotonic() - began) / 60, **trained}
  for end in ('', '-process'):  # of an older result
    plan.picture(end).unlink(missing_ok=True)
  save(plan, {**collect(plan, evaluations), 'minutes': spent})


def data_dir(script):
  """The flag that says where data is, for a script that reads any."""
  return [f'--data_dir={DATA_DIR.value}'] * bool(DATA_DIR.value and script != 'convergence')


def collect(plan, evaluations):
  """What a row's JSON has of its measurements and of its run."""
  from trilemma import reproduce
  from trilemma.writers import read_rows

  values = {}
  for i, (call, row) in enumerate(zip(plan.calls, evaluations, strict=True)):
    for column, metric in call.columns.items():
      found = reproduce.found(metric, row, call.flags)
      values[column] = found and {**found, 'of': i}
  result = {'values': values, 'evaluations': evaluations, 'commands': commands(plan)}
  if 'images' in plan.calls[0].flags:
    return result
  own = plan.runs[-1]
  config, rows = own.configure(), read_rows(own.workdir / 'metrics.jsonl')
  result['trained'] = f'{config.train.steps:,} x {config.train.batch_size}'
  result['losses'] = {
    player: [[row['step'], row[f'train/{player}/loss']] for row in rows
             if f'train/{player}/loss' in row] for player in config.optim
  }  # fmt: skip
  if config.family == 'vdm':
    result['gamma'] = gamma(own)
  return result


def gamma(run):
  """[[t, gamma], ...] of a VDM."""
  import numpy as np

  from trilemma.run import open_checkpoint
  from vdm.gamma import curve

  opened = open_checkpoint(run.workdir)
  t = np.linspace(0, 1, 51, dtype=np.float32)
  return np.stack([t, curve(opened.config.model, opened.state.ema, t)], 1).tolist()


def draw(plan, stop):
  """A grid of the images that were measured, and a strip of how some came to be."""
  import numpy as np

  from trilemma import plots
  from trilemma.exits import UserError
  from trilemma.workdir import open_config

  if 'images' in plan.calls[0].flags:
    return
  workdir, rows = plan.runs[-1].workdir, json.loads(plan.file.read_text())['evaluations']
  every = [row for row in rows if 'samples' in row and 'class' not in row]  # not of one class
  measured = workdir / 'eval' / every[0]['samples'] if every else None
  try:
    config, spec = open_config(workdir)
    points = spec.shape[:2] == (1, 1)
    grid, strip = PICTURED_IN_COLOUR if spec.shape[-1] == 3 else PICTURED
    out, n = workdir / 'drawn', 1024 if points else strip if measured else grid
    run('sample', [
      f'--workdir={workdir}', f'--out={out}', f'--n={n}',
      *(f'--{k}={v}' for k, v in plan.sampling.items()),
    ], stop)  # fmt: skip
    if (out / 'process.png').exists():  # a single step has none
      shutil.copy(out / 'process.png', plan.picture('-process'))
    for call in plan.calls:
      if call.script == 'convergence':
        shutil.copy(call.flags['out'] / 'states.png', plan.picture('-process'))
    # last, so that it says that all are there
    if measured:
      with np.load(measured) as arrays:
        images = arrays['arr_0'] if points else arrays['arr_0'][:grid]
      classes = spec.classes if config.model.get('conditional', False) else ()
      columns = plots.columns_for(len(images), classes)
      plots.save_png(plan.picture(), plots.tile(images, columns, 256, side=400))
    else:
      shutil.copy(out / 'samples.png', plan.picture())
  except (UserError, OSError, ValueError) as e:
    print(f'note: no picture of {plan.row}: {e}')


def commands(plan, more=lambda script: []):
  """What a user would type for a row, line by line, with more(script) flags."""
  lines = [('train', one) for one in plan.runs] + [(call.script, call) for call in plan.calls]
  return [
    f'python scripts/{script}.py {" ".join([*one.argv(), *more(script)])}' for script, one in lines
  ]


def show_plans(plans, missing):
  for plan in plans:
    state = 'is there' if done(plan) else missing.get(plan.file, '')
    print(f'{plan.table}: {plan.row}' + (f': {state}' if state else ''))
    if not done(plan):
      print(''.join(f'  {command}\n' for command in commands(plan, data_dir)), end='')


def show_list(tables):
  """A line per table, and one per budget with what it takes."""
  from trilemma import reproduce

  for name, table in tables.items():
    print(f'{name}: {table["title"]}' + (f' ({table["source"]})' if table['source'] else ''))
    for budget in ('smoke', *table['budgets'], 'paper'):
      plans = reproduce.plans(tables, [name], budget, '')
      runs = {one.workdir: one.configure().train for plan in plans for one in plan.runs}
      drawn = sum(
        call.flags['n'] for plan in plans if plan.runs for call in plan.calls
        if call.draws() and 'n' in call.flags
      )  # fmt: skip
      seen = sum(train.steps * train.batch_size for train in runs.values())
      minutes = table.get('minutes', {}).get(budget)
      many = lambda n, what: f'{n} {what}{"s" * (n != 1)}'
      print(f'  {budget:<6}{many(len(table["rows"]), "row")}, {many(len(runs), "run")}, '
            f'{seen:,} images trained on, {drawn:,} drawn'
            + (f'; took {minutes}' if minutes else ''))  # fmt: skip


if __name__ == '__main__':
  cli.run(main)
