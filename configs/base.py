"""Every configuration key with its default. An experiment starts from a family's function here.

Values are never None: 0, '' or 'all' stand for 'not used', as each comment says.
"""

from ml_collections import ConfigDict

from trilemma.exits import UserError


def optimizer():
  """One player's optimizer: optax, in the order clip, AdamW, learning-rate schedule."""
  return ConfigDict(
    {
      'learning_rate': 2e-4,
      'warmup': 0,  # steps of linear warm-up
      'schedule': 'constant',  # or 'cosine', to 0 at train.steps
      'b1': 0.9,
      'b2': 0.999,
      'eps': 1e-8,
      'weight_decay': 0.0,
      'clip': 1.0,  # global gradient norm; 0: no clipping
      'accumulate': 1,  # batches per update
    }
  )


def common():
  """What every family shares."""
  return ConfigDict(
    {
      'parallel': 'jit',  # or 'pmap': the same step, the same checkpoints
      'data': {
        'name': 'digits',  # mnist, cifar10, swirl, folder:PATH
        'classes': 'all',  # or a subset: 'cats', 'cats+frogs'
        'resolution': 0,  # resize to this side; 0: as stored
        'flip': False,  # random horizontal flips in training
        'bins': 0,  # levels to reduce the image to, 16 for instance; 0: as stored
        'binarise': False,  # each pixel redrawn from Bernoulli(its value) at every access
      },
      'net': unet(),
      'optim': {'net': optimizer()},
      'ema': 0.9999,  # decay of the parameters' running mean, per step; warm-up (1 + t) / (10 + t)
      'train': {
        'steps': 10_000,
        'batch_size': 128,  # over all devices
        'inner_steps': 1,  # steps under one dispatch; a CPU always takes 1
        'log_every': 100,
        'eval_every': 1000,  # validation loss on the test split; 0: never
        'eval_batches': 4,
        'fd_proxy': True,  # and a cheap proxy of the samples' distance, unless over 5% of the time
        'sample_every': 2000,  # a picture of sample.n images; 0: never
        'save_every': 1000,
        'save_minutes': 10.0,  # whichever comes first
        'keep': 3,  # checkpoints kept
        'max_skipped': 10,  # non-finite updates in a row before the run stops
        'resident_gb': 8.0,  # a training split up to this size lives on the device
        'seed': 0,
      },
      'sample': {'n': 64},
    }
  )


def unet():
  """The UNet of Ho et al. 2020 for CIFAR-10."""
  return ConfigDict(
    {
      'name': 'unet',
      'channels': 128,
      'multipliers': (1, 2, 2, 2),
      'blocks': 2,  # residual blocks per level
      'attention': (16,),  # resolutions with self-attention
      'middle_attention': True,
      'heads': 1,
      'dropout': 0.1,
      'readout': 'conv',  # or 'concat': a dense layer that reads the input, too
      'scale_shift': False,  # the time scales and shifts a norm, instead of being added before it
      'label': 'table',  # or 'mlp': one-hot -> Dense -> GELU -> Dense
      'dtype': 'float32',  # or 'bfloat16': compute; parameters and statistics stay float32
    }
  )


def cnn():
  """The shallow CNN of the Cambridge M2 report."""
  return ConfigDict(
    {
      'name': 'cnn',
      'widths': (16, 32, 32, 16),
      'kernel': 7,
      'activation': 'gelu',  # or 'selu', 'swish'
      'label': 'table',  # or 'mlp'
      'dtype': 'float32',
    }
  )


def vdm_unet():
  """The UNet of Kingma et al. 2021 for CIFAR-10: 32 + 33 blocks at full resolution."""
  return ConfigDict(
    {
      'name': 'vdm_unet',
      'channels': 128,
      'blocks': 32,
      'attention': False,  # after every block, not only in the middle
      'heads': 1,
      'extra': True,  # one more number to condition on: whether an image was augmented
      'readout': 'add',  # the input to the output; or 'concat': a dense layer reads both
      'fourier': (6, 7),  # sines and cosines of 2 pi 2^n z for these n
      'dropout': 0.1,
      'label': 'table',
      'dtype': 'float32',
    }
  )


