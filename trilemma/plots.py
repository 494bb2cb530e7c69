"""Pictures of samples: PNG grids, strips over time and GIFs; figures of numbers."""

import io
import math
import os
import re

import numpy as np
from PIL import Image

from trilemma.rows import value_of


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
  """Columns of a grid of n images, nearly square; of one class each where images cycle through
  classes."""
  if 2 <= len(classes) <= 20:
    return len(classes) * max(1, round(math.sqrt(n) / len(classes)))
  return math.ceil(math.sqrt(n))


def save_png(path, picture):
  """Writes u8[H,W,3] as PNG, whole or not at all; one channel of it where all are the same."""
  temporary = path.with_suffix('.tmp')
  grey = (picture == picture[..., :1]).all()
  Image.fromarray(picture[..., 0] if grey else picture).save(temporary, format='png', optimize=True)
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


INK = '#123456'  # of text and axes, in pictures that are to stand on any background


def svg(figure, caption, prefix):
  """A figure as SVG for a page, transparent and in the page's own colour of text.

  `prefix` makes its ids unlike those of other figures.
  """
  import matplotlib

  for axis in figure.axes:
    axis.set_facecolor('none')
    axis.tick_params(which='both', colors=INK)
    for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
      text.set_color(INK)
    for spine in axis.spines.values():
      spine.set_color(INK)
    if axis.get_legend():
      axis.get_legend().get_frame().set_alpha(0)
      for text in axis.get_legend().get_texts():
        text.set_color(INK)
  file = io.StringIO()
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'trilemma'}):
    figure.savefig(file, format='svg', transparent=True, metadata={'Date': None})
  text = file.getvalue()
  text = text[text.index('<svg') :].replace(INK, 'currentColor')
  text = re.sub(r'(\bid="|"#|url\(#)', rf'\g<1>{prefix}', text)
  return text.replace('<svg', f'<svg role="img" aria-label="{caption}"', 1)


def save_tradeoff(path, rows, name, xs, line):
  """Writes tradeoff() as PNG."""
  _save_figure(path, tradeoff(rows, name, xs, line))


def tradeoff(rows, name, xs, line):
  """A figure of the metric `name` of rows against several others: a line per line(row), a mark per
  row. xs is {label: key or metric of a row}; the metric's floor is dotted."""
  from matplotlib.figure import Figure
  from matplotlib.ticker import LogFormatter, MaxNLocator, NullFormatter

  figure = Figure(figsize=(4.8 * len(xs), 4), dpi=110)
  axes = figure.subplots(1, len(xs), sharey=True, squeeze=False)[0]
  value = lambda row, key: (value_of(row, key) or (None,))[0]
  rows = [row for row in rows if value(row, name) is not None]
  floors = [value(row, f'{name}/floor') for row in rows]
  for axis, (label, x) in zip(axes, xs.items(), strict=True):
    for of in dict.fromkeys(map(line, rows)):
      own = [row for row in rows if line(row) == of and value(row, x) is not None]
      own.sort(key=lambda row: row['nfe'])
      axis.plot([value(r, x) for r in own], [value(r, name) for r in own], marker='o', label=of)
    if floors[0] is not None:
      axis.axhline(floors[0], color='grey', linestyle=':', label='real to real')
    axis.set_xlabel(label)
    if x == 'nfe':
      axis.set_xscale('log')
      axis.xaxis.set_minor_formatter(NullFormatter())
    elif x == 'seconds_per_image' and _decades([value(row, x) for row in rows]) > 1:
      axis.set_xscale('log')
      axis.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    else:
      axis.xaxis.set_major_locator(MaxNLocator(5))
    if _decades([*floors, *(value(row, name) for row in rows)]) > 1:
      axis.set_yscale('log')
      axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    axis.grid(alpha=0.3)
    if x == 'nfe':
      calls = sorted({row['nfe'] for row in rows})
      axis.set_xticks(calls, [str(c) for c in calls])
  axes[0].set_ylabel(name)
  axes[0].legend(fontsize=7)
  figure.tight_layout()
  return figure


def _decades(values):
  """How many powers of ten `values`, without None, span; 0 where one is not above zero."""
  values = [v for v in values if v is not None]
  return np.log10(max(values) / min(values)) if values and min(values) > 0 else 0


def save_curves(path, curves, xlabel, ylabel):
  """Writes curves_of() as PNG."""
  _save_figure(path, curves_of(curves, xlabel, ylabel))


def curves_of(curves, xlabel, ylabel, log=False):
  """A figure of curves (x f[N], y f[N]) by name."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6, 4), dpi=110)
  axis = figure.subplots()
  for name, (x, y) in curves.items():
    axis.plot(x, y, label=name)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  axis.legend(fontsize=8)
  if log:
    axis.set_yscale('log')
  figure.tight_layout()
  return figure
