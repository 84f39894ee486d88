"""Learned harmonization of the mesh engine's drawing with the light of its frame."""
