"""Rows of configs/tables.py: what each needs, what came of it, and whether it is as published.

In OUT: runs/ (workdirs, shared by the rows that need them) and rows/<budget>/<table>/, with a JSON
file and pictures per row, which are all that the report (trilemma/report.py) is made of.
"""

import importlib
import json
import re
from pathlib import Path
from typing import NamedTuple

from trilemma import rows as row_lib
from trilemma.config import flatten
from trilemma.exits import UserError, choose

BUDGETS = ('smoke', 'cpu', 'gpu', 'paper')
# a table's metric: the name by which evaluate.py --metrics makes it
METRICS = {
  'fd': 'fd', 'kid': 'kid', 'is': 'is', 'precision': 'pr', 'recall': 'pr', 'swd': 'swd',
  'bits': 'bits', 'nats': 'bits', 'nfe': 'speed', 'seconds_per_image': 'speed',
}  # fmt: skip
SETTLED = 'settled'  # from convergence.py: the part of the steps after which the guess is right
# what a budget may make less of, and nothing else: settings of a run and flags of its evaluation
SCALED = {
  'train.steps', 'train.batch_size', 'net.channels', 'net.blocks', 'net.features',
  'discriminator.channels',
}  # fmt: skip
SCALED_FLAGS = {'n', 'bits_n', 'steps', 'few', 'sampler', 'extractor'}
SMOKE = {'n': 100, 'bits_n': 2, 'steps': 4, 'few': 2}
# flags of evaluate.py that are for some metrics only; all others are sampling's
OF_ALL, OF_BITS, OF_REAL = {'step', 'weights', 'seed', 'batch'}, {'bits_n', 'split'}, {
  'extractor', 'reference'
}  # fmt: skip


