"""One page of all rows that reproduce.py has made: HTML that needs no network (report.html.j2)."""

import base64
import os
from datetime import date
from pathlib import Path

import jinja2

from trilemma import plots, reproduce
from trilemma import rows as row_lib

MACHINE = {'smoke': 'seconds', 'cpu': 'a CPU', 'gpu': 'a GPU', 'paper': 'the published settings'}


def save(path, tables, everything, directory):
  """Writes the page of reproduce.read()'s rows, whose pictures are in `directory`."""
  path, temporary = Path(path), Path(f'{path}.tmp')
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary.write_text(page(tables, everything, directory))
  os.replace(temporary, path)


def page(tables, everything, directory):
  """The page as text."""
  loader = jinja2.FileSystemLoader(Path(__file__).parent)
  environment = jinja2.Environment(
    loader=loader, autoescape=True, trim_blocks=True,
    lstrip_blocks=True,
  )  # fmt: skip
  sections = [
    _section(name, tables[name], budget, rows, Path(directory))
    for budget, found in everything.items() for name, rows in found.items()
  ]  # fmt: skip
  return environment.get_template('report.html.j2').render(sections=sections, date=date.today())


def _section(name, table, budget, rows, directory):
  """What the template shows of one table under one budget."""
  folder = directory / 'rows' / budget / name
  made = {row: result for row, result in rows.items() if 'error' not in result}
  pictures = []
  for row in made:
    for end, what in (('', 'samples'), ('-process', 'from noise to image')):
      file = folder / f'{reproduce.slug(row)}{end}.png'
      if file.exists():
        pictures.append({'row': row, 'what': what, 'source': _data_uri(file), 'wide': bool(end)})
  head, lines = reproduce.view(table, rows)
  cells = [
    [
      {**cell._asdict(), 'id': f'{budget}-{name}-{i}-{j}', 'mark': cell.text.split(' ')[0],
       'facts': _facts(rows[cell.row], cell.value) if cell.value else {}}
      for j, cell in enumerate(line)
    ] for i, line in enumerate(lines)
  ]  # fmt: skip
  numbers = [any(line[j]['number'] is not None for line in cells) for j in range(len(head))]
  return {
    'id': f'{budget}-{name}', 'title': table['title'], 'source': table['source'], 'budget': budget,
    'note': table.get('note', ''), 'machine': MACHINE[budget], 'name': name,
    'head': list(zip(head, numbers, strict=True)), 'lines': cells,
    'minutes': reproduce.minutes(made.values()), 'rows': len(table['rows']),
    'done': len(made), 'pictures': pictures, 'figures': _figures(table, made),
  }  # fmt: skip


def _figures(table, made):
  """[(caption, SVG)] of a table's rows: the trilemma, the losses, the learned schedules."""
  figures = []
  rows = [{**result['evaluations'][0], 'label': row} for row, result in made.items()]
  names = row_lib.metrics_of(*rows)
  distance = [name for name in names if name.startswith('fd_')]
  if table.get('trilemma') and distance:
    recall = {f'Quality against coverage: {name}': name for name in names if 'recall_' in name}
    for caption, x in {'Quality against speed': 'seconds_per_image', **recall}.items():
      figure = plots.tradeoff(rows, distance[0], {x: x}, lambda row: row['label'])
      figures.append((caption, plots.svg(figure)))
  for family in dict.fromkeys(row['family'] for row in rows if 'config' in row):
    own = {k: v for k, v in made.items() if v['evaluations'][0]['family'] == family}
    curves = {
      f'{row}, {player}' if len(result['losses']) > 1 else row: list(zip(*points, strict=True))
      for row, result in own.items() for player, points in result['losses'].items() if points
    }  # fmt: skip
    if curves:
      every = [y for _, ys in curves.values() for y in ys]
      log = min(every) > 0 and max(every) > 20 * min(every)
      figure = plots.curves_of(curves, 'step', 'training loss', log)
      figures.append((f'Training losses of {family}', plots.svg(figure)))
  gammas = {row: list(zip(*v['gamma'], strict=True)) for row, v in made.items() if 'gamma' in v}
  if gammas:
    figure = plots.curves_of(gammas, 't', 'gamma = -log SNR')
    figures.append(('Noise schedules', plots.svg(figure)))
  return figures


def _facts(result, value):
  """What a number was made with: {what: text}."""
  row = result['evaluations'][value['of']]
  facts = {'number': value['name'], 'budget': result['budget'], 'scaled': result['scaled']}
  if 'config' in row:
    facts |= {
      'family': row['family'], 'configuration': row_lib.key_of(row['config']),
      'checkpoint': f'{row["checkpoint"]:,} ({row["weights"]} weights)',
      'sampler': row_lib.sampler_of(row), 'device': row['device'],
      'versions': ', '.join(f'{k} {v}' for k, v in row['versions'].items()),
    }  # fmt: skip
  if 'nfe' in row:
    facts |= {'net calls': f'{row["nfe"]:,}',
              'seconds per image': f'{row["seconds_per_image"]:.3g}'}  # fmt: skip
  if 'reference' in row:
    real = row['reference']
    facts['real images'] = f'{real["used"]:,} of {real["name"]} {real["split"]}'
  if 'extractor' in row:
    facts['extractor'] = f'sha256 {row["extractor"][:16]}'
  facts['seed'] = row.get('seed', '')
  facts['commands'] = '\n'.join(result['commands'])
  return {k: str(v) for k, v in facts.items() if v != ''}


def _data_uri(file):
  return f'data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}'
