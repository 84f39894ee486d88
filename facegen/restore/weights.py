"""The restorer's model file."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile

RESTORER = WeightFile(
    name="restorer",
    source=Bundled(),
    filename="restore/restorer.safetensors",
    sha256="0" * 64,
    size=0,
    licence="Apache-2.0",
    card="restore/README.md",
)
WEIGHTS = (RESTORER,)
