"""Faces that do not exist, with five sliders: dataset, attributes, generator and pipeline. Imports no torch."""
