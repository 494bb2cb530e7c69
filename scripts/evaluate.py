"""Measures a run: bits/dim, Frechet distance and speed, for several samplers and step counts.

python scripts/evaluate.py --workdir=runs/mnist --metrics=bits --n=64
python scripts/evaluate.py --workdir=runs/mnist --metrics=fd --extractor=runs/mnist_classifier \
  --sampler=ancestral,ddim,dpmpp_2m --steps=5,10,20,50 --n=1000
Each result is a row in eval/, made once; several samplers or step counts also give eval/steps.png.
The last line printed is the last row, as JSON.
"""

import itertools
import json
from pathlib import Path

from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
DATA_DIR = flags.DEFINE_string('data_dir', '', 'TFDS directory; default TFDS_DATA_DIR.')
METRICS = flags.DEFINE_list('metrics', ['bits'], 'Of bits, fd.')
STEP = flags.DEFINE_integer('step', -1, 'Checkpoint; default the newest that is whole.')
WEIGHTS = flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'Running mean or last parameters.')
N = flags.DEFINE_integer('n', 1000, 'Images drawn, or test images for bits.', lower_bound=2)
BATCH = flags.DEFINE_integer('batch', 100, 'Images at once.', lower_bound=1)
SEED = flags.DEFINE_integer('seed', 0, 'Example i depends on (seed, i) only.', 0, 2**31 - 1)
EXTRACTOR = flags.DEFINE_string('extractor', '', 'For fd: workdir of a classifier of clean images.')
REFERENCE = flags.DEFINE_enum('reference', 'train', ['train', 'test'], 'Real images for fd.')
# for fd; each is the run's own where it is not given
SAMPLING = cli.define_sampling(
  sampler='ancestral, ddim, dpmpp_2m; of VDM also shortcut; several are compared.',
  steps='Sampler steps, 0 for all of a DDPM; several are compared.',
)


def main(stop):
  from trilemma import data, evaluate, features, metrics, plots
  from trilemma.exits import UserError, choose
  from trilemma.run import changed, open_checkpoint

  for name in METRICS.value or ['']:
    choose('metric', name, {'bits': 0, 'fd': 0})
  run = open_checkpoint(WORKDIR.value, STEP.value)
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(WORKDIR.value) / 'eval'
  batch = min(BATCH.value, N.value)
  asked = {'n': N.value, 'batch': batch, 'seed': SEED.value}
  changes, row = SAMPLING(), {}
  if changes and 'fd' not in METRICS.value:
    raise UserError(f'--{next(iter(changes))} is for --metrics=fd: bits/dim takes no samples')

  if 'bits' in METRICS.value:
    if run.model.bits is None:
      raise UserError(f'{run.config.family} has no likelihood')
    test = data.load(run.config.data, 'test', DATA_DIR.value)
    if N.value > len(test.image):
      raise UserError(f'--n={N.value}: {test.spec.name} test has {len(test.image)} images')

    def bound():
      found = evaluate.bits_per_dim(run.model, params, test, N.value, batch, SEED.value, stop=stop)
      return {f'bits/{name}': evaluate.mean_and_error(value) for name, value in found.items()}

    settings = {**evaluate.facts(run, WEIGHTS.value), **asked, 'data': test.fingerprint()}
    row = evaluate.row(out, settings, bound)
    terms = {k.split('/')[1]: v for k, v in row.items() if k.startswith('bits/')}
    total = terms.pop('total')
    print(f'bits/dim {total["mean"]:.4f} +- {total["standard_error"]:.4f} on {N.value} images: '
          + ', '.join(f'{name} {term["mean"]:.4f}' for name, term in terms.items()))  # fmt: skip

  if 'fd' in METRICS.value:
    if run.model.sample is None:
      raise UserError(f'{WORKDIR.value} is a {run.config.family}, which draws no images')
    if not EXTRACTOR.value:
      raise UserError('--metrics=fd needs --extractor=WORKDIR of a classifier of clean images')
    samplers = changes.pop('sampler', [run.config.sample.sampler])
    counts = changes.pop('steps', [run.config.sample.steps])
    runs = [
      changed(run, {**changes, 'sampler': sampler, 'steps': steps or run.config.model.steps})
      for sampler, steps in itertools.product(samplers, counts)
    ]
    extractor = features.of_classifier(EXTRACTOR.value)
    real_data = data.load(run.config.data, REFERENCE.value, DATA_DIR.value)
    name = f'fd_{extractor.name}@{N.value}'
    real, floor = evaluate.reference(extractor, run.config, real_data, N.value)
    print(f'{name} between two sets of real images: {floor:.3f}')
    rows = []
    for one in runs:

      def distance(one=one):
        images, seconds, compiling = evaluate.draw_timed(
          one, params, N.value, batch, SEED.value, stop
        )
        pool, _ = extractor.extract(images)
        return {
          name: metrics.frechet_distance(*real, *metrics.moments(pool)), f'{name}/floor': floor,
          'seconds_per_image': seconds, 'compile_seconds': compiling,
        }  # fmt: skip

      row = evaluate.row(out, {
        **evaluate.facts(one, WEIGHTS.value), **asked, 'reference': real_data.fingerprint(),
        'extractor': extractor.sha256,
      }, distance)  # fmt: skip
      rows.append(row)
      sample = one.config.sample
      print(f'{sample.sampler:>10} {sample.steps:5d} steps  {name} {row[name]:8.3f}  '
            f'{row["seconds_per_image"]:.4f} s/image')  # fmt: skip
    if len(rows) > 1:
      plots.save_steps(out / 'steps.png', rows, name)
      print(f'figure in {out}/steps.png')
  print(json.dumps(row))


if __name__ == '__main__':
  cli.run(main, required=('workdir',))
