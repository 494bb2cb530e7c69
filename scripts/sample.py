"""Draws images from a run: samples.png, samples.npz, process.png and process.gif.

python scripts/sample.py --workdir=runs/digits_ddpm --n=100 --label=3
python scripts/sample.py --workdir=runs/digits_ddpm --guidance=0,1,2,4
The second draws one picture, sweep.png: a block of rows for each guidance scale, the same noise in
each, a column per class.
"""

from pathlib import Path

import numpy as np
from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
OUT = flags.DEFINE_string('out', '', 'Directory to write to; default the workdir.')
STEP = flags.DEFINE_integer('step', -1, 'Checkpoint; default the newest that is whole.')
N = flags.DEFINE_integer('n', 0, 'Number of images; default 100, in a sweep 4 a class.', 0)
BATCH = flags.DEFINE_integer('batch', 100, 'Images drawn at once.', lower_bound=1)
LABEL = flags.DEFINE_string('label', '', "Class name or number, or 'none'; default all in turn.")
SEED = flags.DEFINE_integer('seed', 0, 'Image i depends on (seed, i) only.', 0, 2**31 - 1)
WEIGHTS = flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'Running mean or last parameters.')
GUIDANCE = flags.DEFINE_list(
  'guidance', [], 'Classifier-free scale: 0 unconditional, 1 conditional, more; several: a sweep.'
)
# the rest of config.sample, by the same names
SETTINGS = (
  flags.DEFINE_string('sampler', None, 'ancestral, ddim or dpmpp_2m.'),
  flags.DEFINE_integer('steps', None, 'Sampler steps, 0 for all.'),
  flags.DEFINE_string('spacing', None, "Steps evenly spaced in 't' or 'gamma'."),
  flags.DEFINE_float('eta', None, 'Of ddim: 0 deterministic to 1 ancestral.'),
  flags.DEFINE_bool('clip', None, "Clip x_hat to the data's range."),
  flags.DEFINE_string('classifier', None, 'Workdir of a classifier that guides.'),
  flags.DEFINE_float('classifier_scale', None, "Scale of the classifier's gradient."),
)
FRAMES = 12  # states in the process pictures


def main(stop):
  from trilemma import plots
  from trilemma.draw import labels_for, make_draw
  from trilemma.exits import UserError
  from trilemma.run import open_checkpoint

  changes = {flag.name: flag.value for flag in SETTINGS if flag.value is not None}
  try:
    scales = [float(scale) for scale in GUIDANCE.value]
  except ValueError:
    raise UserError(f'--guidance={",".join(GUIDANCE.value)}: numbers are needed') from None
  opened = [
    open_checkpoint(WORKDIR.value, STEP.value, {**changes, **scale})
    for scale in ([{'guidance': s} for s in scales] or [{}])
  ]
  run = opened[0]
  spec, model, sample = run.spec, run.config.model, run.config.sample
  if run.model.sample is None:
    raise UserError(f'{WORKDIR.value} is a {run.config.family}, which draws no images')
  labelled = model.conditional or bool(sample.classifier)
  sweep = len(scales) > 1
  n = N.value or (4 * len(spec.classes) if sweep else 100)
  labels = labels_for(n, LABEL.value, spec, labelled, model.conditional and model.label_drop)
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(OUT.value or WORKDIR.value)
  out.mkdir(parents=True, exist_ok=True)
  said = f'step {int(run.state.step)}, {WEIGHTS.value} weights, seed {SEED.value}: '

  drawn = [
    make_draw(r.model, spec, min(BATCH.value, n))(params, SEED.value, labels, stop=stop)
    for r in opened
  ]
  columns = plots.columns_for(n, spec.classes if labelled and not LABEL.value else ())
  if sweep:
    pictures = [plots.tile(images, columns, spec.levels) for images in drawn]
    titles = [f'guidance {scale:g}' for scale in scales]
    names = [spec.classes[c] for c in labels[:columns]] if not LABEL.value else []
    plots.save_blocks(out / 'sweep.png', pictures, titles, names)
    print(f'{said}{n} images at each of {len(scales)} scales in {out}/sweep.png')
    return
  plots.save_png(out / 'samples.png', plots.tile(drawn[0], columns, spec.levels))
  np.savez(out / 'samples.npz', **{'arr_0': drawn[0], **({'label': labels} if labelled else {})})
  few = min(n, 10)
  _, states = make_draw(run.model, spec, few)(params, SEED.value, labels[:few], FRAMES, stop)
  plots.save_process(out, states, spec.levels)
  print(
    f'{said}{n} images in {out}/samples.png and samples.npz, their making in process.png and '
    'process.gif'
  )


if __name__ == '__main__':
  cli.run(main, required=('workdir',))
