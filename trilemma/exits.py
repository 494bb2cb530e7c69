"""How a run ends: its exit codes, the errors that carry them, and the flag that a signal sets.

0 done, 2 bad configuration or input, 3 diverged, 75 preempted: run the same command again.
"""

import os
import signal


class RunError(Exception):
  """Ends a run with one line on stderr and the class's exit code."""

  code = 1


class UserError(RunError):
  """Something the user can mend; the message says what is wrong and how."""

  code = 2


class Diverged(RunError):
  """Too many non-finite updates in a row."""

  code = 3


class Preempted(RunError):
  """A signal asked the run to stop and everything worth keeping is on disk."""

  code = 75


class Stop:
  """A flag that SIGTERM and SIGINT set; a second signal ends the process at once."""

  def __init__(self):
    self.requested = False
    self.child = None  # a subprocess.Popen in a session of its own, which is to stop, too

  def install(self):
    """Handles SIGTERM and SIGINT from now on; returns itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
      signal.signal(number, self._handle)
    return self

  def _handle(self, number, frame):
    if self.child:
      self.child.send_signal(number)
    if self.requested:
      os._exit(128 + number)
    self.requested = True
    name = signal.Signals(number).name
    # no print: a handler may interrupt one
    os.write(2, f'\n{name}: stopping when this is done; once more: at once\n'.encode())

  def check(self):
    """Raises Preempted once a signal has come."""
    if self.requested:
      raise Preempted('stopped by a signal: the same command goes on')


def choose(what, name, options):
  """options[name], or a UserError that lists the names."""
  if name not in options:
    raise UserError(f'unknown {what} {name!r}: choose from {", ".join(sorted(options))}')
  return options[name]
