"""Measures a run: bits/dim, Frechet distance and speed, for several samplers and step counts.

python scripts/evaluate.py --workdir=runs/mnist --metrics=bits --n=64
python scripts/evaluate.py --workdir=runs/mnist --metrics=fd --extractor=runs/mnist_classifier \
  --sampler=ancestral,ddim,dpmpp_2m --steps=5,10,20,50 --n=1000
Each result is a row in eval/, made once; several samplers or step counts also give eval/steps.png.
The last line printed is the last row, as JSON.
"""

import hashlib
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
SAMPLER = flags.DEFINE_list('sampler', [], "Default the run's; several are compared.")
STEPS = flags.DEFINE_list('steps', [], "Sampler steps; default the run's; several are compared.")
SPACING = flags.DEFINE_string('spacing', '', "Steps evenly spaced in 't' or 'gamma'.")
GUIDANCE = flags.DEFINE_float('guidance', None, "Classifier-free scale; default the run's.")
EXTRACTOR = flags.DEFINE_string('extractor', '', 'For fd: workdir of a classifier of clean images.')
REFERENCE = flags.DEFINE_enum('reference', 'train', ['train', 'test'], 'Real images for fd.')


def main(stop):
  import jax

  from trilemma import data as data_lib
  from trilemma import evaluate, features, metrics, plots
  from trilemma.exits import UserError, choose
  from trilemma.run import open_checkpoint
  from trilemma.workdir import versions
  from trilemma.writers import write_json

  for name in METRICS.value:
    choose('metric', name, {'bits': 0, 'fd': 0})
  if not all(steps.isdigit() for steps in STEPS.value):
    raise UserError(f'--steps={",".join(STEPS.value)}: whole numbers are needed')
  changes = {'spacing': SPACING.value} if SPACING.value else {}
  if GUIDANCE.value is not None:
    changes['guidance'] = GUIDANCE.value
  run = open_checkpoint(WORKDIR.value, STEP.value, changes)
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(WORKDIR.value) / 'eval'
  out.mkdir(exist_ok=True)
  digest = lambda value: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
  load = lambda split: data_lib.load(run.config.data, split, DATA_DIR.value)
  facts = {
    'family': run.config.family, 'config': digest(run.config.to_dict()),
    'checkpoint': int(run.state.step), 'weights': WEIGHTS.value, 'n': N.value, 'seed': SEED.value,
    'device': f'{len(jax.devices())} x {jax.devices()[0].device_kind}', 'versions': versions(),
  }  # fmt: skip

  def finish(settings, measure):
    """The row of these settings: read where it is there, else measured and written."""
    settings = {**facts, **settings}
    path = out / f'{settings["checkpoint"]}-{digest(settings)}.json'
    if not path.exists():
      write_json(path, {**settings, **measure()})
    return json.loads(path.read_text())

  row = {}
  if 'bits' in METRICS.value:
    if run.model.bits is None:
      raise UserError(f'{run.config.family} has no likelihood')
    test = load('test')
    if N.value > len(test.image):
      raise UserError(f'--n={N.value}: {test.spec.name} test has {len(test.image)} images')

    def measure_bits():
      bits = evaluate.bits_per_dim(
        run.model, params, test, N.value, min(BATCH.value, N.value), SEED.value, stop=stop
      )
      return {
        f'bits_per_dim/{name}': evaluate.mean_and_error(value) for name, value in bits.items()
      }

    row = finish({'data': test.fingerprint(), 'variance': run.config.model.variance}, measure_bits)
    total = row['bits_per_dim/total']
    print(f'bits/dim {total["mean"]:.4f} +- {total["standard_error"]:.4f} on {N.value} images: '
          + ', '.join(f'{key.split("/")[1]} {value["mean"]:.4f}' for key, value in row.items()
                      if key.startswith('bits') and not key.endswith('total')))  # fmt: skip

  if 'fd' in METRICS.value:
    if not EXTRACTOR.value:
      raise UserError('--metrics=fd needs --extractor=WORKDIR of a classifier of clean images')
    if run.model.sample is None:
      raise UserError(f'{WORKDIR.value} is a {run.config.family}, which draws no images')
    extractor, real_data = features.of_classifier(EXTRACTOR.value), load(REFERENCE.value)
    name = f'fd_{extractor.name}@{N.value}'
    real, floor = evaluate.reference(extractor, real_data, N.value)
    print(f'{name} between two sets of real images: {floor:.3f}')
    rows = []
    samplers = SAMPLER.value or [run.config.sample.sampler]
    counts = [int(s) for s in STEPS.value] or [run.config.sample.steps]
    for sampler, steps in itertools.product(samplers, counts):
      chosen = {**changes, 'sampler': sampler, 'steps': steps}
      one = open_checkpoint(WORKDIR.value, STEP.value, chosen)

      def measure_distance(one=one):
        images, seconds, compiling = evaluate.draw_timed(
          one, params, N.value, min(BATCH.value, N.value), SEED.value, stop
        )
        pool, _ = extractor.extract(images)
        return {
          name: metrics.frechet_distance(*real, *metrics.moments(pool)),
          'seconds_per_image': seconds, 'compile_seconds': compiling,
        }  # fmt: skip

      row = finish({
        'sample': one.config.sample.to_dict(), 'reference': real_data.fingerprint(),
        'extractor': extractor.sha256, f'{name}/floor': floor,
      }, measure_distance)  # fmt: skip
      rows.append(row)
      print(f'{sampler:>10} {steps:5d} steps  {name} {row[name]:8.3f}  '
            f'{row["seconds_per_image"]:.4f} s/image')  # fmt: skip
    if len(rows) > 1:
      plots.save_steps(out / 'steps.png', rows, name, floor)
      print(f'figure in {out}/steps.png')
  print(json.dumps(row))


if __name__ == '__main__':
  cli.run(main, required=('workdir',))
