"""Rows of configs/tables.py: what each is to run, where its result is, and what is found in it.

In OUT: runs/ (workdirs, shared by the rows that need them) and rows/<budget>/<table>/, with a JSON
file and pictures per row, which are all that the report (trilemma/report.py) is made of.
"""

import hashlib
import importlib
import json
import re
from pathlib import Path
from typing import NamedTuple

from trilemma import features
from trilemma import rows as row_lib
from trilemma.config import FREE, flatten
from trilemma.evaluate import IN_FEATURES
from trilemma.exits import UserError, choose

BUDGETS = ('smoke', 'cpu', 'gpu', 'paper')
# a table's metric: the name by which evaluate.py --metrics makes it
METRICS = {
  'fd': 'fd', 'kid': 'kid', 'is': 'is', 'precision': 'pr', 'recall': 'pr', 'swd': 'swd',
  'bits': 'bits', 'nats': 'bits', 'nfe': 'speed', 'seconds_per_image': 'speed',
}  # fmt: skip
SETTLED = 'settled'  # from convergence.py: the part of the steps after which the guess is right
# what a budget may make less of: settings of a run and flags of its evaluation. A row may also take
# another `config`, that of a smaller net with settings of its own
SCALED = {
  'train.steps', 'train.batch_size', 'train.sample_every', 'train.fd_proxy', 'optim.net.warmup',
  'model.noise_steps', 'net.channels', 'net.blocks', 'discriminator.channels',
}  # fmt: skip
SCALED_FLAGS = {'n', 'bits_n', 'steps', 'few', 'sampler', 'extractor'}
ASIDE = FREE - {'train.steps'}  # settings that no number depends on
SMOKE = {'n': 100, 'bits_n': 2, 'steps': 4, 'few': 2}
# flags of evaluate.py that are for some metrics only; all others are sampling's
OF_ALL = {'step', 'weights', 'seed', 'batch', 'label'}
OF_BITS, OF_REAL = {'bits_n', 'split'}, {'extractor', 'reference'}


