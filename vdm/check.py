"""What can be wrong with the settings of a VDM."""

from trilemma import guidance
from trilemma.exits import UserError, choose
from trilemma.samplers import FRAMES, SAMPLERS
from vdm import shortcut

OBJECTIVES = ('none', 'vlb', 'variance')


def check(config, spec):
  """Raises UserError for settings that contradict each other or the data."""
  m, s = config.model, config.sample
  guidance.check(m, s, spec)
  choose('config.model.gamma_objective', m.gamma_objective, dict.fromkeys(OBJECTIVES))
  if m.gamma_objective != 'none' and m.gamma != 'learned_net':
    raise UserError(
      f'config.model.gamma_objective={m.gamma_objective} trains the interior of gamma=learned_net: '
      f'use none for {m.gamma}'
    )
  if not m.gamma_min < m.gamma_max:
    raise UserError(f'config.model.gamma_min={m.gamma_min} must be below gamma_max={m.gamma_max}')
  if m.steps < 0:
    raise UserError(f'config.model.steps={m.steps}: use 0 for continuous time')
  if s.steps < 1:
    raise UserError(f'config.sample.steps={s.steps} must be at least 1')
  choose('config.sample.sampler', s.sampler, {**SAMPLERS, 'shortcut': None})
  choose('config.sample.frames', s.frames, dict.fromkeys(FRAMES))
  choose('config.sample.noise', s.noise, dict.fromkeys(shortcut.NOISES))
  if s.sampler == 'shortcut' and not 1 <= s.few <= s.steps:
    raise UserError(f'config.sample.few={s.few}: choose 1..{s.steps} (config.sample.steps)')
  if m.fidelity_every < 0 or m.fidelity_every == 1:
    raise UserError(f'config.model.fidelity_every={m.fidelity_every}: 0 for never, or 2 or more, '
                    'which leave steps for the bound')  # fmt: skip
  if m.fidelity_every and not 1 <= m.fidelity_few <= m.fidelity_steps:
    raise UserError(f'config.model.fidelity_few={m.fidelity_few}: choose 1..{m.fidelity_steps} '
                    '(config.model.fidelity_steps)')  # fmt: skip
  if m.latent < 0:
    raise UserError(f'config.model.latent={m.latent}: use 0 for the pixels themselves')
  if m.latent and (len(m.center) or len(m.spread)):
    raise UserError('config.model.center and spread are for pixels, not for a latent vector')
  if not 0 <= s.eta <= 1 or (s.eta and s.sampler != 'ddim'):
    raise UserError(f'config.sample.eta={s.eta}: 0 to 1, for --config.sample.sampler=ddim')
  if m.augment and (config.net.name != 'vdm_unet' or spec.shape[0] != spec.shape[1]):
    raise UserError('config.model.augment needs square images and config.net = base.vdm_unet()')
  if m.augment and not config.net.extra:
    raise UserError('config.model.augment needs --config.net.extra=True')
  if m.augment and config.data.flip:
    raise UserError('config.model.augment flips already: use --config.data.flip=False')
