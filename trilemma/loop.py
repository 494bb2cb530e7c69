"""What happens around the steps of a run: batches, logs, evaluation, pictures, checkpoints."""

import time
from functools import partial
from pathlib import Path

import jax
import numpy as np

from trilemma import data as data_lib
from trilemma import parallel, plots, proxy
from trilemma.checkpoint import Checkpoints, save_once
from trilemma.draw import Draw, cycle_labels
from trilemma.exits import Diverged
from trilemma.keys import stream
from trilemma.step import eval_step, init_state
from trilemma.workdir import versions
from trilemma.writers import Clock, Writer, write_json


def _mean(values):
  """Mean over the finite values; NaN where there is none."""
  values = np.asarray(values, np.float64)
  values = values[np.isfinite(values)]
  return float(values.mean()) if len(values) else float('nan')


class Loop:
  """One run: the state on its devices and everything that happens between steps."""

  def __init__(self, config, setup, runner, workdir, stop, devices):
    self.config, self.setup, self.runner = config, setup, runner
    self.workdir, self.stop, self.devices = Path(workdir), stop, devices
    self.key = stream(config.train.seed, 'train')
    self.checkpoints = Checkpoints(self.workdir / 'checkpoints', config.train.keep)
    restored = self.checkpoints.restore(setup.abstract)
    if restored:
      state = restored[0]
    else:
      init = partial(init_state, setup.model, setup.tx)
      state = parallel.jit(init, once=True)(stream(config.train.seed, 'init'))
      if setup.model.prepare:
        params = setup.model.prepare(state.params, setup.data.image)
        state = state._replace(params=params, ema=jax.tree.map(np.copy, params))
    self.step = int(state.step)
    self.state = runner.replicate(state)
    self.writer = Writer(self.workdir, self.step, config.train.steps)
    if restored:
      self.writer.say(f'resumed at step {self.step}')
    data = setup.data
    resident = data.image.nbytes <= config.train.resident_gb * 1e9
    self.arrays = {'image': data.image, 'label': data.label}
    self.placed = runner.replicate(self.arrays) if resident else {}
    # XLA:CPU is slow at convolution gradients inside a loop (trilemma/parallel.py)
    self.inner = 1 if devices[0].platform == 'cpu' else config.train.inner_steps
    self.pending = []  # metrics on the device since the last log
    self.skipped = dict.fromkeys(setup.model.losses, 0)
    self.clock = Clock(config.train.batch_size)
    self.saved_at = time.monotonic()
    self.eval_step = parallel.jit(partial(eval_step, setup.model))
    self.draw = Draw(setup.model, data.spec, config.sample.n, devices)
    self.proxy, note = proxy.make(config, data, devices) if setup.model.sample else (None, '')
    if note:
      self.writer.say(note)

  def batch(self, k):
    """The batches of the next k steps, [k,B,...], on their devices."""
    c, n = self.config.train, len(self.arrays['image'])
    rows = np.stack([data_lib.rows_at(c.seed, self.step + i, n, c.batch_size) for i in range(k)])
    index = np.broadcast_to(np.arange(c.batch_size, dtype=np.int32), rows.shape)
    fields = {'row': rows} if self.placed else {m: a[rows] for m, a in self.arrays.items()}
    return self.runner.shard({**fields, 'index': index})

  def advance(self):
    """Dispatches the next inner steps and waits for those before, so that one is in flight."""
    if not self.clock.running:
      self.writer.say('compiling the step, kept for the next launch ...')
    k = self.inner - self.step % self.inner
    self.state, metrics = self.runner.step(self.state, self.key, self.placed, self.batch(k))
    jax.block_until_ready(self.pending[-1] if self.clock.running and self.pending else metrics)
    self.pending.append(metrics)
    self.step += k
    self.clock.tick(k)
    self.writer.advance(self.step)

  def due(self, every):
    return every and (self.step % every == 0 or self.step == self.config.train.steps)

  def log(self):
    """Writes the means since the last log; raises Diverged after too many skipped updates."""
    if not self.pending:
      return
    seen = [jax.device_get(metrics) for metrics in self.pending]
    seen = {name: np.concatenate([m[name] for m in seen]) for name in seen[0]}
    row = {name: _mean(values) for name, values in seen.items()}
    for name in row:
      if name.endswith(('/skipped', '/skipped_in_row')):
        row[name] = int(seen[name].max())
    losses = {player: row[f'train/{player}/loss'] for player in self.setup.model.losses}
    row['train/images_per_second'] = self.clock.rate()
    self.writer.write(self.step, row)
    batch_size = self.config.train.batch_size
    self.writer.status(self.step, losses, row['train/images_per_second'], batch_size)
    for name in row:
      if name.endswith('/collapsed') and row[name] == 1:
        of = name.removesuffix('collapsed')
        self.writer.say(
          f'warning: since the last line all images of {of.split("/")[1]} were of one colour, '
          f'about {row[of + "mean"]:.2f} on the scale -1 to 1'
        )
    self.pending = []
    self.clock.reset()
    self._check_skipped(seen)

  def _check_skipped(self, seen):
    for player in self.setup.model.losses:
      total, in_row = seen[f'train/{player}/skipped'], seen[f'train/{player}/skipped_in_row']
      worst = int(in_row.argmax())
      if in_row[worst] > self.config.train.max_skipped:
        self._post_mortem(player, self.step - len(in_row) + worst + 1, int(in_row[worst]))
      if total[-1] > self.skipped[player]:
        self.writer.say(f'warning: {total[-1]} non-finite updates of {player} skipped so far')
        self.skipped[player] = total[-1]

  def _post_mortem(self, player, end, in_row):
    """Keeps the state and the rows of the in_row batches before step `end`; raises Diverged."""
    c, folder = self.config.train, self.workdir / 'diverged'
    save_once(folder / 'state', self.state)
    n = len(self.arrays['image'])
    steps = range(max(0, end - in_row), end)
    rows = {s: data_lib.rows_at(c.seed, s, n, c.batch_size).tolist() for s in steps}
    write_json(folder / 'batches.json', rows)
    raise Diverged(
      f'{in_row} non-finite updates of {player} in a row before step {end}: the state and the rows '
      f'of these batches are in {folder}; try a smaller config.optim.{player}.learning_rate'
    )

  def evaluate(self):
    """Writes the loss of the running mean on the first examples of the test split, same noise, and
    the proxy of its samples' distance to real images."""
    size, test = self.config.train.batch_size, self.setup.test
    key, seen = stream(self.config.train.seed, 'eval'), []
    for number in range(min(self.config.train.eval_batches, max(1, len(test.image) // size))):
      self.stop.check()
      index = np.arange(number * size, (number + 1) * size)
      row = index % len(test.image)
      batch = {'image': test.image[row], 'label': test.label[row], 'index': index}
      seen.append(self.eval_step(self.state.ema, key, batch))
    seen = jax.device_get(seen)
    row = {name: _mean([m[name] for m in seen]) for name in seen[0]}
    if self.proxy:
      row |= self.proxy(self.state.ema, self.stop)
    self.writer.write(self.step, row)
    said = '  '.join(f'{name.removeprefix("eval/")} {value:.4f}' for name, value in row.items())
    n = min(len(seen) * size, len(test.image))
    self.writer.say(f'step {self.step}, {n:,} test images: {said}')

  def look(self, again=False):
    """Evaluates and draws where the step is due; `again` does only what a killed run left out."""
    c, spec = self.config, self.setup.data.spec
    if self.step == 0:
      return
    if self.due(c.train.eval_every) and not (again and self.writer.has(self.step, 'eval')):
      self.evaluate()
    picture = self.workdir / 'samples' / f'{self.step:08d}.png'
    draws = self.setup.model.sample and self.due(c.train.sample_every)
    if draws and not (again and picture.exists()):
      labels = cycle_labels(c.sample.n, spec)
      calls = f'{len(labels)} images x {self.setup.model.nfe:,} net calls'
      self.writer.say(f'step {self.step}: drawing samples/{picture.name}, {calls}')
      images = self.draw(self.state.ema, c.train.seed, labels, stop=self.stop)
      classes = spec.classes if c.model.get('conditional') else ()
      sheet = plots.tile(images, plots.columns_for(len(images), classes), spec.levels)
      picture.parent.mkdir(exist_ok=True)
      plots.save_png(picture, sheet)
    if not self.pending:  # the time that took is not training's
      self.clock.reset()

  def save(self):
    """Starts a checkpoint of this step."""
    data = self.setup.data
    facts = {
      'config': self.config.to_dict(), 'data': data.fingerprint(), 'versions': versions(),
      'examples': self.step * self.config.train.batch_size,
      'devices': [len(self.devices), self.devices[0].device_kind],
      'processes': jax.process_count(),
    }  # fmt: skip
    self.saved_at = time.monotonic()
    return self.checkpoints.save(self.state, facts)

  def save_if_due(self):
    minutes = (time.monotonic() - self.saved_at) / 60
    if self.due(self.config.train.save_every) or minutes >= self.config.train.save_minutes:
      self.save()

  def close(self):
    """Waits for the checkpoint under way and closes the writers; whether all was written."""
    whole = self.checkpoints.wait()
    self.writer.close()
    return whole
