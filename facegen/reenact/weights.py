"""LivePortrait's model files, as FaceFusion exports them."""

from __future__ import annotations

from facegen.hub import WeightFile
from facegen.hub.facefusion import MIT, facefusion_file


def _file(part: str, purpose: str) -> WeightFile:
    return facefusion_file(
        "3.0.0",
        f"live_portrait_{part}.onnx",
        MIT,
        purpose=purpose,
        jobs=("talk", "generate", "swap"),
        sets=("best-permissive", "best"),
    )


FEATURES = _file("feature_extractor", "how a face looks, for one that is moved")
MOTION = _file("motion_extractor", "pose and expression of a face, for one that is moved")
GENERATOR = _file("generator", "draws a face that is moved")
STITCHER = _file("stitcher", "keeps the shoulders where they are as a face is moved")
EYES = _file("eye_retargeter", "opens and closes the eyes of a face that is moved")
LIPS = _file("lip_retargeter", "opens and closes the mouth of a face that is moved")
RESTORING: tuple[WeightFile, ...] = (FEATURES, MOTION, GENERATOR)
"""What an expression is put back with."""
WEIGHTS: tuple[WeightFile, ...] = (*RESTORING, STITCHER, EYES, LIPS)
