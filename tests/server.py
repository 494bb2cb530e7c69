"""Runs scripts for tests in forks of one process that has made their imports, which saves seconds.

Reads requests as lines of JSON: argv, environment, and the files for stdout and stderr. Answers
each with a line, the exit code. No backend of JAX is started here, so a fork may start its own.
"""

import importlib
import json
import os
import runpy
import sys
import traceback

IMPORTS = ('trilemma.cli', 'trilemma.train', 'trilemma.evaluate', 'trilemma.features',
           'trilemma.compare', 'sklearn.datasets', 'matplotlib.figure')  # fmt: skip


def fork(request):
  """The exit code of a script that runs in a child."""
  child = os.fork()
  if child:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
  os.environ.clear()
  os.environ.update(request['environment'])
  for number, path in ((1, request['stdout']), (2, request['stderr'])):
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
  sys.argv = request['argv']
  code = 0
  try:
    runpy.run_path(sys.argv[0], run_name='__main__')
  except SystemExit as e:
    code = e.code or 0
  except BaseException:
    traceback.print_exc()
    code = 1
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


if __name__ == '__main__':
  for name in IMPORTS:
    importlib.import_module(name)
  for line in sys.stdin:
    print(fork(json.loads(line)), flush=True)
