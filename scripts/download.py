"""Downloads and prepares data sets with TFDS: the only code here that uses the network.

python scripts/download.py mnist cifar10 --data_dir=DIR
"""

import sys

from absl import app, flags

from trilemma.data import data_dir

DATA_DIR = flags.DEFINE_string('data_dir', '', 'Where to; default TFDS_DATA_DIR.')
NAMES = ('mnist', 'cifar10')


def main(argv):
  names = argv[1:]
  if not names or set(names) - set(NAMES):
    print(f'error: name what to download, of {", ".join(NAMES)}', file=sys.stderr)
    sys.exit(2)
  import tensorflow_datasets as tfds

  target = data_dir(DATA_DIR.value)
  for name in names:
    try:
      builder = tfds.builder(name, data_dir=target, file_format='array_record')
      builder.download_and_prepare()
    except Exception as e:  # whatever the network or the disk did, say it in one line
      reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
      print(f'error: {name} could not be prepared in {target}: {reason}', file=sys.stderr)
      sys.exit(2)
    print(f'{name} is in {target}; train with --data_dir={target} or TFDS_DATA_DIR={target}')


if __name__ == '__main__':
  app.run(main)
