"""The model files of the talk room."""

from __future__ import annotations

from facegen.hub import Bundled, Hub, WeightFile
from facegen.talk.engines import LIPSYNC

_TERMS = "VASA-1 demo clips (no licence stated): research; GRID corpus: CC BY 4.0"

RIG = WeightFile(
    name="talk-rig",
    source=Bundled(),
    filename="talk/rig.safetensors",
    sha256="94248027446fe79c6ebd82db3a414822bcd622ba47289cad5096fa3f9f2d41e9",
    size=22544,
    licence=_TERMS,
    card="talk/README.md",
    purpose="how a face moves with its 52 expressions",
    jobs=("talk",),
)
MOTION = WeightFile(
    name="talk-motion",
    source=Bundled(),
    filename="talk/motion.safetensors",
    sha256="58685ebf1c95dc6bc3385897313897a666b91be0502ccc59a0393356fca48c9c",
    size=646760,
    licence=_TERMS,
    card="talk/README.md",
    purpose="speech to the motion of a face",
    jobs=("talk",),
)
FINISH = WeightFile(
    name="talk-finish",
    source=Bundled(),
    filename="talk/finish.safetensors",
    sha256="43048acfabe229cd4cff4a375d652d2910d1952acd384534ca224caff45872cc",
    size=372078,
    licence=_TERMS,
    card="talk/README.md",
    purpose="detail of a talking mouth",
    jobs=("talk",),
)
ENCODERS = {
    "wav2vec2": WeightFile(
        name="wav2vec2",
        source=Hub("facebook/wav2vec2-base-960h", "22aad52d435eb6dbaf354bdad9b0da84ce7d6156"),
        filename="model.safetensors",
        sha256=None,
        size=377607901,
        licence="Apache-2.0",
        card="https://huggingface.co/facebook/wav2vec2-base-960h",
        purpose="hears speech, for trainings of the motion",
        jobs=("talk",),
    ),
    "hubert": WeightFile(
        name="hubert",
        source=Hub("facebook/hubert-base-ls960", "dba3bb02fda4248b6e082697eee756de8fe8aa8a"),
        filename="pytorch_model.bin",
        sha256=None,
        size=377569754,
        licence="Apache-2.0",
        card="https://huggingface.co/facebook/hubert-base-ls960",
        purpose="hears speech, for trainings of the motion",
        jobs=("talk",),
    ),
}
"""Speech encoders that a motion network can be trained with; fetched when one is."""
WEIGHTS = (RIG, MOTION, FINISH, *ENCODERS.values(), *LIPSYNC.values())
