"""One page of all rows that reproduce.py has made: HTML that needs no network (report.html.j2)."""

import base64
import os
from datetime import date
from pathlib import Path

import jinja2

from trilemma import plots, reproduce, verdict
from trilemma import rows as row_lib

MACHINE = {'smoke': 'tiny nets', 'cpu': 'a CPU', 'gpu': 'a GPU', 'paper': 'nothing scaled'}


def save(path, tables, everything, directory):
  """Writes the page of reproduce.read()'s rows, whose pictures are in `directory`."""
  path, temporary = Path(path), Path(f'{path}.tmp')
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary.write_text(page(tables, everything, directory), encoding='utf-8')
  os.replace(temporary, path)


def page(tables, everything, directory):
  """The page as text."""
  loader = jinja2.FileSystemLoader(Path(__file__).parent)
  environment = jinja2.Environment(
    loader=loader, autoescape=True, trim_blocks=True,
    lstrip_blocks=True,
  )  # fmt: skip
  sections = [
    _section(name, tables, budget, rows, Path(directory))
    for budget, found in everything.items() for name, rows in found.items()
  ]  # fmt: skip
  return environment.get_template('report.html.j2').render(sections=sections, date=date.today())


def _section(name, tables, budget, rows, directory):
  """What the template shows of one table under one budget."""
  table, folder = tables[name], directory / 'rows' / budget / name
  made = {row: result for row, result in rows.items() if 'values' in result}
  current = {row: result for row, result in made.items() if not result.get('stale')}
  pictures = {}
  for end, kind, what in (('', 'samples', 'images'), ('-process', 'strips', 'on the way')):
    files = {row: folder / f'{reproduce.slug(row)}{end}.png' for row in current}
    pictures[kind] = [
      {'row': row, 'what': what, 'source': _data_uri(file)}
      for row, file in files.items() if file.exists()
    ]  # fmt: skip
  head, lines, below, scaled = verdict.view(tables, name, budget, rows)

  def shown(lines, where):
    return [
      [
        {**cell._asdict(), 'id': f'{budget}-{name}-{where}-{i}-{j}',
         'mark': cell.text.split(' ')[0] if title == verdict.VERDICT else '',
         'facts': _facts(rows[cell.row], cell.value) if cell.value else {}}
        for j, (cell, title) in enumerate(zip(line, head, strict=True))
      ] for i, line in enumerate(lines)
    ]  # fmt: skip

  numbers = [any(line[j].number is not None for line in lines) for j in range(len(head))]
  return {
    'id': f'{budget}-{name}', 'title': table['title'], 'source': table['source'], 'budget': budget,
    'note': table.get('note', ''), 'scaled': ', '.join(scaled), 'machine': MACHINE[budget],
    'workdir': directory if (directory / 'runs').is_dir() else '',
    'name': name,
    'head': list(zip(head, numbers, strict=True)),
    'lines': shown(lines, 'line'), 'below': shown(below, 'below'),
    'minutes': reproduce.minutes(made.values()), 'rows': len(table['rows']), 'done': len(made),
    'pictures': pictures,
    'tradeoffs': _svgs(f'{budget}-{name}-tradeoff', _tradeoffs(table, current).items()),
    'curves': _svgs(f'{budget}-{name}-curve', _curves(current)),
  }  # fmt: skip


def _tradeoffs(table, made):
  """{caption: figure} of the trilemma."""
  rows = [{**result['evaluations'][0], 'label': row} for row, result in made.items()]
  names = row_lib.metrics_of(*rows)
  distance = [name for name in names if name.startswith('fd_')]
  if not (table.get('trilemma') and distance):
    return {}
  recall = {f'Quality against coverage: {name}': name for name in names if 'recall_' in name}
  return {
    caption: plots.tradeoff(
      rows, distance[0], {x if '@' in x else x.replace('_', ' '): x}, lambda row: row['label']
    ) for caption, x in {'Quality against speed': 'seconds_per_image', **recall}.items()
  }  # fmt: skip


def _curves(made):
  """[(caption, figure)] of the losses in training, by family, and of the noise schedules."""
  figures = []
  runs = {row: result for row, result in made.items() if 'losses' in result}
  for family in dict.fromkeys(v['evaluations'][0]['family'] for v in runs.values()):
    curves = {
      f'{row}, {player}' if len(result['losses']) > 1 else row: list(zip(*points, strict=True))
      for row, result in runs.items() if result['evaluations'][0]['family'] == family
      for player, points in result['losses'].items() if points
    }  # fmt: skip
    every = [y for _, ys in curves.values() for y in ys]
    if every:
      log = min(every) > 0 and max(every) > 20 * min(every)
      figures.append(('Training losses', plots.curves_of(curves, 'step', 'training loss', log)))
  gammas = {row: list(zip(*v['gamma'], strict=True)) for row, v in made.items() if 'gamma' in v}
  if gammas:
    figures.append(('Noise schedules', plots.curves_of(gammas, 't', 'gamma = -log SNR')))
  return figures


def _svgs(where, figures):
  """[(caption, SVG)] of [(caption, figure)]."""
  return [
    (caption, plots.svg(figure, caption, f'{where}-{i}-'))
    for i, (caption, figure) in enumerate(figures)
  ]


def _facts(result, value):
  """What a number was made with: {what: text}."""
  row = result['evaluations'][value['of']]
  facts = {'number': value['name'], 'budget': result['budget']}
  drawn = not value['name'].endswith('/floor')
  if 'config' in row and drawn:
    facts |= {
      'family': row['family'], 'hash of its settings': row_lib.key_of(row['config']),
      'checkpoint': f'{row["checkpoint"]:,} ({row["weights"]} weights)',
      'sampler': row_lib.sampler_of(row), 'device': row['device'],
      'versions': ', '.join(f'{k} {v}' for k, v in row['versions'].items()),
    }  # fmt: skip
  if 'nfe' in row and drawn:
    facts |= {'net calls': f'{row["nfe"]:,}',
              'seconds per image': f'{row["seconds_per_image"]:.3g}'}  # fmt: skip
  if value['name'].startswith('bits_'):
    split, n = value['name'].removeprefix('bits_').split('@')
    facts['real images'] = f'{n} of the {split} split'
  elif 'reference' in row and '@' in value['name']:
    real = row['reference']
    facts['real images'] = f'{real["used"]:,} of {real["name"]} {real["split"]}'
    facts['their sha256'] = real['sha256'][:16]
    facts['real to real'] = real.get('floor', '')
    facts['sha256 of the images'] = row.get('images', '')[:16]
    if 'extractor' in row:
      facts['extractor'] = f'sha256 {row["extractor"][:16]}'
  facts['class'] = row.get('class', '')
  facts['seed'] = row.get('seed', '')
  facts['commands'] = '\n'.join(result['commands'])
  return {k: str(v) for k, v in facts.items() if v != ''}


def _data_uri(file):
  return f'data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}'
