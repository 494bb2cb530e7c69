"""A cheap look at sample quality during training: a proxy for the evaluation, named as such."""

import functools

from trilemma import evaluate, features, plots
from trilemma.draw import Draw, cycle_labels
from trilemma.exits import UserError
from trilemma.run import make_model

N, STEPS = 256, 10
SHARE = 0.05  # of training's net calls that it may cost, a training step being three an image


def make(config, data, devices):
  """(measure, note): measure(params, stop) -> {name: value}, or None and, where it says something,
  why not.

  The Frechet distance of 256 images, drawn in 10 steps by DDIM where there is one, to 256 real ones
  in the features of this project's own classifier of the data.
  """
  train = config.train
  if not (train.fd_proxy and train.eval_every):
    return None, ''
  try:
    extractor = features.find('', data.spec)
  except UserError as e:
    return None, f'no fd proxy: {e}'
  cheap = config.copy_and_resolve_references()
  if 'steps' in cheap.sample:
    own = config.sample.steps or config.model.get('steps') or STEPS
    cheap.sample.steps = min(own, STEPS)
  if 'eta' in cheap.sample:
    cheap.sample.update({'sampler': 'ddim', 'eta': 0.0})
  model = make_model(cheap, data.spec)
  share = N * model.nfe / (3 * train.eval_every * train.batch_size)
  if share > SHARE:
    return (
      None,
      f'no fd proxy: every {train.eval_every} steps it would cost {share:.0%} of the time',
    )
  if len(data.image) < N:
    return None, f'no fd proxy: {data.spec.name} has fewer than {N} images'
  real = functools.cache(
    lambda: evaluate.real_features(extractor, config, data, data, N, floor=False)
  )
  draw = Draw(model, data.spec, N, devices)

  def measure(params, stop):
    images = draw(params, train.seed, cycle_labels(N, data.spec), stop=stop)
    pool, logits = extractor.extract(plots.to_pixels(images, data.spec.levels))
    found = evaluate.distances('fd', real(), pool, logits)
    return {f'eval/fd_{extractor.name}_proxy@{N}': found['fd']}

  return measure, ''
