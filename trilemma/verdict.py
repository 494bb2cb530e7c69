"""Tables as they are read: ours beside what was published, and whether it is the same."""

import re
from typing import NamedTuple

from trilemma import reproduce
from trilemma import rows as row_lib

FEW = 30  # images


def verdict(published, value, measure, plan, full):
  """Whether `value`, what found() gave, is the published number, in words; `full` is the row's Plan
  with the published settings.

  A number of other features, another n of samples or another net is never a reproduction, however
  close, nor is one that is less certain than the tolerance: that is said, unless it is off by two
  standard errors more (of the inception score: two deviations between its splits). The standard
  error of a bound of fewer than FEW images is itself not known.
  """
  if value is None:
    return 'not run'
  less = '; scaled' if plan.scaled else ''
  features, other = measure.get('extractor'), []
  if 'unlike' in measure:
    other.append(measure['unlike'])
  if features and f'_{features}@' not in value['name']:
    other.append(f'features of {value["name"].split("_")[-1].split("@")[0]}, not of {features}')
  n = lambda plan: next(
    c.flags.get('n') for c in plan.calls if measure['metric'] in c.columns.values()
  )
  if measure['metric'] in ('fd', 'kid', 'is', 'precision', 'recall', 'swd') and n(plan) != n(full):
    other.append(f'n {n(plan):,} instead of {n(full):,}')
  if plan.budget == 'smoke':
    other.append('a tiny net')
  elif plan.runs[-1:] and plan.runs[-1].config != full.runs[-1].config:
    other.append('another net')
  if other:
    return f'differs (another number: {"; ".join(other)}{less})'
  off, within = value['mean'] - published, measure['tolerance']
  spread = value['spread'] or 0
  few = measure['metric'] in ('bits', 'nats') and int(value['name'].split('@')[1]) < FEW
  if abs(off) <= within + 2 * spread and (spread > within or few):
    return f'differs (less certain than the tolerance of {within:g}{less})'
  if abs(off) <= within:
    return 'reproduced within tolerance' + (' (scaled)' if plan.scaled else '')
  return f'differs (by {off:+.3g}{less or "; with the published settings"})'


class Cell(NamedTuple):
  """What stands in one place of a table; `value` is what found() gave, of the row `row`."""

  text: str
  number: float | None = None  # what it sorts by, if not the text
  value: dict | None = None
  row: str = ''


VERDICT = 'verdict'


def view(tables, name, budget, results):
  """(head, lines of Cells, lines that stay below, what is scaled in all) of a table under a budget.

  `results` is {row: its JSON}, which may lack rows. Where numbers were published a line is one of
  them with ours and a verdict; otherwise it is a row, and below is real against real.
  """
  table, columns = tables[name], tables[name]['measures']
  made, full = (reproduce.plans(tables, [name], which, '') for which in (budget, 'paper'))
  touches = lambda s, columns: reproduce.touches(
    s, *(table['measures'][c]['metric'] for c in columns)
  )
  every = tuple(
    s for s in made[0].scaled if touches(s, columns) and all(s in plan.scaled for plan in made)
  )
  own = lambda plan, columns: ', '.join(
    s for s in plan.scaled if s not in every and touches(s, columns)
  )
  if any('published' in row or 'said' in row for row in table['rows'].values()):
    head = ['row', 'what', 'published', 'ours', 'real to real', 'n', 'trained', VERDICT]
    lines = [
      _line(table, column, one, whole, results.get(one.row, {}), own(one, [column]))
      for one, whole in zip(made, full, strict=True) for column in columns
    ]  # fmt: skip
    return head, lines, [], every
  lines, floors, names = [], {}, {}
  for plan in made:
    result = results.get(plan.row, {})
    values = result.get('values', {})
    if not result.get('stale'):  # an older table's may be of another n
      floors |= {c: (v, plan.row) for c, v in values.items() if v and v['floor'] is not None}
      names |= {c: v['name'] for c, v in values.items() if v and '@' in v['name']}
    cells = [_ours(values.get(column), plan.row) for column in columns]
    state = '; '.join(part for part in (own(plan, columns), _state(result)) if part)
    lines.append([Cell(plan.row), *cells, Cell(result.get('trained', '')), Cell(state)])
  below = [Cell('real to real'), *(_floor(*floors.get(column, ())) for column in columns)]
  below = [[*below, Cell(''), Cell('')]] if floors else []
  head = ['row', *(names.get(column, column) for column in columns), 'trained', 'remarks']
  shown = len(head) - all(not line[-1].text for line in lines)
  lines, below = ([line[:shown] for line in part] for part in (lines, below))
  return head[:shown], lines, below, every


def _line(table, column, plan, full, result, scaled):
  row = table['rows'][plan.row]
  published, value = row.get('published', {}).get(column), result.get('values', {}).get(column)
  said = row.get('said', '') if column == next(iter(table['measures'])) else ''
  if value is None:
    of = 'not run'
  elif published is None:
    of = 'no comparable number' if said else ''
  elif result.get('stale'):
    of = ''
  else:
    of = verdict(published, value, table['measures'][column], plan, full)
  scaled = scaled if value else ''
  state = '; '.join(part for part in (scaled, _state(result)) if part and part != 'not run')
  n = value and re.search(r'@(\d+)', value['name'])
  return [
    Cell(plan.row), Cell(column),
    Cell(said) if published is None else Cell(f'{published:g}', published),
    _ours(value, plan.row, table['measures'][column].get('extractor')), _floor(value, plan.row),
    Cell(f'{int(n[1]):,}', int(n[1])) if n else Cell(''), Cell(result.get('trained', '')),
    Cell(f'{of} ({state})' if of and state else of or state),
  ]  # fmt: skip


def _state(result):
  if not result:
    return 'not run'
  older = 'made under an older table' if result.get('stale') else ''
  return '; '.join(part for part in (result.get('error'), older) if part)


def _ours(value, row, features=''):
  if value is None:
    return Cell('')
  text = 'never' if value['mean'] is None else row_lib.text_of((value['mean'], value['spread']))
  if features and f'_{features}@' not in value['name']:  # never another number under one name
    text += f' ({value["name"].split("@")[0]})'
  return Cell(text, value['mean'], value, row)


def _floor(value=None, row=''):
  if value is None or value['floor'] is None:
    return Cell('')
  of = {**value, 'name': f'{value["name"]}/floor'}
  return Cell(row_lib.text_of((value['floor'], None)), value['floor'], of, row)


def markdown(tables, name, budget, results):
  """The table as Markdown, and what is scaled in all of it."""
  head, lines, below, every = view(tables, name, budget, results)
  text = row_lib.markdown(head, [[cell.text for cell in line] for line in lines + below])
  return text + (f'\n\nScaled: {", ".join(every)}.' if every else '')
