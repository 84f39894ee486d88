"""Facesets: folders of aligned faces, from extraction to training. See docs/facesets.md.

Importing this package is cheap: names are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegen.facesets.faceset import Faceset
    from facegen.facesets.options import CleanOptions, ExtractOptions, ExtractResult
    from facegen.facesets.pipeline import extract
    from facegen.facesets.record import FaceRecord

_HOME = {
    "CleanOptions": "options",
    "ExtractOptions": "options",
    "ExtractResult": "options",
    "FaceRecord": "record",
    "Faceset": "faceset",
    "extract": "pipeline",
}

__all__ = ["CleanOptions", "ExtractOptions", "ExtractResult", "FaceRecord", "Faceset", "extract"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"facegen.facesets.{_HOME[name]}"), name)
    raise AttributeError(f"module 'facegen.facesets' has no attribute {name!r}")
