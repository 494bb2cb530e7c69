"""The denoising-diffusion GAN of Xiao et al. 2022 on CIFAR-10.

python scripts/train.py --config=configs/cifar10_ddgan.py --workdir=runs/cifar10_ddgan
The players have 48,432,515 and 12,741,633 parameters. Quoted: Frechet Inception distance
3.75 with 4 steps after 1,200 epochs. Here the learning rates fall to 0 by a cosine over all steps,
there to 1e-5 by epochs. `t8` is the CS726 report's number.
"""

from configs import base, digits_ddgan


def get_config(variant=''):
  config = base.ddgan()
  config.data.update({'name': 'cifar10', 'flip': True})
  config.train.update({
    'steps': 234_000, 'batch_size': 256, 'eval_every': 5000, 'sample_every': 5000,
    'save_every': 5000,
  })  # fmt: skip
  return base.variants(config, variant, digits_ddgan.STEPS)
