"""Faces: detection, dense mesh, tracking, recognition. See docs/faces.md.

Importing this package is cheap: names are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegen.faces.analyser import AnalyserConfig, FaceAnalyser
    from facegen.faces.clip import ClipAnalysis, Person, analyse_clip
    from facegen.faces.face import BLENDSHAPES, Face
    from facegen.faces.recogniser import SAME_PERSON, distance

_HOME = {
    "BLENDSHAPES": "face",
    "Face": "face",
    "AnalyserConfig": "analyser",
    "FaceAnalyser": "analyser",
    "ClipAnalysis": "clip",
    "Person": "clip",
    "analyse_clip": "clip",
    "SAME_PERSON": "recogniser",
    "distance": "recogniser",
}

__all__ = [
    "BLENDSHAPES",
    "SAME_PERSON",
    "AnalyserConfig",
    "ClipAnalysis",
    "Face",
    "FaceAnalyser",
    "Person",
    "analyse_clip",
    "distance",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"facegen.faces.{_HOME[name]}"), name)
    raise AttributeError(f"module 'facegen.faces' has no attribute {name!r}")
