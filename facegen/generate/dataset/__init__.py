"""From a folder of photographs to packed arrays that the generator is trained on. Imports no torch."""
