"""The families by name: the only place that knows them all."""

import ddpm.classifier
import ddpm.model
from trilemma.exits import choose

FAMILIES = {'ddpm': ddpm.model.make, 'classifier': ddpm.classifier.make}


def make(config, spec, guide=None):
  """The Model of `config` for data of shape, levels and classes `spec` (trilemma.data.Spec).

  `guide` is a trained classifier's (ddpm.classifier.make_guide), for families that can use one.
  Touches no device. Raises UserError for settings that contradict each other or the data.
  """
  family = choose('family', config.family, FAMILIES)
  return family(config, spec, guide) if guide else family(config, spec)
