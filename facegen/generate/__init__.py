"""Faces that do not exist, with five sliders: dataset, attributes, generator and pipeline. Imports no torch."""

import sys

from facegen import CallableRoom

# facegen.generate(...) is the function of facegen/api.py
sys.modules[__name__].__class__ = CallableRoom
