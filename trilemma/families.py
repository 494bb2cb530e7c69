"""The families by name: the only place that knows them all."""

from ml_collections import ConfigDict

import bfn.model
import cold.model
import ddpm.classifier
import ddpm.model
import gan.dcgan
import gan.ddgan
import vdm.model
from trilemma.exits import UserError, choose

FAMILIES = {
  'ddpm': ddpm.model.make,
  'vdm': vdm.model.make,
  'bfn': bfn.model.make,
  'dcgan': gan.dcgan.make,
  'ddgan': gan.ddgan.make,
  'cold': cold.model.make,
  'classifier': ddpm.classifier.make,
}
# A trained run of these guides the sampling of others: make_guide(config, spec, params).
GUIDES = {'classifier': ddpm.classifier.make_guide}


def make(config, spec, guide=None):
  """The Model of `config` for data of shape, levels and classes `spec` (trilemma.data.Spec).

  `guide` is what one of GUIDES made, for families whose sampling has the setting `classifier`.
  Touches no device. Raises UserError for settings that contradict each other or the data, or are
  missing.
  """
  family = choose('family', config.family, FAMILIES)
  try:
    return family(config, spec, guide) if guide else family(config, spec)
  except AttributeError as e:
    if not isinstance(e.obj, ConfigDict):
      raise
    raise UserError(
      f'the configuration has no key {e}: it was made for another version or family'
    ) from e
