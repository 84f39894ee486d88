"""The model files that the swap itself uses: none, as the `mesh` engine is geometry; the faces room brings its own."""

from facegen.hub import WeightFile

WEIGHTS: tuple[WeightFile, ...] = ()
