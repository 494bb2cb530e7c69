"""The trilemma of several runs in one table and one figure: quality, coverage and speed."""

import json
from pathlib import Path

from trilemma import plots
from trilemma.exits import UserError
from trilemma.writers import write_json

# columns in the order quality, coverage, speed; a name may be followed by _<extractor>@<n>
ORDER = ('fd', 'kid', 'is', 'swd', 'precision', 'recall', 'density', 'coverage', 'bits')


def rows_of(workdirs):
  """The rows of samples in WORKDIR/eval of each, with 'run' and its bits/dim whatever the sampler.

  Raises UserError for a run that was not evaluated, and for runs on other images.
  """
  if len(workdirs) < 2:
    raise UserError('--compare needs at least two runs: --compare runs/a runs/b')
  found = []
  for workdir in workdirs:
    rows = [json.loads(path.read_text()) for path in sorted(Path(workdir).glob('eval/*.json'))]
    of_samples = [row for row in rows if 'nfe' in row]
    if not of_samples:
      raise UserError(
        f'{workdir} was not evaluated: python scripts/evaluate.py --workdir={workdir} makes its row'
      )
    newest = max(row['checkpoint'] for row in of_samples)
    for row in of_samples:
      if row['checkpoint'] == newest:
        same = [r for r in rows if all(r[k] == row[k] for k in ('checkpoint', 'weights'))]
        bits = {k: v for r in same for k, v in r.items() if k.startswith('bits_')}
        found.append({'run': str(workdir), **bits, **row})
  seen = {json.dumps([row['reference'], row.get('extractor')]): row['run'] for row in found
          if 'reference' in row}  # fmt: skip
  if len(seen) > 1:
    one, other = list(seen.values())[:2]
    raise UserError(
      f'{one} and {other} were compared with other real images or by another extractor: evaluate '
      'both with the same --n, --reference and --extractor'
    )
  return sorted(found, key=lambda r: (workdirs.index(r['run']), plots.sampler_of(r), r['nfe']))


def columns(rows):
  """The metrics that any row has, in order."""
  names = {k for row in rows for k in row if '@' in k and '/' not in k}
  place = lambda k: next(i for i, name in enumerate(ORDER) if k.startswith(name))
  return sorted(names, key=lambda k: (place(k), k))


def value_of(row, name):
  """(mean, spread or None) of a metric in a row; None where it was not measured."""
  value = row.get(name)
  if value is None:
    return None
  if name.startswith('bits_'):
    value = value['total']
  if isinstance(value, dict):
    return value['mean'], value.get('sd', value.get('standard_error'))
  return value, None


def table(rows):
  """A Markdown table: a line per run, sampler and step count, and one of the floors."""

  def text(found):
    if found is None:
      return ''
    mean, spread = found
    return f'{mean:.4g}' + (f' ± {spread:.2g}' if spread is not None else '')

  names = columns(rows)
  head = ['run', 'sampler', *names, 'net calls', 's / image']
  lines = [
    [row['run'], plots.sampler_of(row), *(text(value_of(row, name)) for name in names),
     str(row['nfe']), f'{row["seconds_per_image"]:.3g}'] for row in rows
  ]  # fmt: skip
  floor = {k: v for row in rows for k, v in row.items() if k.endswith('/floor')}
  lines.append(['real to real', '', *(text(value_of(floor, f'{k}/floor')) for k in names), '', ''])
  every = [head, ['---'] * len(head), *lines]
  widths = [max(len(line[i]) for line in every) for i in range(len(head))]
  return '\n'.join(
    '| ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + ' |'
    for line in every
  )


def save(directory, rows):
  """compare.md, compare.json and compare.png."""
  directory = Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  (directory / 'compare.md').write_text(table(rows) + '\n')
  write_json(directory / 'compare.json', rows)
  names = [name for name in columns(rows) if not name.startswith('bits_')]
  if names:
    plots.save_trilemma(directory / 'compare.png', rows, names[0])
