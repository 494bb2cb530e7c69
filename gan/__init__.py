"""Generative adversarial networks: DCGAN and the denoising-diffusion GAN."""
