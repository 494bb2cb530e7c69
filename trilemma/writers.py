"""Where a run's numbers go: metrics.jsonl, TensorBoard where TensorFlow is there, the console."""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm


def write_json(path, value):
  """Writes JSON by temporary file and rename, so that a reader never sees half of it."""
  path = Path(path)
  temporary = path.with_name(path.name + '.tmp')
  temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + '\n')
  os.replace(temporary, path)


def read_rows(path):
  """The rows of a .jsonl file; a last line cut short by a crash is left out."""
  rows = []
  for line in Path(path).read_text().splitlines() if Path(path).exists() else []:
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError:
      break
  return rows


def duration(seconds):
  """'1h05m' or '3m20s'."""
  minutes, seconds = divmod(round(seconds), 60)
  return f'{minutes // 60}h{minutes % 60:02d}m' if minutes >= 60 else f'{minutes}m{seconds:02d}s'


class JsonLines:
  """metrics.jsonl: one flushed row per write, steps never going back."""

  def __init__(self, path, step):
    """Opens `path` to append after `step`; rows beyond it are from a run that was cut off."""
    path = Path(path)
    kept = [row for row in read_rows(path) if row['step'] <= step]
    temporary = path.with_name(path.name + '.tmp')
    temporary.write_text(''.join(json.dumps(row) + '\n' for row in kept))
    os.replace(temporary, path)
    self.kinds = {(row['step'], kind) for row in kept for kind in kinds(row)}
    self._file = path.open('a')

  def write(self, step, scalars):
    self._file.write(json.dumps({'step': step, **scalars}) + '\n')
    self._file.flush()


def kinds(row):
  """What a row holds: 'train', 'eval', ... as in its keys 'train/loss', 'eval/loss'."""
  return {key.split('/')[0] for key in row if '/' in key}


class TensorBoard:
  """clu's TensorBoard writer in a thread of its own: importing TensorFlow takes seconds."""

  def __init__(self, directory):
    self._writer = None
    self._thread = ThreadPoolExecutor(1)
    self._last = self._thread.submit(self._open, directory)

  def _open(self, directory):
    # before the import: TensorFlow logs to stderr as it loads
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
    try:
      from clu.metric_writers import SummaryWriter
    except ImportError as e:
      tqdm.write(f'note: no TensorBoard events, because {e.name or e} is not installed')
    else:
      self._writer = SummaryWriter(str(directory))

  def write(self, step, scalars):
    """Writes floats by name, in the background and in order."""

    def write():
      if self._writer:
        self._writer.write_scalars(step, scalars)
        self._writer.flush()

    self._last = self._thread.submit(write)

  def close(self):
    """Waits for what is under way; a failed event is a warning, the JSON lines have it."""
    self._thread.shutdown()
    if self._last.exception():
      tqdm.write(f'warning: TensorBoard events are incomplete ({self._last.exception()})')
    if self._writer:
      self._writer.close()


class Clock:
  """Images per second since the last reset, without the first dispatch, which compiles."""

  def __init__(self, batch_size):
    self.batch_size = batch_size
    self.running = False
    self._steps, self._began = 0, 0.0

  def tick(self, steps):
    """Counts `steps` just done."""
    if self.running:
      self._steps += steps
    else:
      self.running = True
      self.reset()

  def reset(self):
    self._steps, self._began = 0, time.monotonic()

  def rate(self):
    """Images per second; 0 before anything was timed."""
    return self._steps * self.batch_size / max(time.monotonic() - self._began, 1e-9)


class Writer:
  """Everything one run writes about itself, step by step."""

  def __init__(self, workdir, step, total):
    self._total = total
    self._lines = JsonLines(Path(workdir) / 'metrics.jsonl', step)
    self._board = TensorBoard(Path(workdir) / 'tensorboard')
    self._bar = tqdm(total=total, initial=step, unit='step', disable=None, leave=False)

  def has(self, step, kind):
    """Whether the restored run already wrote a row of this kind at this step."""
    return (step, kind) in self._lines.kinds

  def write(self, step, scalars):
    """Writes floats by name to metrics.jsonl and TensorBoard."""
    self._lines.write(step, scalars)
    self._board.write(step, scalars)

  def advance(self, step):
    """Moves the progress bar, which only a terminal has."""
    self._bar.update(step - self._bar.n)

  def status(self, step, losses, rate, batch_size):
    """One line with the step, the loss of each player by its name, images/s and time left."""
    line = f'step {step:>{len(str(self._total))}}/{self._total}  '
    named = len(losses) > 1
    line += 'loss ' + ', '.join(f'{k} ' * named + f'{v:.4f}' for k, v in losses.items())
    if rate:
      line += f'  {rate:,.0f} images/s  ETA {duration((self._total - step) * batch_size / rate)}'
    self.say(line)

  def say(self, line):
    """Prints a line, above the progress bar if there is one."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()

  def close(self):
    self._bar.close()
    self._board.close()
