"""The tables that scripts/reproduce.py makes anew: data, no code. Published numbers are quoted.

TABLES[name] has
  title, source  what the table is, and where its numbers were published
  data           the name of its data set
  note           what a reader should know (optional)
  trilemma       whether its rows are points of one figure: quality, coverage and speed (optional)
  measures       {column: what is measured}: `metric` (trilemma/reproduce.py lists them), `flags` of
                 scripts/evaluate.py for this column, `tolerance` within which ours counts as
                 reproduced, `extractor` that the published number is of, `unlike`: in what else the
                 published number is another one than ours
  flags          of scripts/evaluate.py, for all rows; an extractor 'run:x' is what a run of
                 configs/x.py makes
  rows           {row: `config`, as after --config=configs/; `set`, settings over it; `flags`;
                 `published`, {column: number}, or `said`, what was published in words of the
                 first column}. Real images have `images` instead of a config
  budgets        {'cpu' or 'gpu': what is scaled: `set`, `flags`}, and in a row also `config`.
                 'paper' scales nothing, 'smoke' is 'cpu' with :tiny
  minutes        {budget: what it took, and on what}, where all of it was run
"""

DISTANCE = {'metric': 'fd'}
QUALITY = {
  'distance': DISTANCE, 'precision': {'metric': 'precision'}, 'recall': {'metric': 'recall'},
  'seconds per image': {'metric': 'seconds_per_image'},
}  # fmt: skip
BITS = {'metric': 'bits'}
# Inception's weights are not everybody's, and its features are slow on a CPU
INCEPTION = {'extractor': 'inception'}
LENET = {'extractor': ''}  # this project's own
LENET_16 = {'extractor': 'run:cifar10_classifier:lenet,r16'}
DDIM = {'sampler': 'ddim', 'steps': 20}
THIN = {'net.channels': 16}
NOISE = (
  'With the budget cpu diffusion models see so few images that their samples are noise: it shows '
  'that the commands work, not how good the models are.'
)
# a picture of training's own takes all steps of the sampler: longer than so short a training
NO_PICTURE = {'train.sample_every': 0}


def published(metric, tolerance):
  """A column whose published number is of Inception's features, or of none."""
  features = INCEPTION if metric in ('fd', 'is') else {}
  return {'metric': metric, 'tolerance': tolerance, **features}


FID, IS = published('fd', 0.3), published('is', 0.2)

# --- DTU report: {schedule, attention: distance to training images, to test images} ---
DTU_FD = {
  'metric': 'fd',
  'unlike': 'theirs is the mean over mini-batches of distances between ten logits of a classifier '
  'of grey 28x28 digits',
}
DTU_MEASURES = {
  'to training images': DTU_FD, 'to test images': {**DTU_FD, 'flags': {'reference': 'test'}},
}  # fmt: skip
DTU_MNIST = {
  'linear,no_attention': (2.286, 2.803),
  'linear,attention': (2.849, 3.490),
  'cosine,no_attention': (2.105, 2.724),
  'cosine,attention': (1.766, 2.385),
}
DTU_CIFAR10 = {
  'linear,no_attention': (0.114, 0.128),
  'linear,attention': (0.165, 0.153),
  'cosine,no_attention': (49.393, 49.058),
  'cosine,attention': (14.565, 14.508),
}


def dtu(config, numbers, cpu):
  """Its rows; cpu(words) is what a row has less of there."""
  return {
    words.replace('no_', 'no ').replace(',', ', '): {
      'config': f'{config}:{words},report',
      'published': {'to training images': train, 'to test images': test},
      'budgets': {'cpu': cpu(words)},
    } for words, (train, test) in numbers.items()
  }  # fmt: skip


# --- cats report: its distances are of 1,000 images ---
CATS = {
  'metric': 'fd', 'unlike': 'theirs is of 1,000 images, fewer than Inception has features',
}  # fmt: skip
CATS_DDPM = {
  '2xUD, half the channels': ('2xud_half', 114.710),
  '2xUD': ('2xud', 100.144),
  '3xBlocks': ('3xblocks', 118.501),
  '3xBlocks, cosine': ('3xblocks,cosine', 115.949),
  '2xUD, cosine': ('2xud,cosine', 97.275),
}
CATS_GAN = {
  'GAN, 1,024 epochs, smoothed': ('smoothed,epochs1024', 125.629, 400),
  'GAN, 1,024 epochs': ('epochs1024', 109.09, 400),
  'GAN, 512 epochs': ('epochs512', 113.311, 200),
}
# attention to 32x32 pixels by four heads: 3 images a second
LITTLE = {
  'set': {
    'train.steps': 20,
    'train.batch_size': 16,
    **THIN,
    **NO_PICTURE,
    'train.fd_proxy': False,
  },
  'flags': {'sampler': 'ddim', 'steps': 10},
}
HALF = {**LITTLE, 'set': {**LITTLE['set'], 'net.channels': 8}}


