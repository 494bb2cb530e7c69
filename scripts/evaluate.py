"""Measures a run: bits/dim, distance to real data and speed, for several samplers and step counts.

python scripts/evaluate.py --workdir=runs/mnist --metrics=bits --n=64
python scripts/evaluate.py --workdir=runs/mnist --metrics=fd --extractor=runs/mnist_classifier \
  --sampler=ancestral,ddim,dpmpp_2m --steps=5,10,20,50 --n=1000
Each result is a row in WORKDIR/eval/, made once; several samplers or step counts also give
eval/steps.png. A shortcut chain takes --few of the run's own steps, the others --steps.
The last line printed is the last row, as JSON.
"""

import itertools
import json
import math
from pathlib import Path

from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
DATA_DIR = flags.DEFINE_string('data_dir', '', 'TFDS directory; default TFDS_DATA_DIR.')
METRICS = flags.DEFINE_list('metrics', ['bits'], 'Of bits, fd (images), swd (points).')
STEP = flags.DEFINE_integer('step', -1, 'Checkpoint; default the newest that is whole.')
WEIGHTS = flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'Running mean or last parameters.')
N = flags.DEFINE_integer('n', 0, 'Images; default 1000, or as many as there are real ones.', 0)
BATCH = flags.DEFINE_integer('batch', 100, 'Images at once.', lower_bound=1)
SEED = flags.DEFINE_integer('seed', 0, 'Example i depends on (seed, i) only.', 0, 2**31 - 1)
EXTRACTOR = flags.DEFINE_string('extractor', '', 'For fd: workdir of a classifier of clean images.')
SPLIT = flags.DEFINE_enum('split', 'test', ['train', 'test'], 'Images whose bits/dim is measured.')
REFERENCE = flags.DEFINE_enum(
  'reference', 'train', ['train', 'test'], 'Real images for fd and swd.'
)
# for fd and swd; each is the run's own where it is not given
SAMPLING = cli.define_sampling(
  sampler='ancestral, ddim, dpmpp_2m; of VDM also shortcut; several are compared.',
  steps='Sampler steps, 0 for all of a DDPM; several are compared.',
  few='Of shortcut: how many of the steps; several are compared.',
)


def main(stop):
  from trilemma import data, evaluate, features, plots
  from trilemma.exits import UserError, choose
  from trilemma.run import changed, open_checkpoint

  for name in METRICS.value or ['']:
    choose('metric', name, {'bits': 0, 'fd': 0, 'swd': 0})
  run = open_checkpoint(WORKDIR.value, STEP.value)
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(WORKDIR.value) / 'eval'

  def asked(most):
    n = N.value or min(1000, most)
    if n < 2:
      raise UserError(f'--n={n}: at least 2 are needed')
    return {'n': n, 'batch': min(BATCH.value, n), 'seed': SEED.value}

  changes, row = SAMPLING(), {}
  if changes and METRICS.value == ['bits']:
    raise UserError(f'--{next(iter(changes))} is for samples: bits/dim takes none')

  if 'bits' in METRICS.value:
    if run.model.bits is None:
      raise UserError(f'{WORKDIR.value} is a {run.config.family}, which has no likelihood')
    test = data.load(run.config.data, SPLIT.value, DATA_DIR.value)
    if N.value > len(test.image):
      raise UserError(f'--n={N.value}: {test.spec.name} {test.split} has {len(test.image)} images')
    given = asked(len(test.image))

    def bound():
      found = evaluate.bits_per_dim(
        run.model, params, test, given['n'], given['batch'], given['seed'], stop=stop
      )
      nats = found['total'] * math.prod(run.spec.shape) * math.log(2)
      return {
        **{f'bits/{name}': evaluate.mean_and_error(value) for name, value in found.items()},
        'nats_per_image': evaluate.mean_and_error(nats),
      }

    settings = {**evaluate.facts(run, WEIGHTS.value), **given, 'data': test.fingerprint()}
    row = evaluate.row(out, settings, bound)
    terms = {k.split('/')[1]: v for k, v in row.items() if k.startswith('bits/')}
    total = terms.pop('total')
    print(f'bits/dim {total["mean"]:.4f} +- {total["standard_error"]:.4f} on {row["n"]} images: '
          + ', '.join(f'{name} {term["mean"]:.4f}' for name, term in terms.items())
          + f'; {row["nats_per_image"]["mean"]:.2f} nats per image')  # fmt: skip

  samples = [name for name in METRICS.value if name != 'bits']
  if samples and run.model.sample is None:
    raise UserError(f'{WORKDIR.value} is a {run.config.family}, which draws no images')
  if samples:
    own = run.config.sample
    lists = {k: changes.pop(k, [own[k]]) for k in ('sampler', 'steps', 'few') if k in own}
    samplers = lists.get('sampler', [])
    if 'few' in SAMPLING() and 'shortcut' not in samplers:
      raise UserError('--few is for --sampler=shortcut')
    if 'steps' in SAMPLING() and samplers == ['shortcut']:
      raise UserError("--steps is not for --sampler=shortcut, which takes --few of the run's own")
    runs = {}
    for chosen in itertools.product(*lists.values()):
      chosen = dict(zip(lists, chosen, strict=True))
      chosen['steps'] = chosen['steps'] or run.config.model.steps
      if 'few' in chosen:  # only shortcut chains have it, and they take it of the run's own steps
        unused = 'steps' if chosen['sampler'] == 'shortcut' else 'few'
        chosen[unused] = own[unused]
      runs[json.dumps(chosen)] = changed(run, {**changes, **chosen})
  for metric in samples:
    load = lambda split: data.load(run.config.data, split, DATA_DIR.value)
    if metric == 'fd':
      if not EXTRACTOR.value:
        raise UserError('--metrics=fd needs --extractor=WORKDIR of a classifier of clean images')
      extractor, real = features.of_classifier(EXTRACTOR.value), load(REFERENCE.value)
      made_with = {'extractor': extractor.sha256}
      given = asked(len(real.image) // 2)
      name, floor, distance = evaluate.feature_distance(extractor, run.config, real, given['n'])
    else:
      if run.spec.shape[:2] != (1, 1):
        raise UserError(f'the metric swd is for points: {run.spec.name} has images')
      real, other = load(REFERENCE.value), load({'train': 'test', 'test': 'train'}[REFERENCE.value])
      made_with = {'metric': metric}
      given = asked(len(real.image))
      name, floor, distance = evaluate.point_distance(real, other, given['n'])
    print(f'{name} between two real sets: {floor:.3f}')
    rows = []
    for one in runs.values():

      def measure(one=one, given=given, name=name, floor=floor, distance=distance):
        images, seconds, compiling = evaluate.draw_timed(
          one, params, given['n'], given['batch'], given['seed'], stop
        )
        return {
          name: distance(images), f'{name}/floor': floor, 'nfe': one.model.nfe,
          'seconds_per_image': seconds, 'compile_seconds': compiling,
        }  # fmt: skip

      row = evaluate.row(out, {
        **evaluate.facts(one, WEIGHTS.value), **given, 'reference': real.fingerprint(), **made_with,
      }, measure)  # fmt: skip
      rows.append(row)
      print(f'{plots.sampler_of(row):>10} {row["nfe"]:5d} net calls  {name} {row[name]:8.3f}  '
            f'{row["seconds_per_image"]:.4f} s/image')  # fmt: skip
    if len(rows) > 1:
      plots.save_steps(out / 'steps.png', rows, name)
      print(f'figure in {out}/steps.png')
  print(json.dumps(row))


if __name__ == '__main__':
  cli.run(main, required=('workdir',))
