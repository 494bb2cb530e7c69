"""Pictures of samples: PNG grids, strips over time and GIFs."""

import math
import os

import numpy as np
from PIL import Image


def to_pixels(images, levels):
  """u8 levels to u8 0..255."""
  return np.round(np.asarray(images, np.float32) * (255 / (levels - 1))).astype(np.uint8)


def tile(images, columns, levels, side=512):
  """One u8[H,W,3] picture of images u8[N,h,w,C], row by row, enlarged to about `side` pixels.

  Points (images of shape 1x1x2) become one scatter picture. C other than 1 or 3 shows its mean.
  """
  images = to_pixels(images, levels)
  n, h, w, c = images.shape
  if (h, w, c) == (1, 1, 2):
    return _scatter(images[:, 0, 0])
  if c not in (1, 3):
    images = images.mean(-1, keepdims=True).astype(np.uint8)
  rows = math.ceil(n / columns)
  sheet = np.zeros((rows * columns, h + 1, w + 1, 3), np.uint8)
  sheet[:n, :h, :w] = images
  sheet = sheet.reshape(rows, columns, h + 1, w + 1, 3).swapaxes(1, 2)
  sheet = sheet.reshape(rows * (h + 1), columns * (w + 1), 3)[:-1, :-1]
  factor = max(1, round(side / sheet.shape[1]))
  return sheet.repeat(factor, 0).repeat(factor, 1)


def _scatter(points, side=256):
  picture = np.full((side, side, 3), 255, np.uint8)
  picture[255 - points[:, 1], points[:, 0]] = (31, 119, 180)
  return picture.repeat(2, 0).repeat(2, 1)


def columns_for(n, classes):
  """Columns of a grid of n images: one per class where images cycle through classes."""
  return len(classes) if 2 <= len(classes) <= 20 else math.ceil(math.sqrt(n))


def save_png(path, picture):
  """Writes u8[H,W,3] as PNG, whole or not at all."""
  temporary = path.with_suffix('.tmp')
  Image.fromarray(picture).save(temporary, format='png')
  os.replace(temporary, path)


def save_gif(path, pictures, milliseconds=80):
  """Writes pictures u8[H,W,3] as an endless GIF that rests on its last frame."""
  frames = [Image.fromarray(p) for p in pictures]
  durations = [milliseconds] * (len(frames) - 1) + [1500]
  frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0)


def save_process(
  directory,
  states,
):
  """process.png (a column per state) and process.gif of states u8[F,N,H,W,C] on the way."""
  frames, n = states.shape[:2]
  if states.shape[2:] == (1, 1, 2):
    columns = [tile(state, 1, 256) for state in states]
    save_png(directory / 'process.png', np.concatenate(columns, 1))
  else:
    by_image = states.swapaxes(0, 1).reshape(n * frames, *states.shape[2:])
    save_png(directory / 'process.png', tile(by_image, frames, 256, side=768))
  pictures = [tile(state, columns_for(n, ()), 256, side=256) for state in states]
  save_gif(directory / 'process.gif', pictures, milliseconds=150)


def save_blocks(path, pictures, titles, rows=()):
  """One PNG of pictures u8[H,W,3] side by side, each under its title, with names of the rows."""
  from matplotlib.figure import Figure

  height, width = pictures[0].shape[:2]
  figure = Figure(figsize=(12, 12 * height / width / len(pictures) + 0.6), dpi=100)
  axes = figure.subplots(1, len(pictures), squeeze=False)[0]
  for n, (axis, picture, title) in enumerate(zip(axes, pictures, titles, strict=True)):
    axis.imshow(picture, interpolation='nearest')
    axis.set(xticks=[], title=title)
    names = rows if n == 0 else ()
    axis.set_yticks([(i + 0.5) * height / len(names) for i in range(len(names))], names)
    axis.tick_params(length=0)
  figure.tight_layout()
  _save_figure(path, figure)


def _save_figure(path, figure):
  temporary = path.with_suffix('.tmp')
  figure.savefig(temporary, format='png')
  os.replace(temporary, path)


def sampler_of(row):
  """The sampler of a row of results, and where it starts from if there is a choice; a family that
  has only one gives its own name."""
  sample = row['config']['sample']
  name = sample.get('sampler', row['family'])
  return f'{name} from {sample["start"]}' if 'start' in sample else name


def label_of(row):
  """The sampler of a row and how many net calls it takes."""
  return f'{sampler_of(row)}, {row["nfe"]:,} net calls'


def save_trilemma(path, rows, name):
  """Quality rows[name] against seconds per image, and against recall where it was measured: a line
  per run and sampler, a mark per step count."""
  from matplotlib.figure import Figure

  recall = next((k for k in rows[0] if k.startswith('recall_') and '/' not in k), None)
  xs = [('seconds per image', 'seconds_per_image')] + ([(recall, recall)] if recall else [])
  figure = Figure(figsize=(5 * len(xs), 4), dpi=110)
  axes = figure.subplots(1, len(xs), sharey=True, squeeze=False)[0]
  lines = dict.fromkeys((row['run'], sampler_of(row)) for row in rows)
  floor = next((row[f'{name}/floor'] for row in rows if f'{name}/floor' in row), None)
  for axis, (label, x) in zip(axes, xs, strict=True):
    for run, sampler in lines:
      own = [
        r for r in rows if (r['run'], sampler_of(r)) == (run, sampler) and name in r and x in r
      ]
      axis.plot([r[x] for r in own], [r[name] for r in own], marker='o', label=f'{run} ({sampler})')
    if floor:
      axis.axhline(floor, color='grey', linestyle=':', label='real to real')
    axis.set(xlabel=label, yscale='log', **({} if x == recall else {'xscale': 'log'}))
    axis.grid(alpha=0.3)
  axes[0].set_ylabel(name)
  axes[0].legend(fontsize=7)
  figure.tight_layout()
  _save_figure(path, figure)


def save_steps(path, rows, name):
  """Quality rows[name] against net calls and against seconds per image, a line per sampler."""
  from matplotlib.figure import Figure
  from matplotlib.ticker import LogFormatter, NullFormatter

  figure = Figure(figsize=(9, 3.6), dpi=110)
  axes = figure.subplots(1, 2, sharey=True)
  for sampler in dict.fromkeys(map(sampler_of, rows)):
    own = [row for row in rows if sampler_of(row) == sampler]
    for axis, x in zip(axes, (
      [row['nfe'] for row in own], [row['seconds_per_image'] for row in own],
    ), strict=True):  # fmt: skip
      axis.plot(x, [row[name] for row in own], marker='o', label=sampler)
  for axis, label in zip(axes, ('net calls per image', 'seconds per image'), strict=True):
    axis.axhline(rows[0][f'{name}/floor'], color='grey', linestyle=':', label='real to real')
    axis.set(xscale='log', yscale='log', xlabel=label)
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axis.grid(alpha=0.3)
  axes[0].set_ylabel(name)
  calls = sorted({row['nfe'] for row in rows})
  axes[0].set_xticks(calls, [str(c) for c in calls])
  axes[0].legend()
  figure.tight_layout()
  _save_figure(path, figure)


def save_curves(path, curves, xlabel, ylabel):
  """Curves (x f[N], y f[N]) by name."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6, 4), dpi=110)
  axis = figure.subplots()
  for name, (x, y) in curves.items():
    axis.plot(x, y, label=name)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  figure.tight_layout()
  _save_figure(path, figure)
