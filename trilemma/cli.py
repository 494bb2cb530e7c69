"""What every script does around its main: flags, errors as one line, exit codes, the caches."""

import os
import re
import signal
import sys
import warnings
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from trilemma.data import cache_dir
from trilemma.exits import RunError, Stop, UserError

WHY = 'TRILEMMA_WHY'  # names a file for the error that ends a script, for one that started it


def define_config():
  """The --config=configs/x.py[:tiny] flag; every --config.a.b=value overrides one key."""
  return config_flags.DEFINE_config_file('config', None, 'Experiment: configs/x.py[:tiny].')


def define_sampling(**several):
  """Flags for config.sample by its own names; a function that gives those set, as a dict.

  `several` names flags, with their help, that take a list instead: {name: list} in the dict.
  """
  one = {
    'sampler': (
      flags.DEFINE_string,
      'ancestral, ddim, dpmpp_2m; of VDM also shortcut; of cold improved, naive.',
    ),
    'steps': (flags.DEFINE_integer, 'Sampler steps; 0 for all of a DDPM.'),
    'spacing': (flags.DEFINE_string, "Steps of a DDPM evenly spaced in 't' or 'gamma'."),
    'eta': (flags.DEFINE_float, 'Of ddim: 0 deterministic to 1 ancestral.'),
    'clip': (flags.DEFINE_bool, "Clip x_hat to the data's range."),
    'few': (flags.DEFINE_integer, 'Of shortcut: how many of the steps.'),
    'noise': (flags.DEFINE_string, 'Of shortcut: fixed, predicted or fresh.'),
    'guidance': (flags.DEFINE_float, 'Classifier-free: 0 unconditional, 1 conditional, more.'),
    'start': (flags.DEFINE_string, 'Of cold diffusion: real (a reconstruction), gaussian or gmm.'),
    'start_noise': (flags.DEFINE_float, 'Of cold diffusion: noise added to the start.'),
    'final': (flags.DEFINE_string, "Of BFN: 'mode' or 'draw' of the last distribution."),
    'frames': (flags.DEFINE_string, "In process.png: 'state' or 'guess', what it would become."),
    'classifier': (flags.DEFINE_string, 'Workdir of a classifier that guides.'),
    'classifier_scale': (flags.DEFINE_float, "Scale of the classifier's gradient."),
  }
  holders = [
    flags.DEFINE_list(name, None, several[name]) if name in several else define(name, None, text)
    for name, (define, text) in one.items()
  ]

  def given():
    values = {flag.name: flag.value for flag in holders if flag.value is not None}
    kinds = {'steps': int, 'few': int, 'guidance': float}
    for name in several.keys() & values.keys():
      if not values[name]:
        raise UserError(f'--{name}= is empty')
      try:
        values[name] = [kinds.get(name, str)(value) for value in values[name]]
      except ValueError:
        raise UserError(f'--{name}={",".join(values[name])}: numbers are needed') from None
    return values

  return given


def _parse(argv):
  # config_flags imports the file by path, and experiments import their base as configs.base
  sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
  try:
    return flags.FLAGS(argv)
  except Exception as e:  # a bad flag, or anything that a configuration file does wrong
    typo = re.search(r'Did you mean "(.+?)" instead of "(.+?)"', str(e))
    if typo:
      _fail(UserError(f'no such key {typo[2]!r} in --config: did you mean {typo[1]!r}?'))
    kind = '' if isinstance(e, flags.Error | RunError) else f'{type(e).__name__}: '
    _fail(UserError(kind + ' '.join(str(e).split())))


def _fail(error):
  if os.environ.get(WHY):
    Path(os.environ[WHY]).write_text(str(error))
  print(f'{"preempted" if error.code == 75 else "error"}: {error}', file=sys.stderr)
  sys.exit(error.code)


def run(main, required=(), positional=False):
  """Calls main(stop) after parsing flags; a RunError becomes one line and its exit code.

  `required` names the flags that must be given. With `positional` main takes what is no flag, too.
  """

  def guarded(argv):
    try:
      if argv[1:] and not positional:
        raise UserError(f'unknown arguments: {" ".join(argv[1:])}')
      for name in required:
        if not flags.FLAGS[name].value:
          raise UserError(f'--{name} is needed; --help lists all flags')
      if 'config' in required:
        file = config_flags.get_config_filename(flags.FLAGS['config']).split(':')[0]
        if not os.path.isfile(file):
          raise UserError(f'no such configuration: {file}')
      _quiet()
      jax.config.update('jax_compilation_cache_dir', str(cache_dir() / 'xla'))
      jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)
      main(Stop().install(), *argv[1:])
      sys.stdout.flush()
    except RunError as e:
      _fail(e)
    except BrokenPipeError:  # a reader that has seen enough, such as head
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush fails, too
      sys.exit(128 + signal.SIGPIPE)
    except OSError as e:  # a full or vanished disk
      _fail(RunError(f'{e.filename or "input or output"}: {e.strerror or e}'))

  app.run(guarded, flags_parser=_parse)


def _quiet():
  """Libraries' own logs at warning level; the scripts print what a user needs."""
  logging.set_verbosity(logging.ERROR)
  warnings.filterwarnings('ignore', category=UserWarning, module='orbax')
