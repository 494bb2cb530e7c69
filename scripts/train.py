"""Trains one experiment, or goes on with it: the same command resumes.

python scripts/train.py --config=configs/digits_ddpm.py --workdir=runs/digits_ddpm
"""

from pathlib import Path

from absl import flags

from trilemma import cli

CONFIG = cli.define_config()
DATA_DIR = flags.DEFINE_string('data_dir', '', 'TFDS directory; default TFDS_DATA_DIR.')
WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Check everything, say what would run, and stop.')
ALLOW = flags.DEFINE_list(
  'allow_config_change', [], 'Keys that may differ from those the workdir was made with.'
)


def main(stop):
  import jax

  from trilemma import parallel
  from trilemma.train import describe, set_up, train
  from trilemma.workdir import compare

  config, data_dir = CONFIG.value, DATA_DIR.value
  if DRY_RUN.value:
    setup, devices = set_up(config, data_dir), jax.devices()
    parallel.make(config.parallel, None, devices, config.train.batch_size)
    if Path(WORKDIR.value).is_dir():
      compare(Path(WORKDIR.value), config, setup.data, ALLOW.value)
    print(describe(config, setup, WORKDIR.value, devices))
    return
  train(config, WORKDIR.value, data_dir, stop, allowed=ALLOW.value)
  workdir = WORKDIR.value
  if config.family == 'classifier':
    use = (
      'sample.py --workdir=RUN --classifier'
      if config.model.noisy
      else ('evaluate.py --workdir=RUN --metrics=fd --extractor')
    )
    print(f'done. Next: python scripts/{use}={workdir}')
  else:
    print(f'done. Next: python scripts/sample.py --workdir={workdir}')


if __name__ == '__main__':
  cli.run(main, required=('config', 'workdir'))