def mlp():
  """The net of Kingma et al.'s 2-D example, for points."""
  return ConfigDict({'name': 'mlp', 'widths': (512, 512), 'label': 'table', 'dtype': 'float32'})


def latent_net():
  """A residual MLP, for latent vectors."""
  return ConfigDict(
    {'name': 'latent_net', 'width': 512, 'layers': 4, 'label': 'table', 'dtype': 'float32'}
  )


def encoder():
  """The UNet's way down, for classifiers of noisy images."""
  return ConfigDict(
    {
      'name': 'encoder',
      'channels': 32,
      'multipliers': (1, 2, 2),
      'blocks': 1,
      'attention': (),
      'heads': 1,
      'dropout': 0.0,
      'dtype': 'float32',
    }
  )


def lenet():
  """A small classifier of clean images."""
  return ConfigDict(
    {'name': 'lenet', 'widths': (16, 32), 'hidden': 64, 'dropout': 0.0, 'dtype': 'float32'}
  )


def diffusion():
  """The noise of a DDPM or of a classifier that guides one."""
  return ConfigDict(
    {
      'schedule': 'linear',  # or 'cosine'
      'steps': 1000,  # T
      'rescale_betas': False,  # linear betas times 1000 / T
    }
  )


def classifier(noisy):
  """A classifier of noisy images, which see the time, or of clean ones."""
  config = common()
  config.family = 'classifier'
  config.model = diffusion()
  config.model.noisy = noisy  # if not, the three above do not count
  config.net = encoder() if noisy else lenet()
  return config


def ddpm():
  """A DDPM."""
  config = common()
  config.family = 'ddpm'
  config.model = diffusion()
  config.model.update({
    'predict': 'eps',  # or 'x', 'v'
    'loss': 'simple',  # or 'vlb', 'hybrid' (simple + vlb_weight * vlb, for the variance only)
    'weighting': 'own',  # of the squared error; or of x's: 'snr', 'min_snr_5'
    'vlb_weight': 0.001,  # in the hybrid loss, of the bound in bits/dim
    'times': 'uniform',  # or 'importance', for the vlb loss
    'variance': 'fixed_large',  # or 'fixed_small', 'learned'
    'conditional': False,  # on the data's classes
    'label_drop': 0.0,  # probability of training an example without its label
  })  # fmt: skip
  config.sample.update(
    {
      'sampler': 'ancestral',  # or 'ddim', 'dpmpp_2m'
      'steps': 0,  # how many of T; 0: all
      'spacing': 't',  # or 'gamma': in what they are evenly spaced
      'eta': 0.0,  # of ddim: 0 deterministic, 1 ancestral
      'frames': 'state',  # in process.png z; or 'guess': x_hat
      'clip': True,  # x_hat to the data's range, in sampling and bits/dim
      'guidance': 1.0,  # classifier-free: 0 unconditional, 1 conditional, more: guided
      'classifier': '',  # workdir of a classifier that guides
      'classifier_scale': 1.0,  # of its gradient
    }
  )
  return config


