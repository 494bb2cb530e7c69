"""The learned schedules of VDM runs in one picture, and their measured bits/dim in one table.

python scripts/gammas.py --workdirs=runs/digits_vdm,runs/digits_net --out=runs/gammas
bits/dim are the rows that scripts/evaluate.py --metrics=bits has made.
"""

from pathlib import Path

import numpy as np
from absl import flags

from trilemma import cli

WORKDIRS = flags.DEFINE_list('workdirs', [], 'Directories of VDM runs.')
OUT = flags.DEFINE_string('out', '', 'Directory to write gammas.png and gammas.json to.')


def main(stop):
  from trilemma import plots
  from trilemma import rows as rows_lib
  from trilemma.exits import UserError
  from trilemma.run import open_checkpoint
  from trilemma.writers import write_json
  from vdm.gamma import curve

  t, curves, table = np.linspace(0, 1, 201, dtype=np.float32), {}, []
  for workdir in WORKDIRS.value:
    run = open_checkpoint(workdir)
    m = run.config.model
    if run.config.family != 'vdm':
      raise UserError(f'{workdir} is no VDM but a run of the family {run.config.family}')
    objective = f', {m.gamma_objective}' if m.gamma == 'learned_net' else ''
    name = f'{m.gamma}{objective} ({workdir})'
    gamma = curve(m, run.state.ema, t)
    curves[name] = t, gamma
    step, ends = int(run.state.step), [float(gamma[end]) for end in (0, -1)]
    rows = [row for row in rows_lib.of_run(workdir) if row['checkpoint'] == step]
    rows = [row for row in rows if row['weights'] == 'ema']
    bounds = {
      f'{k} of seed {row["seed"]}': v for row in rows for k, v in row.items()
      if k.startswith('bits_')
    }  # fmt: skip
    if not bounds:
      raise UserError(f'{workdir} has no bits/dim at step {step}: run python scripts/evaluate.py '
                      f'--workdir={workdir} --metrics=bits')  # fmt: skip
    for on, bits in bounds.items():
      table.append({'name': name, 'checkpoint': step, 'on': on, 'ends': ends, 'bits': bits})
      terms = [k for k in bits if k not in ('nats_per_image', 'repeats')]
      print(f'{name}: gamma {ends[0]:.2f} to {ends[1]:.2f}, {on}: ' + ', '.join(
        f'{k} {bits[k]["mean"]:.4f} +- {bits[k]["standard_error"]:.4f}' for k in terms
      ))  # fmt: skip
  out = Path(OUT.value)
  out.mkdir(parents=True, exist_ok=True)
  plots.save_curves(out / 'gammas.png', curves, 't', 'gamma = -log SNR')
  write_json(out / 'gammas.json', table)
  print(f'picture and table in {out}/gammas.png and gammas.json')


if __name__ == '__main__':
  cli.run(main, required=('workdirs', 'out'))