def long_runs(configs, epochs):
  """Rows of {name: config}, each after {epochs: steps with the budget cpu} of 469 steps."""
  return {
    f'{name}, {n} epoch{"s" * (n > 1)}': {
      'config': config, 'set': {'train.steps': round(46.9 * n) * 10},
      **({} if 'rescaled' in config else {'said': 'left blank'}),
      'budgets': {'cpu': {'set': {'train.steps': steps}}},
    } for name, config in configs.items() for n, steps in epochs.items()
  }  # fmt: skip


STEPS = {'raw': (20, 50, 100, 500, 1000), 'rescaled': (50, 100, 500)}
IDDPM = {
  'linear,simple': (3.37, 2.90),
  'linear,hybrid': (3.26, 3.07),
  'cosine,simple': (3.26, 3.05),
  'cosine,hybrid': (3.17, 3.19),
  'cosine,vlb': (2.94, 11.47),
}
BFN = {  # bits/dim after so many steps
  'discretised, 256 bins': ('discretised,256', 2.68, 5_000_000),
  'continuous, 256 bins': ('continuous,256', 2.66, 5_000_000),
  'discretised, 16 bins': ('discretised,16', 0.92, 1_000_000),
  'continuous, 16 bins': ('continuous,16', 0.96, 250_000),
}
# the net of VDM and BFN has no smaller resolutions
VDM_UNET_CPU = {
  'set': {
    'train.steps': 200,
    'train.batch_size': 16,
    'net.channels': 16,
    'net.blocks': 4,
    **NO_PICTURE,
  },
  'flags': {'bits_n': 64, 'steps': 20},
}

