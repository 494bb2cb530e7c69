"""Bayesian flow networks (Graves et al. 2023)."""
