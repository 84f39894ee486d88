"""Facesets as the browser works on them: whose they are, an extraction as a run, pages of faces, proposals."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.config import home
from facegen.errors import InputError
from facegen.facesets.jobs import EXTRACT
from facegen.facesets.options import CleanOptions, ExtractOptions, ExtractRequest
from facegen.jobs import Run
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor

if TYPE_CHECKING:
    from facegen.facesets import FaceRecord, Faceset

PAGE = 48
"""Faces shown at once."""
_THUMBNAIL = 112
FACE_TYPES = {
    "half": "Half: brows to mouth",
    "mid_full": "Middle: brows to chin",
    "full": "Full: most of the forehead to the chin",
    "whole_face": "Whole face: forehead to below the chin",
    "head": "Head: with all of the hair",
}
"""How much of a head a crop shows."""
ORDERS = {
    "final": "Best mix of views and sharpness (final)",
    "blur": "Sharpness",
    "motion-blur": "Motion blur",
    "yaw": "Turned left to right (yaw)",
    "pitch": "Looks up to down (pitch)",
    "roll": "Tilt (roll)",
    "size": "Size in the source",
    "brightness": "Brightness",
    "hue": "Hue",
    "black": "Share of black",
    "hist": "Alike in colour (hist)",
    "hist-dissim": "Least alike in colour first (hist-dissim)",
    "difference": "Alike in pixels",
    "name": "File name",
    "distance": "Nearest to the reference person",
    "identity": "Person by person",
}
"""Orders in plain words."""
REASONS = {
    "other-person": "Other people",
    "duplicate": "Doubles",
    "blurred": "Blurred",
    "misaligned": "Badly aligned",
    "covered": "Covered faces",
}
"""Why a face may not belong, in plain words."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One face that is proposed for the trash, and whether the visitor keeps it all the same."""

    file_name: str
    reason: str
    value: float
    is_kept: bool = False


def root(services: Services, visitor: Visitor) -> Path:
    """Where the visitor's facesets lie: in a shared studio each visitor has a folder of the own."""
    base = home() / "facesets"
    return base / visitor.mark if services.settings.shared else base


def names(services: Services, visitor: Visitor) -> list[str]:
    """The visitor's facesets, newest first."""
    folder = root(services, visitor)
    found = [path.parent for path in folder.glob("*/metadata.jsonl")]
    return [path.name for path in sorted(found, key=lambda path: -(path / "metadata.jsonl").stat().st_mtime)]


def faceset_path(services: Services, visitor: Visitor, name: str) -> Path:
    """The folder of a faceset by its name, which cannot lead elsewhere.

    Raises:
        InputError: the name is empty or holds anything but letters, digits, dashes, dots and spaces.
    """
    plain = (name or "").strip()
    if not re.fullmatch(r"[\w\- ][\w\-. ]{0,63}", plain):
        raise InputError(f"Expected a name of letters, digits, dashes and spaces, found {name!r}; choose another.")
    return root(services, visitor) / plain


def open_faceset(services: Services, visitor: Visitor, name: str | None) -> "Faceset":
    """One of the visitor's facesets.

    Raises:
        InputError: there is none of that name.
    """
    from facegen.facesets import Faceset

    if not name:
        raise InputError("Expected a faceset, found none chosen; choose one, or cut faces out of a video first.")
    return Faceset.open(faceset_path(services, visitor, name))


def start(
    services: Services,
    visitor: Visitor,
    *,
    name: str,
    files: Sequence[str],
    persons: Sequence[str],
    others: Sequence[str],
    settings: Mapping[str, Any],
) -> Run:
    """Put an extraction into the queue as a run; its inputs stay with the run, so that it can be resumed later.

    Args:
        services: the studio's.
        visitor: who asks.
        name: of the faceset.
        files: videos and pictures.
        persons: pictures of the people who are wanted; none: everybody.
        others: pictures of people who are left out.
        settings: of `ExtractOptions`.

    Raises:
        InputError: there are no inputs, or a setting does not fit.
    """
    request = ExtractRequest(
        inputs=tuple(files),
        output=str(faceset_path(services, visitor, name)),
        persons=tuple(persons),
        others=tuple(others),
        options=parse(ExtractOptions, settings),
    )
    return services.start(visitor, EXTRACT, request)


def page(faceset: "Faceset", number: int) -> list[tuple[np.ndarray, str]]:
    """The faces of one page with their captions; masks are drawn in."""
    return [
        _tile(faceset, record, str(number * PAGE + place))
        for place, record in enumerate(faceset.records[number * PAGE : (number + 1) * PAGE])
    ]


def _tile(faceset: "Faceset", record: "FaceRecord", caption: str) -> tuple[np.ndarray, str]:
    from facegen.facesets.faceset import resize_picture
    from facegen.facesets.mask import overlay

    image, mask = faceset.picture(record), faceset.mask(record)
    return resize_picture(overlay(image, mask) if mask is not None else image, _THUMBNAIL), caption


def propose(faceset: "Faceset", reasons: Sequence[str]) -> list[Proposal]:
    """What could go to the trash.

    Raises:
        InputError: no reason was chosen.
    """
    from facegen.facesets.clean import propose as work

    if not reasons:
        raise InputError("Expected something to look for, found nothing ticked; tick at least one.")
    found = work(faceset, CleanOptions(reasons=tuple(reasons)))
    return [Proposal(file_name=r.record.file_name, reason=r.reason, value=r.value) for r in found]


def draw_proposals(faceset: "Faceset", proposals: Sequence[Proposal]) -> list[tuple[np.ndarray, str]]:
    """The proposed faces; those that are kept are bright and say so, the others are dimmed."""
    known = {record.file_name: record for record in faceset.records}
    tiles = []
    for proposal in proposals[: 2 * PAGE]:
        if proposal.file_name not in known:
            continue
        image, _ = _tile(faceset, known[proposal.file_name], "")
        words = "keep" if proposal.is_kept else proposal.reason
        tiles.append((image if proposal.is_kept else (image * 0.55).astype(np.uint8), words))
    return tiles


def toggle(proposals: Sequence[Proposal], number: int) -> list[Proposal]:
    """The proposals with one changed between keep and drop."""
    return [replace(p, is_kept=not p.is_kept) if n == number else p for n, p in enumerate(proposals)]


def drop(faceset: "Faceset", proposals: Sequence[Proposal]) -> "tuple[Faceset, int]":
    """Moves what is not kept to the trash; returns how many."""
    from facegen.facesets import trash

    reasons = {p.file_name: p.reason for p in proposals if not p.is_kept}
    doomed = [record for record in faceset.records if record.file_name in reasons]
    return trash.move(faceset, doomed, [reasons[record.file_name] for record in doomed]), len(doomed)


def archive(services: Services, visitor: Visitor, faceset: "Faceset") -> list[str]:
    """The faceset as tar shards that the visitor can download."""
    from facegen.facesets.pack import pack

    folder = services.visitor_folder(visitor) / "packed" / faceset.folder.name
    shutil.rmtree(folder, ignore_errors=True)
    return [str(path) for path in pack(faceset, folder)]
