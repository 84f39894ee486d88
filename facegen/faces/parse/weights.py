"""The model files of the face parser."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile

PARSER = WeightFile(
    name="parser",
    source=Bundled(),
    filename="parser/parser.safetensors",
    sha256="0" * 64,
    size=0,
    licence="CelebAMask-HQ terms: non-commercial research",
    card="parser/README.md",
)
WEIGHTS = (PARSER,)
