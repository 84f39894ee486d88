"""The model files of the face parser."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile

PARSER = WeightFile(
    name="parser",
    source=Bundled(),
    filename="parser/parser.safetensors",
    sha256="16fc4642cbf4413bcba9da6db18627727c58c96c71dbb39f7bb317e344bcf102",
    size=3484038,
    licence="CelebAMask-HQ terms: non-commercial research",
    card="parser/README.md",
)
WEIGHTS = (PARSER,)