class Run(NamedTuple):
  """One training: what follows --config=configs/, the settings over it, and the workdir."""

  config: str
  settings: dict
  workdir: Path

  def configure(self):
    """The ConfigDict. Raises UserError for a configuration that is not there."""
    name, _, words = self.config.partition(':')
    try:
      module = importlib.import_module(f'configs.{name}')
    except ModuleNotFoundError as e:
      raise UserError(f'configs/{name}.py is not there') from e
    config = module.get_config(words)
    config.update_from_flattened_dict(self.settings)
    return config

  def argv(self):
    """The arguments of scripts/train.py; it logs often enough for a curve."""
    name, colon, words = self.config.partition(':')
    config = self.configure()
    often = max(1, min(config.train.log_every, config.train.steps // 50))
    settings = {**self.settings, 'train.log_every': often}
    return [f'--config=configs/{name}.py{colon}{words}', f'--workdir={self.workdir}',
            *(f'--config.{k}={v}' for k, v in settings.items())]  # fmt: skip


class Call(NamedTuple):
  """One measurement: a script, its flags, and the table's columns that its result fills."""

  script: str
  flags: dict
  columns: tuple[str, ...]

  def argv(self):
    """The arguments of the script."""
    return [f'--{k}={v}' for k, v in self.flags.items()]


class Plan(NamedTuple):
  """A row of a table under a budget."""

  table: str
  row: str
  budget: str
  file: Path  # of its result; pictures are beside it
  runs: tuple[Run, ...]  # what others need comes first, the row's own last
  calls: tuple[Call, ...]
  sampling: dict  # flags of scripts/sample.py
  scaled: str  # what the budget makes less of, in words

  def key(self):
    """A hash of everything that the row's numbers depend on."""
    runs = [run.configure().to_dict() for run in self.runs]
    return row_lib.key_of([runs, [[c.script, sorted(c.argv())] for c in self.calls]])


def slug(name):
  """A name as it stands in those of files."""
  return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')


def plans(tables, names, budget, out, only=()):
  """The Plans of the rows of the tables `names`, or of those that `only` names.

  Raises UserError for a table, budget or row that is not there.
  """
  found = []
  for name in names:
    table = choose('table', name, tables)
    choose(f'budget of {name}', budget, dict.fromkeys(('smoke', *table['budgets'], 'paper')))
    found += [_plan(name, table, row, budget, Path(out)) for row in table['rows']]
  wanted = [slug(name) for name in only]
  for name in wanted:
    choose('row', name, {slug(plan.row): plan for plan in found})
  return [plan for plan in found if not wanted or slug(plan.row) in wanted]


def scaled(table, row, budget):
  """(configuration or '', settings over it, flags of the evaluation) of a row under a budget."""
  config, settings = row.get('config', ''), dict(row.get('set', {}))
  flags = {**table.get('flags', {}), **row.get('flags', {})}
  for part in (table, row):
    less = part.get('budgets', {}).get('cpu' if budget == 'smoke' else budget, {})
    config = less.get('config', config)
    settings |= less.get('set', {})
    flags |= less.get('flags', {})
  if budget == 'smoke':  # :tiny says how much is trained, and how wide
    config += (',' if ':' in config else ':') + 'tiny' if config else ''
    settings = {k: v for k, v in settings.items() if k not in SCALED}
    small = SMOKE if table['data'] != 'swirl' else {}  # points are cheap, and few are no swirl
    flags = {k: min(v, small.get(k, v)) for k, v in flags.items()}
  return config, settings, flags


def _plan(name, table, row_name, budget, out):
  row, runs = table['rows'][row_name], []
  config, settings, flags = scaled(table, row, budget)
  less = _less(scaled(table, row, 'paper'), (config, settings, flags))

  def run(config, settings):
    """Its workdir. The same settings are the same run, whatever table wants them."""
    words = [f'{key.split(".")[-1]} {value}' for key, value in settings.items()]
    where = out / 'runs' / slug(' '.join([config, *words]))
    runs.append(Run(config, settings, where))
    return where

  extractor = flags.get('extractor', '')
  if extractor.startswith('run:'):
    tiny = ':tiny' if budget == 'smoke' else ''
    flags['extractor'] = run(extractor.removeprefix('run:') + tiny, {})
  if config:
    source = {'workdir': run(config, settings)}
  else:
    source = {'images': row['images'], 'data': table['data'], 'out': out / 'runs' / 'images'}
  groups, calls = {}, []
  for column, measure in table['measures'].items():
    if column not in row.get('without', ()):
      own = tuple(sorted(measure.get('flags', {}).items()))
      groups.setdefault((measure['metric'] == SETTLED, own), []).append(column)
  for (settled, own), columns in groups.items():
    own = dict(own)
    if settled:
      workdir = source['workdir']
      own = {'workdirs': workdir, 'out': workdir / 'convergence', **own}
      calls.append(Call('convergence', own, tuple(columns)))
      continue
    metrics = {METRICS[table['measures'][column]['metric']] for column in columns}
    own = {k: v for k, v in {**flags, **own}.items() if _wanted(k, metrics)}
    own = {**source, **own, 'metrics': ','.join(sorted(metrics))}
    calls.append(Call('evaluate', own, tuple(columns)))
  sampling = {k: v for k, v in flags.items() if k not in OF_BITS | OF_REAL | {'n'}}
  file = out / 'rows' / budget / name / f'{slug(row_name)}.json'
  text = 'as :tiny' if budget == 'smoke' else less
  return Plan(name, row_name, budget, file, tuple(runs), tuple(calls), sampling, text)


def _wanted(flag, metrics):
  """Whether evaluate.py takes a flag when it measures these."""
  if flag in OF_BITS:
    return 'bits' in metrics
  if flag in OF_REAL:
    return bool(metrics - {'bits', 'speed'})
  return flag in OF_ALL or bool(metrics - {'bits'})


def _less(whole, less):
  """What the second of two results of scaled() has less of than the first, in words."""
  config, settings, flags = whole
  before = flatten(Run(config, settings, Path()).configure()) if config else {}
  before['steps'] = before.get('sample.steps') or before.get('model.steps')
  before |= {k: before.get(f'sample.{k}') for k in ('sampler', 'few')} | flags | {'config': config}
  after = {'config': less[0], **less[1], **less[2]}
  said = lambda v: f'{v:,}' if isinstance(v, int) else str(v).removeprefix('run:')
  return ', '.join(
    f'{k} {said(after[k])} instead of {said(before[k])}'
    for k in after if before.get(k) not in (None, after[k])
  )  # fmt: skip


def found(metric, row):
  """{'name', 'mean', 'spread', 'floor'} of a table's metric in a row of evaluate.py, or of
  convergence.py; None where it is not there."""
  if metric == SETTLED:
    name, mean, spread, floor = f'{SETTLED}@{row["n"]}', row['within_a_tenth_from'], None, None
  elif metric in ('nfe', 'seconds_per_image'):
    name, mean, spread, floor = metric, row.get(metric), None, None
  else:
    start = 'bits_' if metric == 'nats' else metric
    names = [k for k in row_lib.metrics_of(row) if re.match(f'{start}[_@]?', k)]
    if not names:
      return None
    name = max(names, key=lambda k: int(re.search(r'@(\d+)', k)[1]))
    of = (row[name], 'nats_per_image') if metric == 'nats' else (row, name)
    mean, spread = row_lib.value_of(*of)
    floor = (row_lib.value_of(row, f'{name}/floor') or (None,))[0]
  return None if mean is None else {'name': name, 'mean': mean, 'spread': spread, 'floor': floor}


def verdict(published, value, measure, less):
  """Whether `value`, what found() gave, is the published number: in words.

  A number of another kind, or of another n, is never a reproduction, however close.
  """
  if value is None:
    return 'not run'
  if published is None:
    return ''
  features = measure.get('extractor')
  other = [measure['unlike']] if 'unlike' in measure else []
  if features and f'_{features}@' not in value['name']:
    other.append(f'features of {value["name"].split("_")[-1].split("@")[0]}, not {features}')
  if measure['metric'] in ('fd', 'is') and re.search(r'\bn \d', less):
    other.append('another n')
  if other:
    return f'differs (not the same number: {"; ".join(other)})'
  off = value['mean'] - published
  if abs(off) <= measure['tolerance']:
    return 'reproduced within tolerance'
  return f'differs (by {off:+.3g}; {less or "with the published settings"})'


class Cell(NamedTuple):
  """What stands in one place of a table; `value` is what found() gave, of the row `row`."""

  text: str
  number: float | None = None  # what it sorts by, if not the text
  value: dict | None = None
  row: str = ''


def view(table, results):
  """(head, lines of Cells) of a table; `results` is {row: its JSON}, which may lack rows.

  Where numbers were published a line is one of them with ours and a verdict; otherwise it is a row,
  and the last one is real images against real images.
  """
  columns = table['measures']
  if any('published' in row or 'said' in row for row in table['rows'].values()):
    head = ['row', 'what', 'published', 'ours', 'real to real', 'n', 'trained', 'verdict']
    return head, [
      _line(row, column, table, results.get(row, {}))
      for row in table['rows'] for column in columns
    ]  # fmt: skip
  lines, floors, names = [], {}, {}
  for row in table['rows']:
    result = results.get(row, {})
    values = result.get('values', {})
    floors |= {c: v for c, v in values.items() if v and v['floor'] is not None}
    names |= {c: v['name'] for c, v in values.items() if v and '@' in v['name']}
    state = '' if values else f'not run{_reason(result)}'
    cells = [_ours(values.get(column), row) for column in columns]
    lines.append([Cell(row), *cells, Cell(result.get('trained', '') or state)])
  if floors:
    cells = [_floor(floors.get(column)) for column in columns]
    lines.append([Cell('real to real'), *cells, Cell('')])
  return ['row', *(names.get(column, column) for column in columns), 'trained'], lines


def _line(row, column, table, result):
  published = table['rows'][row].get('published', {}).get(column)
  value, said = result.get('values', {}).get(column), table['rows'][row].get('said', '')
  of = verdict(published, value, table['measures'][column], result.get('scaled', ''))
  n = _n(value)
  return [
    Cell(row), Cell(column), Cell(said) if published is None else Cell(f'{published:g}', published),
    _ours(value, row), _floor(value), Cell(n, int(n.replace(',', '')) if n else None),
    Cell(result.get('trained', '')), Cell(of + _reason(result)),
  ]  # fmt: skip


def _reason(result):
  return f' ({result["error"]})' if 'error' in result else ''


def _ours(value, row):
  return Cell(row_lib.text_of(value and (value['mean'], value['spread'])),
              value and value['mean'], value, row)  # fmt: skip


def _floor(value):
  floor = value and value['floor']
  return Cell('' if floor is None else row_lib.text_of((floor, None)), floor)


def _n(value):
  """How many examples a value is of: '1,000' of 'fd_lenet@1000'."""
  n = re.search(r'@(\d+)', value['name'] if value else '')
  return f'{int(n[1]):,}' if n else ''


def minutes(results):
  """How long rows took in all; a run that several of them share counts once."""
  trained = {name: m for result in results for name, m in result['minutes'].items()}
  trained['evaluating'] = sum(result['minutes']['evaluating'] for result in results)
  return sum(trained.values())


def markdown(table, results):
  """The table as Markdown."""
  head, lines = view(table, results)
  return row_lib.markdown(head, [[cell.text for cell in line] for line in lines])


def read(out, tables):
  """{budget: {table: {row: its JSON}}} of what is in `out`, in the order of budgets and tables."""
  everything = {}
  for budget in BUDGETS:
    for name, table in tables.items():
      files = {
        row: Path(out) / 'rows' / budget / name / f'{slug(row)}.json' for row in table['rows']
      }
      rows = {row: json.loads(file.read_text()) for row, file in files.items() if file.exists()}
      if rows:
        everything.setdefault(budget, {})[name] = rows
  return everything
