"""How soon runs know what they will draw: their guesses, and how far those are from the end.

python scripts/convergence.py --workdirs=runs/digits_bfn,runs/digits_ddpm --out=runs/convergence
A guess is the mean of a BFN's output distribution, or x_hat of a diffusion model. convergence.png
has the mean |guess - final image| over pixels and images on the scale 0..1 against the fraction of
the steps, states.png a row of states and one of guesses of the same image for each run. A guess is
right within RIGHT: a share of its first distance would be another measure for each, as first
guesses differ.
"""

from pathlib import Path

import numpy as np
from absl import flags

from trilemma import cli

WORKDIRS = flags.DEFINE_list('workdirs', [], 'Directories of runs.')
OUT = flags.DEFINE_string('out', '', 'Directory to write to.')
N = flags.DEFINE_integer('n', 100, 'Images drawn per run.', lower_bound=1)
STEPS = flags.DEFINE_integer('steps', 0, 'Sampler steps; default 100, or all of a shorter DDPM.', 0)
SEED = flags.DEFINE_integer('seed', 0, 'Image i depends on (seed, i) only.', 0, 2**31 - 1)
STRIP = 10  # states of the strips
RIGHT = 0.05  # of the range, the mean over pixels and images


def main(stop):
  from trilemma import evaluate, metrics, plots
  from trilemma.draw import Draw, cycle_labels
  from trilemma.exits import UserError
  from trilemma.run import changed, open_checkpoint
  from trilemma.writers import write_json

  runs = {workdir: open_checkpoint(workdir) for workdir in WORKDIRS.value}
  for workdir, run in runs.items():
    if run.model.sample is None:
      raise UserError(f'{workdir} is a {run.config.family}, which draws no images')
    if 'steps' not in run.config.sample:
      raise UserError(f'{workdir} is a {run.config.family}, whose number of steps is fixed')
    if run.config.sample.get('sampler') == 'shortcut':
      raise UserError(f'{workdir} draws by shortcuts, which skip steps: name a run that does not')
  curves, strips, rows = {}, [], []
  for workdir, run in runs.items():
    steps = STEPS.value or min(100, run.config.model.steps or 100)
    labels = cycle_labels(N.value, run.spec)

    def drawn(frames, run=run, labels=labels, steps=steps):
      """Final images on the scale 0..1 and all frames, u8[steps,n,...]."""
      one = changed(run, {'steps': steps, 'frames': frames})
      draw = Draw(one.model, run.spec, min(N.value, 100))
      image, seen = draw(run.state.ema, SEED.value, labels, frames=steps, stop=stop)
      return image / (run.spec.levels - 1), seen

    image, guesses = drawn('guess')
    _, states = drawn('state')
    distance = np.abs(guesses / 255 - image).mean((1, 2, 3, 4))
    curves[workdir] = np.arange(1, steps + 1) / steps, distance
    settled = metrics.settles(distance, RIGHT)
    rows.append({
      **evaluate.facts(changed(run, {'steps': steps}), 'ema'), 'workdir': workdir,
      'n': N.value, 'steps': steps, 'seed': SEED.value, 'distance': distance.tolist(),
      'right_within': RIGHT, 'right_from': settled,
    })  # fmt: skip
    when = f'at {settled:.0%} of the steps' if settled else 'never'
    print(f'{workdir}: the guess comes within {RIGHT} of the final image {when}')
    at = np.linspace(0, steps - 1, STRIP).round().astype(int)
    first = np.concatenate([states[at, 0], guesses[at, 0]])
    strips.append(plots.tile(first, STRIP, 256, side=640))
  out = Path(OUT.value)
  out.mkdir(parents=True, exist_ok=True)
  label = 'mean |guess - final image|'
  plots.save_curves(out / 'convergence.png', curves, 'fraction of the steps', label)
  plots.save_blocks(out / 'states.png', strips, list(runs))
  write_json(out / 'convergence.json', rows)
  print(f'pictures and numbers in {out}/convergence.png, states.png and convergence.json')


if __name__ == '__main__':
  cli.run(main, required=('workdirs', 'out'))