class Run(NamedTuple):
  """One training: what follows --config=configs/, the settings over it, and the workdir."""

  config: str
  settings: dict
  workdir: Path

  def configure(self):
    """The ConfigDict, which logs often enough for a curve. Raises UserError for none such."""
    name, _, words = self.config.partition(':')
    try:
      module = importlib.import_module(f'configs.{name}')
    except ModuleNotFoundError as e:
      raise UserError(f'configs/{name}.py is not there') from e
    config = module.get_config(words)
    config.update_from_flattened_dict(self.settings)
    train = config.train
    often = max(1, train.steps // 50 // train.inner_steps) * train.inner_steps
    train.log_every = min(train.log_every, often)
    return config

  def argv(self, root=Path()):
    """The arguments of scripts/train.py; configs/ is in `root`."""
    name, colon, words = self.config.partition(':')
    settings = {**self.settings, 'train.log_every': self.configure().train.log_every}
    file = root / 'configs' / f'{name}.py'
    return [f'--config={file}{colon}{words}', f'--workdir={self.workdir}',
            *(f'--config.{k}={v}' for k, v in settings.items())]  # fmt: skip


class Call(NamedTuple):
  """One measurement: a script, its flags, and {column: metric} of what its result fills."""

  script: str
  flags: dict
  columns: dict

  def argv(self):
    """The arguments of the script."""
    return [f'--{k}={v}' for k, v in self.flags.items()]

  def of_features(self):
    """Whether it measures in the features of an extractor."""
    return not IN_FEATURES.keys().isdisjoint(self.flags.get('metrics', '').split(','))

  def draws(self):
    """Whether it draws samples that are then compared with something."""
    return self.of_features() or self.script == 'convergence' or 'swd' in self.columns.values()


class Plan(NamedTuple):
  """A row of a table under a budget."""

  table: str
  row: str
  budget: str
  data: str
  out: Path
  runs: tuple[Run, ...]  # what others need comes first, the row's own last
  calls: tuple[Call, ...]
  sampling: dict  # flags of scripts/sample.py
  scaled: tuple[str, ...]  # what the budget makes less of, in words

  @property
  def file(self):
    """Of the result; pictures are beside it."""
    return self.out / 'rows' / self.budget / self.table / f'{slug(self.row)}.json'

  def picture(self, end=''):
    """The file of a picture: '' of samples, '-process' of how they came to be."""
    return self.file.with_name(f'{self.file.stem}{end}.png')

  def key(self):
    """A hash of everything that the row's numbers depend on, wherever OUT is."""
    runs = [
      {k: v for k, v in flatten(run.configure()).items() if k not in ASIDE} for run in self.runs
    ]
    within = lambda v: str(v.relative_to(self.out)) if isinstance(v, Path) else v
    calls = [[c.script, {k: within(v) for k, v in c.flags.items()}, c.columns] for c in self.calls]
    weights = features.own_weights(self.data)
    ours = any(c.of_features() and 'extractor' not in c.flags for c in self.calls)
    own = [hashlib.sha256(weights.read_bytes()).hexdigest()] if ours and weights.exists() else []
    return row_lib.key_of([runs, calls, *own])


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
    config = _tiny(config)
    settings = {k: v for k, v in settings.items() if k not in SCALED}
    small = {**SMOKE, 'n': flags['n']} if table['data'] == 'swirl' else SMOKE  # few are no swirl
    flags = {k: min(v, small.get(k, v)) for k, v in flags.items()}
  return config, settings, flags


def _tiny(config):
  return config and config + (',' if ':' in config else ':') + 'tiny'


def _plan(name, table, row_name, budget, out):
  row, runs = table['rows'][row_name], []
  config, settings, flags = scaled(table, row, budget)
  less = _less(scaled(table, row, 'paper'), (config, settings, flags))

  def run(config, settings):
    """Its workdir. The same settings are the same run, whatever table wants them."""
    where = out / 'runs' / slug(' '.join([config, *(f'{k} {v}' for k, v in settings.items())]))
    runs.append(Run(config, settings, where))
    return where

  extractor = flags.pop('extractor', '')
  if extractor.startswith('run:'):
    extractor = extractor.removeprefix('run:')
    extractor = run(_tiny(extractor) if budget == 'smoke' else extractor, {})
  if extractor:
    flags['extractor'] = extractor
  if config:
    source = {'workdir': run(config, settings)}
  else:
    source = {'images': row['images'], 'data': table['data'], 'out': out / 'runs' / 'images'}
  calls = {}
  for column, measure in table['measures'].items():
    own = {**flags, **measure.get('flags', {})}
    together = measure['metric'] == SETTLED, tuple(measure.get('flags', {}).items())
    calls.setdefault(together, (own, {}))[1][column] = measure['metric']
  calls = [_call(source, own, columns) for own, columns in calls.values()]
  sampling = {k: v for k, v in flags.items() if k not in OF_BITS | OF_REAL | {'n'}}
  if budget == 'smoke':
    less = ('as :tiny', *(said for said in less if said.split()[0] in SCALED_FLAGS))
  return Plan(name, row_name, budget, table['data'], out, tuple(runs), tuple(calls), sampling, less)


def _call(source, flags, columns):
  if SETTLED in columns.values():
    workdir = source['workdir']
    return Call('convergence', {'workdirs': workdir, 'out': workdir / SETTLED, **flags}, columns)
  metrics = {METRICS[metric] for metric in columns.values()}
  flags = {k: v for k, v in flags.items() if _wanted(k, metrics)}
  return Call('evaluate', {**source, **flags, 'metrics': ','.join(sorted(metrics))}, columns)


def _wanted(flag, metrics):
  """Whether evaluate.py takes a flag when it measures these."""
  if flag in OF_BITS:
    return 'bits' in metrics
  if flag in OF_REAL:
    return bool(metrics - {'bits', 'speed'})
  return flag in OF_ALL or bool(metrics - {'bits'})


def touches(said, *metrics):
  """Whether something of a Plan's `scaled` has to do with any of these metrics of a table."""
  what = said.split()[0]
  return what not in SCALED_FLAGS or _wanted(what, {METRICS.get(m, m) for m in metrics})


def _less(whole, less):
  """What is another in the second of two results of scaled() than in the first, in words."""
  before, after = (
    {**flatten(Run(config, settings, Path()).configure()), **flags} if config else {**flags}
    for config, settings, flags in (whole, less)
  )
  for every in (before, after):  # a flag and the setting it stands for are the same
    every |= {k: every.get(k) or every.get(f'sample.{k}') for k in ('sampler', 'steps', 'few')}
    every['steps'] = every['steps'] or every.get('model.steps')
  said = lambda v: f'{v:,}' if isinstance(v, int) else str(v).removeprefix('run:') or 'own'
  return tuple(
    f'{k} {said(after[k])} instead of {said(before.get(k))}'
    for k in after
    if after[k] != before.get(k) and k not in ASIDE and not k.startswith('sample.')
  )  # fmt: skip


def found(metric, row, flags):
  """{'name', 'mean', 'spread', 'floor'} of a table's metric in a row that was made with `flags`;
  'mean' is None for what never happens, all is None where it is not there."""
  if metric == SETTLED:
    name, mean, spread, floor = f'{SETTLED}@{row["n"]}', row['right_from'], None, None
  elif metric in ('nfe', 'seconds_per_image'):
    name, mean, spread, floor = metric, row[metric], None, None
  elif metric in ('bits', 'nats'):
    name, floor = f'bits_{flags.get("split", "test")}@{flags["bits_n"]}', None
    of = (row[name], 'nats_per_image') if metric == 'nats' else (row, name)
    mean, spread = row_lib.value_of(*of)
  else:
    names = [k for k in row if re.fullmatch(rf'{metric}(_\w+)?@{flags["n"]}', k)]
    if len(names) != 1:
      return None
    name = names[0]
    mean, spread = row_lib.value_of(row, name)
    floor = (row_lib.value_of(row, f'{name}/floor') or (None,))[0]
  return {'name': name, 'mean': mean, 'spread': spread, 'floor': floor}


def trained_minutes(log, batch_size):
  """How long a run trained, without compiling, as the rows of its metrics.jsonl have it."""
  step, seconds = 0, 0.0
  for row in log:
    if row.get('train/images_per_second'):
      seconds += (row['step'] - step) * batch_size / row['train/images_per_second']
      step = row['step']
  return seconds / 60


def minutes(results):
  """How long rows took in all; a run that several of them share counts once."""
  trained = {name: m for result in results for name, m in result['minutes'].items()}
  trained['evaluating'] = sum(result['minutes']['evaluating'] for result in results)
  return sum(trained.values())


def result_of(plan):
  """A row's JSON: {} where there is none, an 'error' where it is damaged, and 'stale' where the
  table says something else by now."""
  if not plan.file.exists():
    return {}
  try:
    result = json.loads(plan.file.read_text())
    whole = {'values', 'evaluations', 'minutes'} <= result.keys() or 'error' in result
    if whole:
      return {**result, 'stale': result['key'] != plan.key()}
  except (ValueError, KeyError, AttributeError):
    pass
  return {'error': f'{plan.file} is damaged: the next run makes it again'}


def read(out, tables):
  """{budget: {table: {row: its JSON}}} of what is in `out`, in the order of budgets and tables."""
  everything = {}
  for budget in BUDGETS:
    for name in tables:
      if (Path(out) / 'rows' / budget / name).is_dir():
        rows = {plan.row: result_of(plan) for plan in plans(tables, [name], budget, out)}
        everything.setdefault(budget, {})[name] = {row: r for row, r in rows.items() if r}
  return everything
