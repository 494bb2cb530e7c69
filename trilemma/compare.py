"""The trilemma of several runs in one table and one figure: quality, coverage and speed."""

import json
from pathlib import Path

from trilemma import plots
from trilemma import rows as row_lib
from trilemma.exits import UserError
from trilemma.writers import write_json


def rows_of(workdirs):
  """The rows of samples of each run, with 'run' and its bits/dim whatever the sampler.

  Of rows with several n, reference images or extractors those are taken that all runs have, with
  the largest n. Raises UserError for a run that was not evaluated, and for runs that share none.
  """
  if len(workdirs) < 2:
    raise UserError('--compare needs at least two runs: --compare runs/a runs/b')
  found = {}
  for workdir in workdirs:
    every = row_lib.of_run(workdir)
    found[workdir] = [row for row in every if 'reference' in row]
    if not found[workdir]:
      raise UserError(
        f'{workdir} was not evaluated: python scripts/evaluate.py --workdir={workdir} makes its row'
      )
    for row in found[workdir]:
      seen = lambda r: (r['weights'], r['seed'], r['config']['sample'].get('clip'))
      same = [r for r in every if seen(r) == seen(row)]
      bits = {k: v for r in same for k, v in r.items() if k.startswith('bits_')}
      row.update({'run': str(workdir), **bits, **row})
  view = lambda row: [row['config']['data'][k] for k in ('bins', 'binarise')]
  group = lambda row: json.dumps([row['n'], row['reference'], row.get('extractor'), view(row)])
  shared = set.intersection(*({group(row) for row in rows} for rows in found.values()))
  if not shared:
    raise UserError(
      'these runs were compared with different real images or by different extractors: evaluate '
      'them with the same --n, --reference and --extractor'
    )
  best = max(sorted(shared), key=lambda g: json.loads(g)[0])
  rows = [row for rows in found.values() for row in rows if group(row) == best]
  rows.sort(key=lambda r: (workdirs.index(r['run']), row_lib.sampler_of(r), r['nfe']))
  for row in rows:
    row['label'] = _label(row, rows)
  return rows


def _label(row, rows):
  """The sampler, and what else differs between the rows of the same run."""
  own = [r for r in rows if r['run'] == row['run']]
  more = ('weights', 'seed', 'batch', 'device')
  facts = lambda r: {**{k: r[k] for k in more}, **r['config']['sample']}
  differs = [
    k for k, v in facts(row).items()
    if k not in ('sampler', 'start', 'steps', 'few', 'n', 'frames')
    and any(facts(r).get(k) != v for r in own)
  ]  # fmt: skip
  return ' '.join([row_lib.sampler_of(row), *(f'{k}={facts(row)[k]}' for k in differs)])


def table(rows):
  """A Markdown table: a line per run, sampler and step count, and one of the floors."""
  names = row_lib.metrics_of(*rows)
  cell = lambda row, name: row_lib.text_of(row_lib.value_of(row, name))
  head = ['run', 'sampler', *names, 'net calls', 's / image']
  lines = [
    [row['run'], row['label'], *(cell(row, name) for name in names), str(row['nfe']),
     f'{row["seconds_per_image"]:.3g}'] for row in rows
  ]  # fmt: skip
  floor = {k: v for row in rows for k, v in row.items() if k.endswith('/floor')}
  lines.append(['real to real', '', *(cell(floor, f'{k}/floor') for k in names), '', ''])
  return row_lib.markdown(head, lines)


def save(directory, rows):
  """compare.md, compare.json and compare.png."""
  directory = Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  (directory / 'compare.md').write_text(table(rows) + '\n')
  write_json(directory / 'compare.json', rows)
  names = [name for name in row_lib.metrics_of(*rows) if not name.startswith('bits_')]
  recall = [name for name in names if name.startswith('recall_')]
  xs = {'seconds per image': 'seconds_per_image', **{name: name for name in recall}}
  if names:
    line = lambda row: f'{row["run"]} ({row["label"]})'
    plots.save_tradeoff(directory / 'compare.png', rows, names[0], xs, line)
