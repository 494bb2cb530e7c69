"""The families by name: the only place that knows them all."""

import inspect

import bfn.model
import ddpm.classifier
import ddpm.model
import vdm.model
from trilemma.exits import UserError, choose

FAMILIES = {
  'ddpm': ddpm.model.make,
  'vdm': vdm.model.make,
  'bfn': bfn.model.make,
  'classifier': ddpm.classifier.make,
}
# A trained run of these guides the sampling of others: make_guide(config, spec, params).
GUIDES = {'classifier': ddpm.classifier.make_guide}


def make(config, spec, guide=None):
  """The Model of `config` for data of shape, levels and classes `spec` (trilemma.data.Spec).

  `guide` is what one of GUIDES made, for families that can use one. Touches no device. Raises
  UserError for settings that contradict each other or the data, or are missing.
  """
  family = choose('family', config.family, FAMILIES)
  if guide and 'guide' not in inspect.signature(family).parameters:
    raise UserError(f'the family {config.family} takes no classifier')
  try:
    return family(config, spec, guide) if guide else family(config, spec)
  except AttributeError as e:  # what a ConfigDict raises
    raise UserError(
      f'the configuration has no key {e}: it was made for another version or family'
    ) from e
