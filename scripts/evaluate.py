"""Measures a run: quality, coverage and speed of its samples, and its bound in bits/dim.

python scripts/evaluate.py --workdir=runs/mnist --n=1000
python scripts/evaluate.py --workdir=runs/mnist --metrics=fd --sampler=ddim,dpmpp_2m --steps=5,10,50
python scripts/evaluate.py --workdir=runs/mnist_guided --label=3
python scripts/evaluate.py --images=samples.npz --data=mnist
python scripts/evaluate.py --images=split:test --data=mnist --n=1000
python scripts/evaluate.py --compare runs/mnist runs/mnist_vdm
Each result is a row in WORKDIR/eval/; what is there already is not made again, and a killed
evaluation goes on where it was. Several samplers or step counts also give eval/steps.png. A
shortcut chain takes --few of the run's own steps, the others --steps. --compare makes one table and
one figure of the rows of several runs. The last line printed is the last row, as JSON.
"""

import functools
import itertools
import json
import math
from pathlib import Path

from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
IMAGES = flags.DEFINE_string(
  'images', '', "Instead of a run: folder of images, .npz (arr_0), or 'split:test', real ones."
)
DATA = flags.DEFINE_string('data', '', 'With --images: what they should look like, as data.name.')
COMPARE = flags.DEFINE_bool('compare', False, 'Compare the evaluated runs named after the flags.')
OUT = flags.DEFINE_string('out', '', 'Directory for results; default WORKDIR/eval or runs/compare.')
DATA_DIR = flags.DEFINE_string('data_dir', '', 'TFDS directory; default TFDS_DATA_DIR.')
METRICS = flags.DEFINE_list(
  'metrics', [], 'Of bits, fd, kid, pr, is, speed; of points bits, swd, speed. Default all.'
)
STEP = flags.DEFINE_integer('step', -1, 'Checkpoint; default the newest that is whole.')
WEIGHTS = flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'Running mean or last parameters.')
N = flags.DEFINE_integer('n', 0, 'Images; default 1000, or half of the real ones if fewer.', 0)
BITS_N = flags.DEFINE_integer('bits_n', 0, 'Images for bits; default --n, or all if fewer.', 0)
REPEATS = flags.DEFINE_integer('repeats', 1, 'Estimates of each bound.', lower_bound=1)
BATCH = flags.DEFINE_integer('batch', 100, 'Images at once.', lower_bound=1)
LABEL = flags.DEFINE_string(
  'label', '', 'Class name or number: only its samples, against its real images; default all.'
)
SEED = flags.DEFINE_integer('seed', 0, 'Example i depends on (seed, i) only.', 0, 2**31 - 1)
EXTRACTOR = flags.DEFINE_string(
  'extractor', '', "Default the project's own; or a classifier's workdir, .npz, 'inception'."
)
SPLIT = flags.DEFINE_enum('split', 'test', ['train', 'test'], 'Images whose bits/dim is measured.')
REFERENCE = flags.DEFINE_enum('reference', 'train', ['train', 'test'], 'Real images to compare to.')
# each is the run's own where it is not given
SAMPLING = cli.define_sampling(
  sampler='ancestral, ddim, dpmpp_2m; of VDM also shortcut; several are compared.',
  steps='Sampler steps, 0 for all of a DDPM; several are compared.',
  few='Of shortcut: how many of the steps; several are compared.',
)
flags.adopt_module_key_flags(cli)  # --help lists them, too
OTHER = {'train': 'test', 'test': 'train'}


def main(stop, *workdirs):
  from trilemma.exits import UserError

  if COMPARE.value:
    refuse_all_but('compare', 'out')
    return compare(workdirs)
  if workdirs:
    raise UserError(f'unknown arguments: {" ".join(workdirs)}')
  if bool(WORKDIR.value) == bool(IMAGES.value):
    raise UserError('one of --workdir=RUN and --images=FOLDER is needed; --help lists all flags')
  if IMAGES.value:
    refuse_all_but('images', 'data', 'out', 'data_dir', 'metrics', 'n', 'extractor', 'reference')
  elif DATA.value:
    raise UserError('--data is for --images: a run knows its data')
  print(json.dumps(of_images() if IMAGES.value else of_run(stop)))


def refuse_all_but(mode, *names):
  """Raises UserError for a flag of this script that would do nothing."""
  from trilemma.exits import UserError

  for flag in flags.FLAGS.get_key_flags_for_module(__name__):
    if flag.present and flag.name not in (mode, *names):
      raise UserError(f'--{flag.name} is not for --{mode}')


