"""Draws images from a run: samples.png, samples.npz, process.png and process.gif.

python scripts/sample.py --workdir=runs/digits_ddpm --n=100 --label=3
python scripts/sample.py --workdir=runs/digits_ddpm --guidance=0,1,2,4
The second draws one picture, sweep.png: a block for each guidance scale with the same noise, a row
per class.
"""

from pathlib import Path

import numpy as np
from absl import flags

from trilemma import cli

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
OUT = flags.DEFINE_string('out', '', 'Directory to write to; default the workdir.')
STEP = flags.DEFINE_integer('step', -1, 'Checkpoint; default the newest that is whole.')
N = flags.DEFINE_integer(
  'n', 0, 'Images; default 100, in a sweep 4 a row and rounded up to whole rows.', 0
)
BATCH = flags.DEFINE_integer('batch', 100, 'Images drawn at once.', lower_bound=1)
LABEL = flags.DEFINE_string('label', '', "Class name or number, or 'none'; default all in turn.")
SEED = flags.DEFINE_integer('seed', 0, 'Image i depends on (seed, i) only.', 0, 2**31 - 1)
WEIGHTS = flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'Running mean or last parameters.')
# each is the run's own where it is not given
SAMPLING = cli.define_sampling(
  guidance='Classifier-free scale: 0 unconditional, 1 conditional, more; several: a sweep.'
)
flags.adopt_module_key_flags(cli)  # --help lists them, too
FRAMES = 12  # states in the process pictures


def main(stop):
  from trilemma import plots
  from trilemma.draw import Draw, labels_for
  from trilemma.exits import UserError
  from trilemma.run import changed, open_checkpoint

  changes = SAMPLING()
  scales = changes.pop('guidance', [])
  run = open_checkpoint(WORKDIR.value, STEP.value)
  if run.model.sample is None:
    raise UserError(f'{WORKDIR.value} is a {run.config.family}, which draws no images')
  runs = [changed(run, {**changes, 'guidance': scale}) for scale in scales]
  runs = runs or [changed(run, changes)]
  spec, model, sample = run.spec, run.config.model, runs[0].config.sample
  conditional = model.get('conditional', False)
  labelled = conditional or bool(sample.get('classifier'))
  if LABEL.value == 'none' and (sample.get('classifier') or any(s > 1 for s in scales)):
    raise UserError(
      '--label=none has no class to guide towards: leave out --guidance and --classifier'
    )
  sweep = len(scales) > 1
  rows = len(spec.classes) if labelled and not LABEL.value else 4
  n = N.value or (4 * rows if sweep else 100)
  n = -(-n // rows) * rows if sweep else n
  dropped = conditional and model.get('label_drop', 0.0)
  labels = labels_for(n, LABEL.value, spec, labelled, dropped)
  params = run.state.ema if WEIGHTS.value == 'ema' else run.state.params
  out = Path(OUT.value or WORKDIR.value)
  out.mkdir(parents=True, exist_ok=True)
  said = f'step {int(run.state.step)}, {WEIGHTS.value} weights, seed {SEED.value}: '

  drawn = [
    Draw(r.model, spec, min(BATCH.value, n))(params, SEED.value, labels, stop=stop) for r in runs
  ]
  if sweep:
    order = np.arange(n).reshape(-1, rows).T.ravel()  # labels go through the classes in turn
    pictures = [plots.tile(images[order], n // rows, spec.levels) for images in drawn]
    titles = [f'guidance {scale:g}' for scale in scales]
    plots.save_blocks(out / 'sweep.png', pictures, titles, () if LABEL.value else spec.classes)
    print(f'{said}{n} images at each of {len(scales)} scales in {out}/sweep.png')
    return
  columns = plots.columns_for(n, spec.classes if labelled and not LABEL.value else ())
  plots.save_png(out / 'samples.png', plots.tile(drawn[0], columns, spec.levels))
  pixels = plots.to_pixels(drawn[0], spec.levels)
  np.savez(out / 'samples.npz', **{'arr_0': pixels, **({'label': labels} if labelled else {})})
  if runs[0].model.nfe == 1:  # nothing comes before the images
    print(f'{said}{n} images in {out}/samples.png and samples.npz')
    return
  what = 'reconstructions' if sample.get('start') == 'real' else 'images'
  few = n if spec.shape[:2] == (1, 1) else min(n, 10)
  draw = Draw(runs[0].model, spec, few)
  _, states = draw(params, SEED.value, labels[:few], FRAMES, stop)
  plots.save_process(out, states)
  print(
    f'{said}{n} {what} in {out}/samples.png and samples.npz, their making in process.png and '
    'process.gif'
  )


if __name__ == '__main__':
  cli.run(main, required=('workdir',))
