"""The model files of the talk room."""

from __future__ import annotations

from facegen.hub import Bundled, WeightFile

_TERMS = "VASA-1 demo clips (no licence stated): research; GRID corpus: CC BY 4.0"

RIG = WeightFile(
    name="talk-rig",
    source=Bundled(),
    filename="talk/rig.safetensors",
    sha256="94248027446fe79c6ebd82db3a414822bcd622ba47289cad5096fa3f9f2d41e9",
    size=22544,
    licence=_TERMS,
    card="talk/README.md",
)
MOTION = WeightFile(
    name="talk-motion",
    source=Bundled(),
    filename="talk/motion.safetensors",
    sha256="f66f2886cde669ec6c3c72349a355409dd44064c6348f2c64379b83fac4921a8",
    size=646760,
    licence=_TERMS,
    card="talk/README.md",
)
WEIGHTS = (RIG, MOTION)
