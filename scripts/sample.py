"""Draws images from a run: samples.png, samples.npz, process.png and process.gif.

python scripts/sample.py --workdir=runs/digits_ddpm --n=100 --label=3
"""

from pathlib import Path

import numpy as np
from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
OUT = flags.DEFINE_string('out', '', 'Directory to write to; default the workdir.')
STEP = flags.DEFINE_integer('step', -1, 'Checkpoint; default the newest that is whole.')
N = flags.DEFINE_integer('n', 100, 'Number of images.', lower_bound=1)
BATCH = flags.DEFINE_integer('batch', 100, 'Images drawn at once.', lower_bound=1)
LABEL = flags.DEFINE_string('label', '', "Class name or number, or 'none'; default all in turn.")
SAMPLER = flags.DEFINE_string('sampler', '', "Default the run's config.sample.sampler.")
STEPS = flags.DEFINE_integer('steps', -1, "Sampler steps; default the run's, 0 for all.")
ETA = flags.DEFINE_float('eta', -1.0, "Of ddim, 0 to 1; default the run's.")
SEED = flags.DEFINE_integer('seed', 0, 'Image i depends on (seed, i) only.', 0, 2**31 - 1)
WEIGHTS = flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'Running mean or last parameters.')
FRAMES = 12  # states in the process pictures


def main(stop):
  from trilemma import plots
  from trilemma.draw import labels_for, make_draw
  from trilemma.run import open_checkpoint

  changes = {}
  if SAMPLER.value:
    changes['sampler'] = SAMPLER.value
  if STEPS.value >= 0:
    changes['steps'] = STEPS.value
  if ETA.value >= 0:
    changes['eta'] = ETA.value
  run = open_checkpoint(WORKDIR.value, STEP.value, changes)
  spec, conditional = run.spec, run.config.model.conditional
  labels = labels_for(
    N.value, LABEL.value, spec, conditional, conditional and run.config.model.label_drop
  )
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(OUT.value or WORKDIR.value)
  out.mkdir(parents=True, exist_ok=True)

  draw = make_draw(run.model, spec, min(BATCH.value, N.value))
  images = draw(params, SEED.value, labels, stop=stop)
  columns = plots.columns_for(N.value, spec.classes if conditional and not LABEL.value else ())
  plots.save_png(out / 'samples.png', plots.tile(images, columns, spec.levels))
  arrays = {'arr_0': images, **({'label': labels} if conditional else {})}
  np.savez(out / 'samples.npz', **arrays)

  few = min(N.value, 10)
  _, states = make_draw(run.model, spec, few)(params, SEED.value, labels[:few], FRAMES, stop)
  plots.save_process(out, states, spec.levels)
  print(
    f'step {int(run.state.step)}, {WEIGHTS.value} weights, seed {SEED.value}: {N.value} images in '
    f'{out}/samples.png and samples.npz, their making in process.png and process.gif'
  )


if __name__ == '__main__':
  cli.run(main, required=('workdir',))
