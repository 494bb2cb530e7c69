"""One compilation cache for the whole suite, eight simulated devices, no optimisation by LLVM."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]
os.environ.setdefault('TRILEMMA_CACHE', str(ROOT / '.cache'))
# what a command line started by a test gets: the same, but one device
PLAIN_FLAGS = '--xla_backend_optimization_level=0'
os.environ['XLA_FLAGS'] = f'{PLAIN_FLAGS} --xla_force_host_platform_device_count=8'
os.environ['JAX_PLATFORMS'] = 'cpu'

import jax  # noqa: E402
import pytest  # noqa: E402
import tiny as tiny_file  # noqa: E402

from trilemma.data import cache_dir, data_dir  # noqa: E402

jax.config.update('jax_compilation_cache_dir', str(cache_dir() / 'xla'))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)

if 'TFDS_DATA_DIR' not in os.environ and (ROOT.parent / 'shared' / 'data' / 'tfds').is_dir():
  os.environ['TFDS_DATA_DIR'] = str(ROOT.parent / 'shared' / 'data' / 'tfds')


def tiny():
  """A DDPM on digits with a net that compiles in a second; see tests/tiny.py."""
  config = tiny_file.get_config()
  config.train.update({'steps': 4, 'log_every': 2, 'save_every': 2})
  return config


@pytest.fixture
def config():
  return tiny()


@pytest.fixture
def one_device():
  return jax.devices()[:1]


def needs_data(name):
  """Skips a test where the prepared data set is not there."""
  found = list((data_dir() / name).glob('*/dataset_info.json'))
  return pytest.mark.skipif(
    not found, reason=f'{name} is not in {data_dir()}: run python scripts/download.py {name}'
  )
