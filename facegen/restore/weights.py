"""The restorer's model file."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile
from facegen.restore.enhancers import WEIGHTS as ENHANCER_WEIGHTS
from facegen.restore.mattes import WEIGHTS as MATTE_WEIGHTS
from facegen.restore.upscalers import WEIGHTS as UPSCALER_WEIGHTS

RESTORER = WeightFile(
    name="restorer",
    source=Bundled(),
    filename="restore/restorer.safetensors",
    sha256="2f2e534ba1ecc509625769bfda0599a8c5fc45fe84cd0b4cc1186317da451ea9",
    size=5075552,
    licence="Apache-2.0",
    card="restore/README.md",
    purpose="redraws the details of small and soft faces",
    jobs=("swap", "generate", "talk", "faceset"),
)
WEIGHTS = (RESTORER, *ENHANCER_WEIGHTS, *UPSCALER_WEIGHTS, *MATTE_WEIGHTS)
