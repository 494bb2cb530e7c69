"""Rows of results: one JSON file each, named by the checkpoint and a hash of what it depends on."""

import hashlib
import json
from pathlib import Path

from trilemma.exits import UserError
from trilemma.writers import write_json

# the metrics in the order quality, coverage; a name may be followed by _<extractor>@<n>
ORDER = ('fd', 'kid', 'is', 'swd', 'precision', 'recall', 'density', 'coverage', 'bits')


def key_of(facts):
  """A short hash of JSON-ready facts."""
  return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _read(path):
  try:
    return json.loads(path.read_text())
  except json.JSONDecodeError as e:
    raise UserError(f'{path} is damaged ({e}): remove it') from e


class Row:
  """One result: `settings`, and what was measured under them, each thing once."""

  def __init__(self, directory, settings):
    self.path = Path(directory) / f'{settings.get("checkpoint", "images")}-{key_of(settings)}.json'
    self.path.parent.mkdir(parents=True, exist_ok=True)
    self.values = _read(self.path) if self.path.exists() else dict(settings)

  def add(self, name, measure):
    """Adds measure(), a dict, unless the row has `name` already."""
    if name not in self.values:
      self.update(measure())

  def update(self, values):
    """Adds or replaces `values`."""
    self.values |= values
    write_json(self.path, self.values)


def of_run(workdir):
  """The rows in WORKDIR/eval of its newest evaluated checkpoint; not those of one class."""
  rows = [_read(path) for path in sorted(Path(workdir).glob('eval/*.json'))]
  rows = [row for row in rows if 'checkpoint' in row and 'class' not in row]
  newest = max((row['checkpoint'] for row in rows), default=0)
  return [row for row in rows if row['checkpoint'] == newest]


def metrics_of(*rows):
  """The names of the metrics that any of the rows has, in order."""
  names = {k for row in rows for k in row if '@' in k and '/' not in k}
  return sorted(names, key=lambda k: ([k.startswith(name) for name in ORDER].index(True), k))


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


def text_of(found):
  """'1.234 ± 0.01' of what value_of found."""
  if found is None:
    return ''
  mean, spread = found
  return f'{mean:.4g}' + (f' ± {spread:.2g}' if spread is not None else '')


def markdown(head, lines):
  """A Markdown table of texts, its columns aligned."""
  every = [head, ['---'] * len(head), *lines]
  widths = [max(len(line[i]) for line in every) for i in range(len(head))]
  return '\n'.join(
    '| ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + ' |'
    for line in every
  )


def sampler_of(row):
  """The sampler of a row, and where it starts from if there is a choice; a family that has only one
  gives its own name."""
  sample = row['config']['sample']
  name = sample.get('sampler', row['family'])
  return f'{name} from {sample["start"]}' if 'start' in sample else name