def vdm():
  """A variational diffusion model with the settings of Kingma et al. 2021 for CIFAR-10."""
  config = common()
  config.family = 'vdm'
  config.net = vdm_unet()
  config.optim.net.update({'warmup': 100, 'b2': 0.99, 'weight_decay': 0.01, 'clip': 0.0})
  config.model = {
    'gamma': 'learned_linear',  # or 'fixed_linear', 'learned_net'
    'gamma_min': -13.3,  # at t = 0; where a learned one begins
    'gamma_max': 5.0,  # at t = 1
    'gamma_objective': 'none',  # of the interior of learned_net; or 'vlb', 'variance'
    'steps': 0,  # T; 0: continuous time
    'center': (),  # image = f * spread + center, per channel; (): f in [-1, 1]
    'spread': (),
    'latent': 0,  # size of a learned latent vector that is diffused; 0: the pixels are
    'conditional': False,  # on the data's classes
    'label_drop': 0.0,  # probability of training an example without its label
    'augment': False,  # flips and quarter turns, of which the net is told
    'fidelity_every': 0,  # so many steps, one is on |f - x_hat|^2 after a shortcut; 0: never
    'fidelity_few': 10,  # of fidelity_steps, which that shortcut takes
    'fidelity_steps': 200,
  }
  config.sample.update(
    {
      'sampler': 'ancestral',  # or 'ddim', 'dpmpp_2m', 'shortcut'
      'steps': 1000,
      'few': 10,  # of shortcut: how many of the steps, drawn for each image
      'noise': 'fixed',  # of shortcut; or 'predicted', 'fresh'
      'eta': 0.0,  # of ddim
      'frames': 'state',  # in process.png z; or 'guess': x_hat
      'guidance': 1.0,  # classifier-free: 0 unconditional, 1 conditional, more: guided
    }
  )
  return config


def bfn():
  """A Bayesian flow network."""
  config = common()
  config.family = 'bfn'
  config.model = {
    'kind': 'discretised',  # or 'continuous'; 'discrete': each level a class
    'steps': 0,  # n of the n-step loss; 0: continuous time
    'samples': 10,  # of the sender, for the n-step loss of discretised and discrete data
    'sigma_1': 1e-3,  # of continuous and discretised data; 16 bins: 1e-3 ** 0.5
    'final_spread': 1.0,  # of sigma_1, in the likelihood of continuous data; 16 bins: 0.7
    'beta_1': 9.0,  # of discrete data: 9 as in the authors' code, 3 as in the paper
    'conditional': False,  # on the data's classes
    'label_drop': 0.0,  # probability of training an example without its label
  }
  config.sample.update(
    {
      'steps': 100,
      'final': 'mode',  # or 'draw', of the last output distribution
      'frames': 'state',  # in process.png the input distribution; or 'guess': the output one
      'guidance': 1.0,  # classifier-free: 0 unconditional, 1 conditional, more: guided
    }
  )
  return config


def dcgan_nets():
  """The generator and the discriminator of Radford et al. 2016, for any square image."""
  return ConfigDict({'name': 'dcgan_nets', 'features': 64})


def ncsnpp():
  """The generator of Xiao et al. 2022 for CIFAR-10."""
  return ConfigDict(
    {
      'name': 'ncsnpp',
      'channels': 128,
      'multipliers': (1, 2, 2, 2),
      'blocks': 2,
      'attention': (16,),
      'style': 256,  # width of the latent's mapping to gains and shifts
      'mapping': 4,  # its hidden layers
      'dtype': 'float32',
    }
  )


def adversarial(family):
  """Two players with Adam as GANs are used to."""
  config = common()
  config.family = family
  players = ('discriminator', 'generator')
  config.optim = {player: optimizer() for player in players}
  for player in players:
    config.optim[player].update({'b1': 0.5, 'clip': 0.0})
  return config


def dcgan():
  """DCGAN with the settings of Radford et al. 2016."""
  config = adversarial('dcgan')
  config.net = dcgan_nets()
  config.ema = 0.0  # the last parameters: running statistics belong to them
  config.model = {
    'latent': 100,
    'real_label': 1.0,  # what the discriminator is to say of real images
    'fake_label': 0.0,
    'generator_label': 1.0,  # what the generator wants it to say
    'noise': 0.0,  # standard deviation of what is added to images for the discriminator,
    'noise_steps': 0,  # fading to 0 over so many steps
    'conditional': False,  # on the data's classes
  }
  return config