TABLES = {
  'demo': {
    'title': 'Three families on 8x8 digits',
    'source': '',
    'data': 'digits',
    'trilemma': True,
    'measures': {**QUALITY, 'bits/dim': BITS},
    'flags': {'n': 700, 'bits_n': 50},
    'rows': {
      'DDPM': {'config': 'digits_ddpm'},
      'VDM': {'config': 'digits_vdm'},
      'BFN': {'config': 'digits_bfn'},
    },
    'budgets': {'cpu': {'set': {'train.steps': 1000}, 'flags': {'steps': 50}}, 'gpu': {}},
    'minutes': {'cpu': '9 minutes on 2 CPU cores (AMD EPYC)'},
  },
  'digits': {
    'title': 'The trilemma on 8x8 digits: every family',
    'source': '',
    'data': 'digits',
    'trilemma': True,
    'measures': QUALITY,
    'flags': {'n': 700},
    'rows': {
      'DDPM': {'config': 'digits_ddpm'},
      'VDM': {'config': 'digits_vdm'},
      'BFN': {'config': 'digits_bfn'},
      'denoising-diffusion GAN': {'config': 'digits_ddgan'},
      'DCGAN': {'config': 'digits_dcgan'},
      'cold diffusion': {'config': 'digits_cold'},
      'cold diffusion, naive': {'config': 'digits_cold', 'flags': {'sampler': 'naive'}},
      'cold diffusion, reconstructions': {'config': 'digits_cold', 'flags': {'start': 'real'}},
    },
    'budgets': {'cpu': {}, 'gpu': {}},
    'minutes': {'cpu': '32 minutes on 2 CPU cores (AMD EPYC)'},
  },
  'mnist': {
    'title': 'The trilemma on MNIST',
    'source': '',
    'data': 'mnist',
    'note': "BFN's configuration is of binarised digits, whose real images are others: bfn_mnist "
    'has it.',
    'trilemma': True,
    'measures': QUALITY,
    'flags': {'n': 10_000},
    'rows': {
      'DDPM': {
        'config': 'mnist_ddpm:cosine', 'budgets': {'cpu': {'set': THIN, 'flags': {'steps': 20}}},
      },
      'VDM': {'config': 'mnist_vdm', 'budgets': {'cpu': {'set': THIN, 'flags': DDIM}}},
      'denoising-diffusion GAN': {
        'config': 'mnist_ddgan:t4',
        'budgets': {'cpu': {'set': {'train.steps': 1500}}},
      },
      'DCGAN': {'config': 'mnist_dcgan'},
      'cold diffusion': {'config': 'mnist_cold', 'budgets': {'cpu': {'set': THIN}}},
      'cold diffusion, reconstructions': {
        'config': 'mnist_cold', 'flags': {'start': 'real'}, 'budgets': {'cpu': {'set': THIN}},
      },
    },
    'budgets': {
      'cpu': {'set': {'train.steps': 1000, 'train.batch_size': 32}, 'flags': {'n': 1000}},
      'gpu': {},
    },
    'minutes': {'cpu': '32 minutes on 2 CPU cores (AMD EPYC)'},
  },
  'dtu_mnist': {
    'title': 'DDPM on MNIST: schedule and attention',
    'source': 'DTU report, table 1',
    'data': 'mnist',
    'measures': DTU_MEASURES,
    'flags': {'n': 8192},
    'rows': dtu('mnist_ddpm', DTU_MNIST, lambda words: {'config': f'mnist_ddpm:{words}'}),
    'budgets': {
      'cpu': {
        'set': {'train.steps': 1200, 'train.batch_size': 32, **THIN},
        'flags': {'n': 1000, **DDIM},
      },
      'gpu': {'flags': {'sampler': 'ddim', 'steps': 100}},
    },
    'minutes': {'cpu': '35 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'dtu_cifar10': {
    'title': 'DDPM on CIFAR-10: schedule and attention',
    'source': 'DTU report, table 2',
    'data': 'cifar10',
    'note': NOISE,
    'measures': DTU_MEASURES,
    'flags': {'n': 8192, **INCEPTION},
    'rows': dtu('cifar10_ddpm', DTU_CIFAR10, lambda words: {}),
    'budgets': {
      'cpu': {
        'set': {'train.steps': 100, 'train.batch_size': 32, **THIN, **NO_PICTURE},
        'flags': {'n': 500, **DDIM, **LENET},
      },
      'gpu': {
        'set': {'train.steps': 5000}, 'flags': {'sampler': 'ddim', 'steps': 100, **LENET},
      },
    },
    'minutes': {'cpu': '22 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cats': {
    'title': 'DDPM and DCGAN on CIFAR-10 cats',
    'source': 'cats report, where real against real is 49.8',
    'data': 'cifar10',
    'note': NOISE,
    'measures': {'distance': CATS},
    'flags': {'n': 2400, **INCEPTION},
    'rows': {
      **{
        row: {
          'config': f'cifar10_cats_ddpm:{words}', 'published': {'distance': number},
          'budgets': {
            'cpu': HALF if 'half' in words else LITTLE, 'gpu': {'set': {'train.steps': 5000}},
          },
        } for row, (words, number) in CATS_DDPM.items()
      },
      **{
        row: {
          'config': f'cifar10_dcgan_cats:{words}', 'published': {'distance': number},
          'budgets': {
            'cpu': {
              'set': {
                'train.steps': steps,
                # as of 80,000, it fades over a quarter
                **({'model.noise_steps': steps // 4} if 'smoothed' in words else {}),
              },
            },
          },
        } for row, (words, number, steps) in CATS_GAN.items()
      },
    },
    'budgets': {
      'cpu': {'set': {'train.batch_size': 32}, 'flags': {'n': 100, **LENET}},
      'gpu': {'flags': LENET},
    },
    'minutes': {'cpu': '31 minutes on 2 CPU cores (AMD EPYC)'},
  },
  'cats_conditional': {
    'title': 'Conditional on CIFAR-10 cats and frogs',
    'source': 'cats report',
    'data': 'cifar10',
    'note': NOISE,
    'measures': {
      'distance of frogs': {**CATS, 'flags': {'label': 'frog'}},
      'distance of cats': {**CATS, 'flags': {'label': 'cat'}},
    },
    'flags': {'n': 2400, **INCEPTION},
    'rows': {
      'diffusion': {
        'config': 'cifar10_cats_ddpm:2xud,frogs',
        'published': {'distance of frogs': 70.517, 'distance of cats': 102.894},
        'budgets': {'cpu': LITTLE, 'gpu': {'set': {'train.steps': 10_000}}},
      },
      'GAN': {
        'config': 'cifar10_dcgan_cats:conditional',
        'published': {'distance of frogs': 181.748, 'distance of cats': 231.707},
        'budgets': {'cpu': {'set': {'train.steps': 500}}},
      },
    },
    'budgets': {
      'cpu': {'set': {'train.batch_size': 32}, 'flags': {'n': 100, **LENET}},
      'gpu': {'flags': LENET},
    },
    'minutes': {'cpu': '10 minutes on 2 CPU cores (AMD EPYC)'},
  },
  'cats_floors': {
    'title': 'How far training images are from test images, by their number',
    'source': 'cats report',
    'data': 'cifar10',
    'note': 'Of which classes theirs is, is not said; there are 6,000 cats. 0.05 is implausible '
    'for disjoint sets, and no target. With the budget paper only the last row can be made: '
    'Inception has 2,048 features and needs more images than that.',
    'measures': {
      'distance': {
        'metric': 'fd', 'unlike': 'theirs is of fewer images than Inception has features',
      },
    },
    'flags': INCEPTION,
    'rows': {
      '500 images': {
        'images': 'split:test', 'flags': {'n': 500}, 'published': {'distance': 87},
      },
      '1,000 images': {
        'images': 'split:test', 'flags': {'n': 1000}, 'published': {'distance': 49.838},
      },
      '10,000 images': {
        'images': 'split:test', 'flags': {'n': 10_000}, 'published': {'distance': 0.05},
      },
    },
    'budgets': {'cpu': {'flags': LENET}, 'gpu': {'flags': LENET}},
    'minutes': {'cpu': '2 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cats_timesteps': {
    'title': 'DDPM on CIFAR-10 cats by its number of steps',
    'source': 'cats report',
    'data': 'cifar10',
    'note': NOISE,
    'measures': {'distance': CATS},
    'flags': {'n': 2400, **INCEPTION},
    'rows': {
      f'T = {t}': {
        'config': f'cifar10_cats_ddpm:2xud,t{t}', 'said': 'no visible difference',
        'budgets': {'cpu': LITTLE, 'gpu': {'set': {'train.steps': 5000}}},
      } for t in (500, 1000, 1500)
    },
    'budgets': {
      'cpu': {'set': {'train.batch_size': 32}, 'flags': {'n': 100, **LENET}},
      'gpu': {'flags': LENET},
    },
    'minutes': {'cpu': '23 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cambridge': {
    'title': 'DDPM with a shallow CNN on MNIST, by epochs',
    'source': 'Cambridge report, tables 1.1 and 1.2',
    'data': 'mnist',
    'note': 'The second setting, with T = 100 and raw betas, does not reach noise: its samples '
    'start where its training never was. Rescaled betas mend it.',
    'measures': {'distance': DISTANCE, 'inception score': {'metric': 'is'}},
    'flags': {'n': 10_000},
    'rows': long_runs(
      {
        'first': 'mnist_cnn_ddpm:first', 'second': 'mnist_cnn_ddpm:second',
        'second, rescaled': 'mnist_cnn_ddpm:second,rescaled',
      },
      {1: 50, 10: 200, 100: 800},
    ),
    'budgets': {
      'cpu': {'set': {'train.batch_size': 64}, 'flags': {'n': 500, **DDIM}},
      'gpu': {'flags': {'sampler': 'ddim', 'steps': 50}},
    },
    'minutes': {'cpu': '34 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cambridge_cold': {
    'title': 'Cold diffusion on MNIST, by epochs',
    'source': 'Cambridge report, table 2.1',
    'data': 'mnist',
    'note': "The report starts from real images, degraded: its numbers are reconstructions'.",
    'measures': {'distance': DISTANCE, 'inception score': {'metric': 'is'}},
    'flags': {'n': 10_000},
    'rows': {
      f'{row}{end}': {
        **{k: v for k, v in of.items() if k != 'said' or start == 'real'},
        'flags': {'start': start},
      }
      for end, start in ((', reconstructions', 'real'), (', samples', 'gmm'))
      for row, of in long_runs(
        {'columns': 'mnist_cold:columns,random,mse,report'}, {1: 50, 10: 200, 100: 800}
      ).items()
    },
    'budgets': {'cpu': {'set': {'train.batch_size': 64}, 'flags': {'n': 1000}}, 'gpu': {}},
    'minutes': {'cpu': '20 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cs726_steps': {
    'title': 'DDPM on 16x16 airplanes by its number of steps',
    'source': 'CS726 report, by eye',
    'data': 'cifar10',
    'note': 'Raw betas leave signal at the end where T is small, though sampling starts from none; '
    'rescaled ones do not; they reach 1 at T = 20, which is refused, and are raw at T = 1000. '
    + NOISE,
    'measures': {
      'distance': DISTANCE,
      'seconds per image': {'metric': 'seconds_per_image', 'unlike': 'of another machine'},
    },
    'flags': {'n': 2400, **INCEPTION},
    'rows': {
      f'T = {t}, {betas} betas': {
        'config': f'cifar10_airplanes_ddpm:t{t},{betas}',
        **({'said': 'noise' if t < 500 else 'good'} if betas == 'raw' else {}),
        **({'published': {'seconds per image': 9}} if (t, betas) == (1000, 'raw') else {}),
      } for betas, steps in STEPS.items() for t in steps
    },
    'budgets': {
      'cpu': {
        'set': {'train.steps': 200, 'train.batch_size': 64, **THIN, **NO_PICTURE},
        'flags': {'n': 100, **LENET_16},
      },
      'gpu': {'set': {'train.steps': 5000}, 'flags': LENET_16},
    },
    'minutes': {'cpu': '36 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cs726_vdm': {
    'title': 'Latent VDM on binarised MNIST by training steps',
    'source': 'CS726 report',
    'data': 'mnist',
    'measures': {'bits/dim': BITS, 'distance': DISTANCE},
    'flags': {'n': 10_000, 'bits_n': 1000},
    'rows': {
      f'{steps:,} steps': {
        'config': 'cifar10_vdm_latent_conditional:mnist', 'set': {'train.steps': steps},
        'said': 'no number', 'budgets': {'cpu': {'set': {'train.steps': few}}},
      } for steps, few in ((500, 500), (2000, 2000), (50_000, 5000))
    },
    'budgets': {'cpu': {'flags': {'n': 1000, 'bits_n': 200, 'steps': 100}}, 'gpu': {}},
    'minutes': {'cpu': '15 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cs726_ddgan': {
    'title': 'Denoising-diffusion GAN with eight steps',
    'source': 'CS726 report',
    'data': 'mnist',
    'note': 'The report drew its fakes by diffusing the guess forward instead of from the '
    "posterior; tests/test_gan.py shows why that cannot work. Its images are not MNIST's.",
    'measures': QUALITY,
    'flags': {'n': 10_000},
    'rows': {
      'T = 8': {
        'config': 'mnist_ddgan:t8', 'set': {'model.latent': 128}, 'said': 'black images',
      },
    },
    'budgets': {
      'cpu': {'set': {'train.steps': 500, 'train.batch_size': 64}, 'flags': {'n': 1000}},
      'gpu': {},
    },
    'minutes': {'cpu': '23 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'cs726_shortcut': {
    'title': 'Shortcut MCMC on the swirl',
    'source': 'CS726 report and Chen 2023, pictures only',
    'data': 'swirl',
    'note': 'With the budget cpu and K = 200 all 100 steps on the fidelity were skipped: from an '
    'untrained net, gradients through so long a chain overflow.',
    'measures': {
      'sliced Wasserstein': {'metric': 'swd'}, 'net calls': {'metric': 'nfe'},
      'seconds per image': {'metric': 'seconds_per_image'},
    },
    'flags': {'n': 1024, 'batch': 1024},
    'rows': {
      'VDM, ancestral, 200 steps': {
        'config': 'swirl_vdm', 'flags': {'sampler': 'ancestral', 'steps': 200},
      },
      **{
        f'{name}, shortcut, K = {k}': {
          'config': config, 'flags': {'sampler': 'shortcut', 'few': k},
          'budgets': {'cpu': {'set': {'train.steps': steps}}},
        }
        for k in (10, 200)
        for name, config, steps in (
          ('VDM', 'swirl_vdm', 5000),
          ('with fidelity', f'swirl_vdm_shortcut:k{k}', 2000 if k == 10 else 200),
        )
      },
    },
    'budgets': {'cpu': {'set': {'train.steps': 5000}}, 'gpu': {}},
    'minutes': {'cpu': '12 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'probai_guidance': {
    'title': 'Classifier-free guidance on MNIST',
    'source': 'ProbAI report, pictures only',
    'data': 'mnist',
    'note': 'The report, in words: good 2s from epoch 16 of 30 on, 4 and 8 weak.',
    'measures': {**QUALITY, 'inception score': {'metric': 'is'}},
    'flags': {'n': 10_000},
    'rows': {
      f'scale {scale}': {'config': 'mnist_guided_ddpm', 'flags': {'guidance': scale}}
      for scale in (0, 1, 2, 4)
    },
    'budgets': {
      'cpu': {
        'set': {'train.steps': 2400, 'train.batch_size': 32, **THIN},
        'flags': {'n': 500, **DDIM},
      },
      'gpu': {},
    },
    'minutes': {'cpu': '21 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'probai_bfn': {
    'title': 'How soon BFN and DDPM know what they draw',
    'source': 'ProbAI report, by eye',
    'data': 'mnist',
    'note': 'Right are guesses that are 0.05 of the range, or less, from the final images: the '
    "mean over pixels and images. BFN's images are binarised, DDPM's are grey and drawn by DDIM.",
    'measures': {'part of the steps until the guess is right': {'metric': 'settled'}},
    'flags': {'n': 100, 'steps': 1000},
    'rows': {
      'BFN': {
        'config': 'mnist_bfn:beta3', 'said': 'about a third',
        'set': {'train.steps': 11_700, 'train.batch_size': 512},
      },
      'DDPM': {
        'config': 'mnist_ddpm:linear,attention', 'said': 'noisy until the last steps',
        'set': {'train.steps': 14_070, 'train.batch_size': 128},
      },
    },
    'budgets': {
      'cpu': {
        'set': {'train.steps': 1200, 'train.batch_size': 32, **THIN},
        'flags': {'n': 32, 'steps': 100},
      },
      'gpu': {'flags': {'steps': 100}},
    },
    'minutes': {'cpu': '15 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'ddpm': {
    'title': 'DDPM on CIFAR-10',
    'source': 'Ho et al. 2020',
    'data': 'cifar10',
    'note': 'Confirmed by a second source are 3.17 and 9.46; 3.75 is quoted from memory. ' + NOISE,
    'measures': {
      'FID': FID, 'inception score': IS, 'bits/dim': published('bits', 0.02),
    },
    'flags': {'n': 50_000, 'bits_n': 10_000, **INCEPTION},
    'rows': {
      'simple loss': {
        'config': 'cifar10_ddpm',
        'published': {'FID': 3.17, 'inception score': 9.46, 'bits/dim': 3.75},
      },
    },
    'budgets': {
      'cpu': {
        'set': {
          'train.steps': 200, 'train.batch_size': 16, 'net.channels': 32, 'optim.net.warmup': 20,
          **NO_PICTURE,
        },
        'flags': {'n': 200, 'bits_n': 2, **DDIM, **LENET},
      },
      'gpu': {
        'set': {'train.steps': 40_000},
        'flags': {'n': 5000, 'bits_n': 100, 'sampler': 'ddim', 'steps': 100, **LENET},
      },
    },
    'minutes': {'cpu': '9 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'iddpm': {
    'title': 'Improved DDPM on CIFAR-10',
    'source': 'Nichol and Dhariwal 2021, table 2',
    'data': 'cifar10',
    'note': 'Confirmed by a second source are 2.94 bits/dim and the distances 2.90 and 3.19; the '
    'others are quoted from memory. ' + NOISE,
    'measures': {'bits/dim': published('bits', 0.05), 'FID': FID},
    'flags': {'n': 50_000, 'bits_n': 10_000, **INCEPTION},
    'rows': {
      'T = 1000, linear, simple': {
        'config': 'cifar10_iddpm:linear,simple', 'set': {'model.steps': 1000},
        'published': {'bits/dim': 3.73, 'FID': 3.29},
      },
      **{
        f'T = 4000, {words.replace(",", ", ")}': {
          'config': f'cifar10_iddpm:{words}', 'published': {'bits/dim': bits, 'FID': distance},
        } for words, (bits, distance) in IDDPM.items()
      },
    },
    'budgets': {
      'cpu': {
        'set': {
          'train.steps': 40, 'train.batch_size': 16, 'net.channels': 32, 'net.blocks': 1,
          **NO_PICTURE,
        },
        'flags': {'n': 200, 'bits_n': 2, 'sampler': 'ddim', 'steps': 10, **LENET},
      },
      'gpu': {
        'set': {'train.steps': 5000},
        'flags': {'n': 2400, 'bits_n': 16, 'sampler': 'ddim', 'steps': 50, **LENET},
      },
    },
    'minutes': {'cpu': '31 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'vdm': {
    'title': 'VDM on CIFAR-10',
    'source': 'Kingma et al. 2021',
    'data': 'cifar10',
    'note': 'The FID published for a model trained by its likelihood, as these are, is 7.41. '
    + NOISE,
    'measures': {'bits/dim': published('bits', 0.02)},
    'flags': {'bits_n': 10_000, 'steps': 1000},
    'rows': {
      'without augmentation': {'config': 'cifar10_vdm', 'published': {'bits/dim': 2.65}},
      'with augmentation': {
        'config': 'cifar10_vdm_aug:paper', 'published': {'bits/dim': 2.49},
        'budgets': {
          'cpu': {'set': {'train.batch_size': 8}},
          'gpu': {'set': {'train.steps': 500, 'train.batch_size': 64}},
        },
      },
    },
    'budgets': {
      'cpu': VDM_UNET_CPU,
      'gpu': {'set': {'train.steps': 3000}, 'flags': {'bits_n': 1000, 'steps': 100}},
    },
    'minutes': {'cpu': '22 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'bfn_mnist': {
    'title': 'BFN on binarised MNIST',
    'source': 'Graves et al. 2023',
    'data': 'mnist',
    'measures': {'nats per image': published('nats', 0.5)},
    'flags': {'bits_n': 10_000, 'steps': 1000},
    'rows': {
      'continuous time': {
        'config': 'mnist_bfn:paper', 'published': {'nats per image': 77.87},
        'budgets': {'cpu': {'config': 'mnist_bfn'}},
      },
    },
    'budgets': {
      'cpu': {
        'set': {'train.steps': 3000, 'train.batch_size': 32, **THIN},
        'flags': {'bits_n': 512, 'steps': 50},
      },
      'gpu': {'set': {'train.steps': 8000}, 'flags': {'steps': 100}},
    },
    'minutes': {'cpu': '20 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'bfn_cifar10': {
    'title': 'BFN on CIFAR-10',
    'source': 'Graves et al. 2023',
    'data': 'cifar10',
    'note': 'Confirmed by a second source is 2.66; the others are quoted from memory. ' + NOISE,
    'measures': {'bits/dim': published('bits', 0.02)},
    'flags': {'bits_n': 10_000, 'steps': 1000},
    'rows': {
      row: {
        'config': f'cifar10_bfn:{words}', 'set': {'train.steps': steps},
        'published': {'bits/dim': number},
      } for row, (words, number, steps) in BFN.items()
    },
    'budgets': {
      'cpu': VDM_UNET_CPU,
      'gpu': {'set': {'train.steps': 5000}, 'flags': {'bits_n': 1000, 'steps': 100}},
    },
    'minutes': {'cpu': '23 minutes on one CPU core (AMD EPYC), the other busy'},
  },
  'ddgan': {
    'title': 'Denoising-diffusion GAN on CIFAR-10 by its number of steps',
    'source': 'Xiao et al. 2022',
    'data': 'cifar10',
    'note': 'Confirmed by a second source is the distance at T = 4; the others are quoted from '
    'memory. With the budget cpu 40 steps of training make blobs.',
    'measures': {
      'FID': FID, 'recall': {'metric': 'recall', 'unlike': 'theirs is of VGG features'},
    },
    'flags': {'n': 50_000, **INCEPTION},
    'rows': {
      f'T = {t}': {
        'config': 'cifar10_ddgan', 'set': {'model.steps': t},
        'published': {'FID': distance, 'recall': recall},
      } for t, distance, recall in (
        (1, 14.6, 0.19), (2, 4.08, 0.54), (4, 3.75, 0.57), (8, 4.36, 0.56),
      )
    },
    'budgets': {
      'cpu': {
        'set': {
          'train.steps': 40, 'train.batch_size': 16, 'net.channels': 16, 'net.blocks': 1,
          'discriminator.channels': 16,
        },
        'flags': {'n': 300, **LENET},
      },
      'gpu': {'set': {'train.steps': 5000, 'train.batch_size': 128}, 'flags': {'n': 5000, **LENET}},
    },
    'minutes': {'cpu': '17 minutes on one CPU core (AMD EPYC), the other busy'},
  },
}  # fmt: skip
