"""Cold diffusion: degradations without noise (Bansal et al. 2022)."""
