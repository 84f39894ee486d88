"""Faces in the generator's frame: alignment, mesh geometry, warps, and hair and background of another luminance. Imports no torch."""
