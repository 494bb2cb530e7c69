"""A run's directory: who holds it, and which configuration and data it was made with."""

import fcntl
import json
import platform
from contextlib import contextmanager
from importlib.metadata import version

from ml_collections import ConfigDict

from trilemma.config import differences, with_defaults
from trilemma.data import Spec
from trilemma.exits import UserError
from trilemma.writers import write_json


@contextmanager
def locked(workdir):
  """Holds the workdir's lock; raises UserError where it cannot be written or another run has it."""
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    file = (workdir / 'lock').open('w')
  except OSError as e:
    raise UserError(f'cannot write to the workdir {workdir}: {e.strerror}') from e
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise UserError(f'another process is training in {workdir}') from None
    yield


def compare(workdir, config, data, allowed=()):
  """The list of changes to record: raises UserError where the workdir is not this run's.

  An empty directory is anybody's. Otherwise the configuration and the data must agree in what must
  not change, except for the keys in `allowed` ('data' for the data).
  """
  file = workdir / 'config.json'
  if not file.exists():
    found = sorted(p.name for p in workdir.iterdir() if p.name not in ('lock', 'config.json.tmp'))
    if found:
      raise UserError(
        f'{workdir} holds {", ".join(found[:3])} but no config.json, so it is no run of this '
        'project: choose an empty or new directory'
      )
    return []
  saved = read(workdir)
  if saved['config']['family'] != config.family:
    raise UserError(
      f'{workdir} is a run of the family {saved["config"]["family"]}, not {config.family}: choose '
      'another --workdir'
    )
  changed = differences(saved['config'], config)
  if saved['data'] != data.fingerprint():
    changed['data'] = saved['data'], data.fingerprint()
  refused = [f'{k}: {old} -> {new}' for k, (old, new) in changed.items() if k not in allowed]
  if refused:
    raise UserError(
      f'{workdir} was made with another configuration ({"; ".join(refused)}): choose another '
      f'--workdir, or go on regardless with --allow_config_change={",".join(changed)}'
    )
  return saved['changes'] + [{k: list(values)} for k, values in changed.items()]


def record(workdir, config, data, changes):
  """Writes config.json; only once the run is known to start."""
  write_json(workdir / 'config.json', {
    'config': config.to_dict(), 'spec': data.spec._asdict(), 'data': data.fingerprint(),
    'changes': changes,
  })  # fmt: skip


def read(workdir):
  """The contents of config.json. Raises UserError where there is none or it is damaged."""
  try:
    saved = json.loads((workdir / 'config.json').read_text())
    config = with_defaults(saved['config'])
    return {**{key: saved[key] for key in ('spec', 'data', 'changes')}, 'config': config}
  except FileNotFoundError:
    raise UserError(f'{workdir} is no run: it has no config.json') from None
  except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as e:
    raise UserError(f'{workdir / "config.json"} is damaged or of another program ({e})') from e


def open_config(workdir):
  """The (config, spec) of a finished or running workdir."""
  saved = read(workdir)
  spec = Spec(**saved['spec'])
  spec = spec._replace(shape=tuple(spec.shape), classes=tuple(spec.classes))
  return ConfigDict(saved['config']), spec


def versions():
  """The library versions that a result depends on."""
  names = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
  return {'python': platform.python_version(), **{name: version(name) for name in names}}
