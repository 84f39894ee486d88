"""The face parser: network, training task and the `FaceParser` that others use. Imports no torch, and no numpy until used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facegen.faces.parse.classes import (
    BACKGROUND,
    CLASSES,
    CLOTH,
    EARRING,
    FACE,
    GLASSES,
    HAIR,
    HAT,
    LEFT_BROW,
    LEFT_EAR,
    LEFT_EYE,
    LOWER_LIP,
    MOUTH,
    NECK,
    NECKLACE,
    NOSE,
    RIGHT_BROW,
    RIGHT_EAR,
    RIGHT_EYE,
    SKIN,
    UPPER_LIP,
)

if TYPE_CHECKING:
    from facegen.faces.parse.parser import SIZE, FaceParser, parser_available

__all__ = [
    "BACKGROUND",
    "CLASSES",
    "CLOTH",
    "EARRING",
    "FACE",
    "GLASSES",
    "HAIR",
    "HAT",
    "LEFT_BROW",
    "LEFT_EAR",
    "LEFT_EYE",
    "LOWER_LIP",
    "MOUTH",
    "NECK",
    "NECKLACE",
    "NOSE",
    "RIGHT_BROW",
    "RIGHT_EAR",
    "RIGHT_EYE",
    "SIZE",
    "SKIN",
    "UPPER_LIP",
    "FaceParser",
    "parser_available",
]


def __getattr__(name: str) -> Any:
    if name in ("SIZE", "FaceParser", "parser_available"):
        from facegen.faces.parse import parser

        return getattr(parser, name)
    raise AttributeError(f"module 'facegen.faces.parse' has no attribute {name!r}")
