"""The generator: a hierarchical conditional VAE with a linear prior, its latents and its training. Imports no torch."""
