"""The families by name: the only place that knows them all."""

import ddpm.model
from trilemma.exits import choose

FAMILIES = {'ddpm': ddpm.model.make}


def make(config, spec):
  """The Model of `config` for data of shape, levels and classes `spec` (trilemma.data.Spec).

  Touches no device. Raises UserError for settings that contradict each other or the data.
  """
  return choose('family', config.family, FAMILIES)(config, spec)
