"""Options, requests and results of the work on facesets. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from facegen.config import check
from facegen.errors import InputError
from facegen.faces.weights import DETECTORS, DetectorName
from facegen.jobs.files import INPUT, OUTPUT
from facegen.jobs.job import Result, count_text

FaceTypeName = Literal["half", "mid_full", "full", "whole_face", "head"]
Format = Literal["jpg", "png"]
SORT_KEYS = (
    *("blur", "motion-blur", "yaw", "pitch", "roll", "size", "brightness", "hue", "black", "hist", "hist-dissim"),
    *("difference", "name", "distance", "identity", "final"),
)
"""What can be sorted by; see `sort.py`."""
CLEAN_REASONS = ("other-person", "duplicate", "blurred", "misaligned", "covered")
"""Why a face can be proposed for the trash; see `clean.py`."""
MASKS = ("hull", "parser")
"""What can make masks; see `mask.py`."""
ExportKind = Literal["dfl-jpeg", "dfl-pak", "faceswap-png", "faceswap-fsa"]
EXPORTS: tuple[ExportKind, ...] = get_args(ExportKind)
"""What facesets can be written as; see `exchange.py`."""
PERSON_DISTANCE_LIMIT = 0.55
"""Two groups of faces of which single pictures would be further apart than this are two people (`cluster.cluster_embeddings`)."""


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """How faces are cut out, and which."""

    face_type: FaceTypeName = field(default="whole_face", metadata={"choices": get_args(FaceTypeName)})
    """How much of the head is shown; a larger type can be cut down to a smaller one later."""
    size: int = field(default=256, metadata={"min": 32, "max": 2048, "step": 16})
    """Side of the pictures, pixels."""
    every: int = field(default=1, metadata={"min": 1, "max": 10_000, "step": 1})
    """Look at every so many frames of a video."""
    min_face_px: int = field(default=32, metadata={"min": 8, "max": 2048, "step": 1})
    """Leave out faces smaller than this in their source."""
    min_sharpness: float = field(default=0.0, metadata={"min": 0.0, "max": 100.0, "step": 0.5})
    """Leave out faces less sharp than this (statistics show the spread; crisp faces have 20 and more)."""
    max_faces: int = field(default=0, metadata={"min": 0, "max": 100, "step": 1})
    """Take at most so many faces of a picture, largest first; 0 takes all."""
    person_distance: float = field(default=0.55, metadata={"min": 0.2, "max": 0.9, "step": 0.01})
    """Faces nearer than this to a reference picture are that person."""
    format: Format = field(default="jpg", metadata={"choices": get_args(Format)})
    """How pictures are kept."""
    jpeg_quality: int = field(default=95, metadata={"min": 50, "max": 100, "step": 1})
    """Quality of JPEG pictures."""
    detector: DetectorName = field(default="embedded", metadata={"choices": DETECTORS})
    """Face detector: `embedded`, one whose weights were fetched, or `auto`: facexlib if its weights are present."""
    debug: bool = False
    """Also keep each source picture, small, with the points and the outline of the crop drawn in."""

    def __post_init__(self) -> None:
        check(self)
        for name, offered in (
            ("face_type", get_args(FaceTypeName)),
            ("format", get_args(Format)),
            ("detector", DETECTORS),
        ):
            if getattr(self, name) not in offered:
                raise InputError(
                    f"Expected {name} of {', '.join(offered)}, found {getattr(self, name)!r}; choose one of these."
                )


@dataclass(frozen=True, kw_only=True)
class ExtractRequest:
    """Faces to be cut out."""

    inputs: tuple[str, ...] = field(metadata={**INPUT, "argument": True})
    """Videos, pictures, folders of both."""
    output: str = field(metadata={**OUTPUT, "short": "o"})
    """The faceset's folder; it may hold faces already."""
    persons: tuple[str, ...] = field(default=(), metadata={**INPUT, "flag": "person"})
    """Picture of the one person that is wanted; may be repeated."""
    others: tuple[str, ...] = field(default=(), metadata={**INPUT, "flag": "without"})
    """Picture of a person that is not wanted; may be repeated."""
    options: ExtractOptions = field(default_factory=ExtractOptions)
    """How, and which."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("Expected videos or pictures to cut faces out of, found none; choose some first.")


@dataclass(frozen=True, kw_only=True)
class ExtractResult(Result):
    """Result of an extraction."""

    folder: str = field(metadata=OUTPUT)
    faces: int
    """Faces added."""
    looked_at: int
    """Frames and pictures looked at."""
    left_out: Mapping[str, int]
    """Faces not taken, by reason."""
    skipped: tuple[str, ...]
    """Inputs that were done before, or could not be read, a sentence each."""
    total: int
    """Faces in the faceset now."""

    @property
    def summary(self) -> str:
        """Faces added, in all, and left out, as a sentence."""
        left_out = [f"Left out {count}: {reason}." for reason, count in self.left_out.items()]
        return " ".join([f"{count_text(self.faces, 'face')} added, {self.total} in all.", *left_out])


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """When a face is proposed for the trash."""

    reasons: tuple[str, ...] = CLEAN_REASONS
    """What is looked for."""
    duplicate_bits: int = field(default=2, metadata={"min": 0, "max": 20, "step": 1})
    """Pictures whose 64-bit fingerprints differ in at most so many bits are the same; the sharper one stays."""
    blur_share: float = field(default=0.45, metadata={"min": 0.0, "max": 1.0, "step": 0.05})
    """Faces with less than this share of the median sharpness are blurred."""
    most_misaligned: float = field(default=0.14, metadata={"min": 0.05, "max": 0.5, "step": 0.01})
    """Faces whose points are further than this from the mean face (in widths of the brows) are misaligned; turned heads
    are allowed more."""
    most_covered: float = field(default=0.2, metadata={"min": 0.05, "max": 1.0, "step": 0.05})
    """Faces of which more than this share is hidden (hands, hair, things) are covered."""
    person_distance: float = field(default=PERSON_DISTANCE_LIMIT, metadata={"min": 0.2, "max": 0.9, "step": 0.01})
    """Groups of faces of which single pictures would be further apart than this are two people; the one with most faces
    stays."""

    def __post_init__(self) -> None:
        check(self)
        for reason in self.reasons:
            if reason not in CLEAN_REASONS:
                raise InputError(
                    f"Expected reasons of {', '.join(CLEAN_REASONS)}, found {reason!r}; choose some of these."
                )
