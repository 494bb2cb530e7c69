"""Variational diffusion models (Kingma et al. 2021) with shortcut-MCMC sampling (Chen 2023)."""
