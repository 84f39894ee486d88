"""Photographs that sliders change, and further directions in the latents. Imports no torch."""
