"""The model files of the face parser."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile

PARSER = WeightFile(
    name="parser",
    source=Bundled(),
    filename="parser/parser.safetensors",
    sha256="263dae64d533e9188c4a634db3f02e8a462d9109b7080625dc15d26a8a0b23e3",
    size=3484038,
    licence="CelebAMask-HQ terms: non-commercial research",
    card="parser/README.md",
)
WEIGHTS = (PARSER,)
