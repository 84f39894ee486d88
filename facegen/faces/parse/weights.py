"""The model files of the face parser."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile

PARSER = WeightFile(
    name="parser",
    source=Bundled(),
    filename="parser/parser.safetensors",
    sha256="e135e5df3a4a1c9ac67ee2b8a60256097d9a374c40476d1eef45e6e85dc57fe4",
    size=3484150,
    licence="CelebAMask-HQ terms: non-commercial research",
    card="parser/README.md",
)
WEIGHTS = (PARSER,)