def wanted(default, of):
  """The metrics asked for; all of `default` where none are. UserError for what `of` has not."""
  from trilemma.exits import choose

  for name in METRICS.value:
    choose(f'metric of {of}', name, dict.fromkeys(default))
  return METRICS.value or list(default)


def at_least_two(n):
  from trilemma.exits import UserError

  if n < 2:
    raise UserError(f'--n={n}: at least 2 are needed')
  return n


def of_run(stop):
  from trilemma import data, evaluate, metrics, plots
  from trilemma import rows as row_lib
  from trilemma.draw import labels_for
  from trilemma.exits import UserError
  from trilemma.run import changed, open_checkpoint

  run = open_checkpoint(WORKDIR.value, STEP.value)
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(OUT.value or Path(WORKDIR.value) / 'eval')
  points = run.spec.shape[:2] == (1, 1)
  samples = ('swd',) if points else ('fd', 'kid', 'pr', 'is')
  can = ('bits',) if run.model.bits else ()
  can += (*samples, 'speed') if run.model.sample else ()
  if not can:
    raise UserError(f'{WORKDIR.value} is a {run.config.family}: it draws no images and has no '
                    'likelihood')  # fmt: skip
  names = wanted(can, f'a {run.config.family}')
  draws = [name for name in names if name != 'bits']
  changes = SAMPLING()
  own = {k: v for k, v in changes.items() if k == 'clip'}  # a DDPM's bound sees this, too
  if changes.keys() - own and not draws:
    raise UserError(f'--{min(changes.keys() - own)} is for samples: bits/dim takes none')
  of_features = any(name in evaluate.IN_FEATURES for name in draws)
  for unused, what in (
    (('repeats', 'bits_n', 'split'), '' if 'bits' in names else 'bits'),
    (('extractor',), '' if of_features else 'fd, kid, pr and is'),
    (('reference',), '' if of_features or 'swd' in draws else 'distances to real images'),
    (('frames',), 'sample.py'),
  ):
    for name in unused:
      if what and flags.FLAGS[name].present:
        raise UserError(f'--{name} is for {what}, not for what is measured here')
  facts = {'batch': BATCH.value, 'seed': SEED.value}
  guided = {**run.config.sample, **changes}.get('classifier')
  labelled = bool(guided) or run.config.model.get('conditional', False)
  labels = lambda n: labels_for(n, LABEL.value, run.spec, labelled, label_drop=0.0)
  [label] = labels(1)
  if LABEL.value:
    facts['class'] = run.spec.classes[label]

  @functools.cache
  def load(split):
    every = data.load(run.config.data, split, DATA_DIR.value)
    return data.of_class(every, label) if LABEL.value else every

  n = N.value
  if draws and not n:
    total = len(load(REFERENCE.value).image)
    n = min(1000, total if points else total // 2)
  bits = {}
  if 'bits' in names:
    split = load(SPLIT.value)
    most = min(n or 1000, len(split.image))
    n_bits = at_least_two(BITS_N.value or (most if draws else N.value or most))
    if n_bits > len(split.image):
      has = f'{run.spec.name} {SPLIT.value} has {len(split.image)} images'
      raise UserError(f'bits of {n_bits} images: {has}')
  # what can be wrong is known before anything is measured
  runs, judged = [], [name for name in draws if name in evaluate.IN_FEATURES]
  about = {}
  if draws:
    n, runs = at_least_two(n), list(several(run, changes))
  if judged:
    extractor, real, about = reference(run.config, load, run.spec, n)
    if 'fd' in judged:
      metrics.moments(real.pool)
  elif 'swd' in draws:
    real, other = load(REFERENCE.value), load(OTHER[REFERENCE.value])
    if n > min(len(real.image), len(other.image)):
      raise UserError(f'{run.spec.name} has {len(real.image)} points: use --n={len(real.image)}')
    about = {'reference': {**real.fingerprint(), 'used': n}}
  if 'bits' in names:
    bits = bound(changed(run, own), params, split, n_bits, facts, out, stop)
  if not draws:
    settings = {**evaluate.facts(changed(run, own), WEIGHTS.value), **facts, 'n': n_bits}
    row = row_lib.Row(out, settings)
    row.update(bits)
    show(f'{WORKDIR.value} step {row.values["checkpoint"]}', row.values)
    return row.values

  facts.update({'n': n, **about})
  rows = []
  for one in runs:
    row = row_lib.Row(out, {**evaluate.facts(one, WEIGHTS.value), **facts})

    @functools.cache
    def drawn(one=one):
      given = {k: facts[k] for k in ('batch', 'seed', 'n', 'class') if k in facts}
      of = {**evaluate.facts(one, WEIGHTS.value), **given}
      path = out / f'{of["checkpoint"]}-{row_lib.key_of(of)}.npz'
      return evaluate.drawn(one, params, labels(n), BATCH.value, SEED.value, path, stop)

    row.add('nfe', lambda: drawn()[1])
    if bits:
      row.update(bits)
    if 'swd' in draws:
      row.add(f'swd@{n}', lambda: evaluate.point_distance(real, other, n, drawn()[0]))
    if judged:
      judge(row, judged, extractor, real, lambda: drawn()[0])
    rows.append(row.values)
    title = f'{WORKDIR.value} step {row.values["checkpoint"]}, {WEIGHTS.value} weights, '
    title += f'class {facts["class"]}, ' if LABEL.value else ''
    show(f'{title}{row_lib.sampler_of(row.values)}', row.values)
  found = [name for name in row_lib.metrics_of(*rows) if not name.startswith('bits_')]
  if len(rows) > 1 and found:
    xs = {'net calls per image': 'nfe', 'seconds per image': 'seconds_per_image'}
    plots.save_tradeoff(out / 'steps.png', rows, found[0], xs, row_lib.sampler_of)
    print(f'figure in {out}/steps.png')
  return rows[-1]


def several(run, changes):
  """The run for each sampler and step count asked for."""
  from trilemma.exits import UserError
  from trilemma.run import changed

  own, given = run.config.sample, set(changes)
  lists = {k: changes.pop(k, [own[k]]) for k in ('sampler', 'steps', 'few') if k in own}
  samplers = lists.get('sampler', [])
  if 'few' in given and 'shortcut' not in samplers:
    raise UserError('--few is for --sampler=shortcut')
  if 'steps' in given and samplers == ['shortcut']:
    raise UserError("--steps is not for --sampler=shortcut, which takes --few of the run's own")
  runs = {}
  for chosen in itertools.product(*lists.values()):
    chosen = dict(zip(lists, chosen, strict=True))
    if 'steps' in chosen:
      chosen['steps'] = chosen['steps'] or run.config.model.steps
    if 'few' in chosen:  # only shortcut chains have it, and they take it of the run's own steps
      unused = 'steps' if chosen['sampler'] == 'shortcut' else 'few'
      chosen[unused] = own[unused]
    runs[json.dumps(chosen)] = changed(run, {**changes, **chosen})
  return runs.values()


def bound(run, params, split, n, facts, out, stop):
  """{'bits_<split>@n': the terms and nats per image, mean and standard error}."""
  from trilemma import evaluate, rows

  about = {
    **evaluate.facts(run, WEIGHTS.value), **facts, 'data': split.fingerprint(), 'n': n,
    'repeats': REPEATS.value,
  }  # fmt: skip
  del about['config']['sample']  # the bound of a net does not see how it is sampled from
  if 'clip' in run.config.sample:  # but for this
    about['clip'] = run.config.sample.clip
  path = out / f'{about["checkpoint"]}-{rows.key_of(about)}-bits.npz'
  found = evaluate.bits_per_dim(
    run.model, params, split, n, facts['batch'], facts['seed'], path, REPEATS.value, stop=stop
  )
  nats = found['total'] * math.prod(run.spec.shape) * math.log(2)
  several = f'x{REPEATS.value}' if REPEATS.value > 1 else ''
  return {f'bits_{split.split}@{n}{several}': {
    **{name: evaluate.mean_and_error(value) for name, value in found.items()},
    'nats_per_image': evaluate.mean_and_error(nats), 'repeats': REPEATS.value,
  }}  # fmt: skip


def reference(config, load, spec, n, judged=''):
  """(extractor, features of real images, what a row says of both); `judged` is the split that is to
  be judged, which then is no floor."""
  from trilemma import evaluate, features

  extractor, split = features.find(EXTRACTOR.value, spec), load(REFERENCE.value)
  floor = not judged or 2 * n <= len(split.image)
  other = load(OTHER[REFERENCE.value])
  real = evaluate.real_features(extractor, config, split, other, n, floor)
  about = {**split.fingerprint(), 'used': n, 'floor': real.where}
  return extractor, real, {'reference': about, 'extractor': extractor.sha256}


def judge(row, names, extractor, real, images):
  """Adds the metrics `names` of the pixels images() -> u8[n,...] to a row."""
  from trilemma import evaluate

  features = functools.cache(lambda: extractor.extract(images()))
  for name in names:
    row.add(
      f'{evaluate.IN_FEATURES[name][0]}_{extractor.name}@{len(real.pool)}',
      lambda name=name: evaluate.judged(name, extractor, real, *features()),
    )


def of_images():
  """A row for images that came from anywhere."""
  from configs import base
  from trilemma import data, evaluate, metrics, plots
  from trilemma import rows as row_lib
  from trilemma.exits import UserError

  if not DATA.value:
    raise UserError('--images needs --data, the name of what they should look like: mnist')
  names = wanted(('fd', 'kid', 'pr', 'is'), 'images')
  config = base.common()
  config.data.name, folder = DATA.value, DATA.value.startswith('folder:')
  split = IMAGES.value.removeprefix('split:') if IMAGES.value.startswith('split:') else ''
  if split and (folder or split == REFERENCE.value):
    raise UserError(
      f'--images={IMAGES.value} is for a named data set, and compared with its other split'
    )
  if split:
    real = data.load(config.data, split, DATA_DIR.value)
    images = plots.to_pixels(real.image, real.spec.levels)
  else:
    images = data.read_images(IMAGES.value)
  if folder:
    config.data.resolution = images.shape[1]
  load = functools.cache(lambda split: data.load(config.data, split, DATA_DIR.value))
  spec = load(REFERENCE.value).spec if folder else data.known_spec(config.data)
  if images.shape[1:] != spec.shape:
    raise UserError(f'{IMAGES.value} has images {images.shape[1:]}, {DATA.value} {spec.shape}')
  n = at_least_two(min(N.value or len(images), len(images)))
  if N.value > len(images):
    raise UserError(f'--n={N.value}: {IMAGES.value} has {len(images)} images')
  extractor, real, about = reference(config, load, spec, n, split)
  if 'fd' in names:
    metrics.moments(real.pool)
  out = Path(OUT.value or 'runs/images')
  images = images[evaluate.chosen_rows(len(images), n)]
  sha256 = data.sha256(images)
  row = row_lib.Row(out, {'family': 'images', 'images': sha256, 'n': n, **about})
  judge(row, names, extractor, real, lambda: images)
  show(IMAGES.value, row.values)
  return row.values


def show(title, row):
  """Prints a row as a table: a metric a line, with the same metric between real images."""
  from trilemma import rows

  text = lambda name: rows.text_of(rows.value_of(row, name))
  names = rows.metrics_of(row)
  print(f'{title}, n = {row["n"]}')
  if any(f'{name}/floor' in row for name in names):
    print(f'  {"":<22}{"samples":>20}{"real to real":>22}')
  for name in names:
    print(f'  {name:<22}{text(name):>20}', end='')
    if name.startswith('bits_'):
      bits = row[name]
      terms = [k for k in bits if k not in ('total', 'nats_per_image', 'repeats')]
      nats = rows.text_of(rows.value_of(bits, 'nats_per_image'))
      print('  bits/dim: ' + ', '.join(f'{k} {bits[k]["mean"]:.4f}' for k in terms)
            + f'; {nats} nats per image')  # fmt: skip
    else:
      print(f'{text(f"{name}/floor"):>22}')
  if 'nfe' in row:
    print(f'  {"seconds per image":<22}{row["seconds_per_image"]:>20.5f}  {row["nfe"]:,} net '
          f'calls, {row["compile_seconds"]:.1f} s to compile')  # fmt: skip
  floor = row.get('reference', {}).get('floor', '')
  if floor.startswith('no floor'):
    print(f'  {floor}')
  if any(name.startswith('fd_') for name in names):
    print('  A Frechet distance is biased upwards at small n: compare it with its floor and at the '
          'same n.')  # fmt: skip


def compare(workdirs):
  """One table and one figure of evaluated runs."""
  from trilemma import compare as lib

  out = Path(OUT.value or 'runs/compare')
  rows = lib.rows_of(workdirs)
  print(lib.table(rows))
  lib.save(out, rows)
  print(f'table and figure in {out}/: compare.md, compare.json, compare.png')


if __name__ == '__main__':
  cli.run(main, positional=True)
