"""Denoising diffusion probabilistic models (Ho et al. 2020; Nichol and Dhariwal 2021)."""
