"""The restorer's model file."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile
from facegen.restore.enhancers import WEIGHTS as ENHANCER_WEIGHTS

RESTORER = WeightFile(
    name="restorer",
    source=Bundled(),
    filename="restore/restorer.safetensors",
    sha256="e6e0518d901d4d3dd05eacfa5cebc43cfd7529d32d4f2339c08d2cd67f55a1b1",
    size=5075552,
    licence="Apache-2.0",
    card="restore/README.md",
    purpose="redraws the details of small and soft faces",
    jobs=("swap", "generate", "talk", "faceset"),
)
WEIGHTS = (RESTORER, *ENHANCER_WEIGHTS)