def ddgan():
  """The denoising-diffusion GAN with the settings of Xiao et al. 2022 for CIFAR-10."""
  config = adversarial('ddgan')
  config.net = ncsnpp()
  config.discriminator = {'channels': 128, 'multipliers': (1, 2, 4, 4), 'embedding': 256}
  config.model = {
    'steps': 4,  # T
    'latent': 100,
    'r1': 0.02,  # gradient penalty on real images,
    'r1_every': 15,  # at every so many steps
  }
  for player, rate in (('discriminator', 1.25e-4), ('generator', 1.6e-4)):
    config.optim[player].update({'learning_rate': rate, 'b2': 0.9, 'schedule': 'cosine'})
  config.sample.frames = 'state'  # in process.png x; or 'guess': x_0
  return config


def cold():
  """Cold diffusion with averaged columns."""
  config = common()
  config.family = 'cold'
  config.model = {
    'degradation': 'columns',  # or 'rows', 'blur'
    'group': 1,  # columns or rows that go in one step
    'order': 'random',  # of columns and rows; or 'outside_in', 'inside_out'
    'order_seed': 0,  # of the random order
    'steps': 20,  # T of blur; of columns and rows their number over `group`
    'loss': 'l1',  # or 'mse'
    'components': 10,  # of the Gaussian mixture that sampling may start from
  }
  config.sample.update(
    {
      'sampler': 'improved',  # Bansal et al.'s algorithm 2; or 'naive', their algorithm 1
      'start': 'gmm',  # or 'gaussian', fitted to degraded images; 'real': those, a reconstruction
      'start_noise': 0.002,  # standard deviation of noise added to the start
      'frames': 'state',  # in process.png x; or 'guess': x_hat
    }
  )
  return config


def variants(config, words, *groups):
  """The config with the changes of comma-separated words, as in --config=configs/x.py:cosine,tiny.

  A group is {word: {dotted key: value}}, and at most one word of each may be given; 'tiny' comes
  with every experiment. Raises UserError for an unknown word or two of a group.
  """
  config.lock()  # a change of a key that is not there is an error
  words = [word for word in words.split(',') if word]
  known = [word for group in groups for word in group] + ['tiny']
  for word in words:
    if word not in known:
      raise UserError(f'unknown variant {word!r}: choose from {", ".join(known)}')
  for group in groups:
    given = [word for word in words if word in group]
    if len(given) > 1:
      raise UserError(f'variants {" and ".join(given)} exclude each other')
    for word in given:
      config.update_from_flattened_dict(group[word])
  return shrink(config) if 'tiny' in words else config


def shrink(config):
  """The same experiment with a tiny net, 32 diffusion steps and four training steps."""
  small = {
    'channels': 8,
    'multipliers': (1,),
    'blocks': 1,
    'attention': (),
    'heads': 1,
    'widths': (4, 4),
    'kernel': 3,
    'hidden': 8,
    'width': 8,
    'layers': 1,
    'features': 4,
    'style': 8,
    'mapping': 1,
    'embedding': 8,
  }
  for net in (config.net, config.get('discriminator', ConfigDict())):
    net.update({k: v for k, v in small.items() if k in net and type(v) is type(net[k])})
  if 'schedule' in config.model:
    config.model.steps = 32
    config.model.rescale_betas = config.model.schedule == 'linear'
  for optim in config.optim.values():
    optim.warmup = 0
  config.sample.n = 8
  if 'steps' in config.sample:
    config.sample.steps = min(config.sample.steps, 8)
  if 'samples' in config.model:
    config.model.samples = 2
  if 'few' in config.sample:
    config.sample.few = config.model.fidelity_few = 4
  config.train.update({
    'steps': 4, 'batch_size': 8, 'inner_steps': 1, 'log_every': 2, 'eval_every': 4,
    'eval_batches': 1, 'sample_every': 4, 'save_every': 2, 'fd_proxy': False,
  })  # fmt: skip
  return config
