"""Masks of a faceset: from the hull of the points, the face parser, a trained mask, or a brush; fetched, removed."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import align, mesh, parse
from facegen.facesets.choices import MASKS as KINDS
from facegen.facesets.faceset import Faceset, OnProgress, in_order
from facegen.facesets.record import FaceRecord

if TYPE_CHECKING:
    from facegen.faces.parse import FaceParser

_FOREHEAD = 0.35
"""How far a hull of 68 points is raised over the brows, in heights of brows over chin."""
_LARGEST_HOLE = 0.04
"""Gaps up to this share of the mask are filled where face surrounds them."""
BRUSH, TRAINED = "brush", "trained"
"""What `FaceRecord.mask_kind` says of masks drawn by hand, and of those by a mask that was trained on such."""
_parser_lock = threading.Lock()


@functools.cache
def _parser() -> FaceParser:
    return parse.FaceParser()


def hull_of(record: FaceRecord, size: int) -> np.ndarray:
    """(size, size) uint8, 255 inside the outline of the face: the mesh's oval, else the hull of the 68 points.

    Args:
        record: its points are in pixels of a picture of side `size`.
        size: side of the mask.
    """
    if record.points478 is not None:
        points = record.points478[list(mesh.FACE_OVAL), :2]
    else:
        points68 = record.points68
        up = points68[17:27] + (points68[17:27].mean(0) - points68[8]) * _FOREHEAD
        points = np.concatenate([points68, up])
    mask = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(np.round(points.astype(np.float32) * 16).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 255, lineType=cv2.LINE_AA, shift=4)
    return mask


def parsed_mask(record: FaceRecord, image_rgb: np.ndarray) -> np.ndarray:
    """(S, S) uint8, 255 where the parser sees face, glasses included; hair, hands and things in front are left out.

    Args:
        record: the face; a record without five points takes them from its 68.
        image_rgb: (S, S, 3) its picture.
    """
    matrix = align.similarity(points5_of_record(record), align.PARSE5, parse.SIZE)
    crop = align.warp(image_rgb, matrix, parse.SIZE)
    with _parser_lock:
        share = _parser().share(crop[None], parse.FACE)[0]
    side = image_rgb.shape[0]
    back = cv2.warpAffine(share, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    # nothing but this face: what the parser sees far outside its outline is another one's; foreheads go on above it
    near = cv2.dilate(hull_of(record, side), np.ones((max(2, side // 7), 1), np.uint8), anchor=(0, 0))
    grown = 2 * max(1, side // 24) + 1
    near = cv2.dilate(near, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))
    return _without_holes(np.where(near > 0, np.clip((back - 0.3) / 0.4, 0, 1) * 255, 0).astype(np.uint8))


def _without_holes(mask: np.ndarray) -> np.ndarray:
    """Fills small gaps that face surrounds: heavy brows and shadows, which the parser may take for hair."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask < 128).astype(np.uint8))
    side, limit = mask.shape[0], _LARGEST_HOLE * float((mask > 127).sum())
    filled = mask.copy()
    for number in range(1, count):
        x, y, width, height, area = stats[number]
        if area < limit and x > 0 and y > 0 and x + width < side and y + height < side:
            filled[cv2.dilate((labels == number).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 255
    return filled


def points5_of_record(record: FaceRecord) -> np.ndarray:
    """(5, 2) float32: eye centres, nose tip, mouth corners, from the mesh or else from the 68 points."""
    if record.face is not None:
        return record.face.points5
    groups = (range(36, 42), range(42, 48), (30,), (48,), (54,))
    return np.stack([record.points68[list(group)].mean(0) for group in groups]).astype(np.float32)


def apply(faceset: Faceset, kind: str, on_progress: OnProgress | None = None) -> Faceset:
    """Gives every face a mask and writes the metadata; masks drawn by hand stay.

    Args:
        faceset: the faces.
        kind: one of `choices.MASKS`, or «trained:RUN» with the run folder of a training of «mask».
        on_progress: told of every face.

    Raises:
        InputError: there is no such kind, or no trained mask.
    """
    draw, name = _maker(kind)

    def make(record: FaceRecord, image_rgb: np.ndarray) -> FaceRecord:
        return record if record.mask_kind == BRUSH else faceset.with_mask(record, draw(record, image_rgb), name)

    return faceset.write(list(faceset.over_pictures(make, on_progress, "Masking")))


def _maker(kind: str) -> tuple[Callable[[FaceRecord, np.ndarray], np.ndarray], str]:
    """What makes a mask, and what it is called in the metadata."""
    if kind == "hull":
        return lambda record, image_rgb: hull_of(record, image_rgb.shape[0]), kind
    if kind == "parser":
        return parsed_mask, kind
    name, _, place = kind.partition(":")
    if name != TRAINED or not place:
        raise InputError(f"Expected masks by {', '.join(KINDS)} or trained:RUN, found {kind!r}; choose one of these.")
    from facegen.facesets.mask_task import OwnMask

    return OwnMask(Path(place)), TRAINED


def draw_by_hand(faceset: Faceset, record: FaceRecord, mask: np.ndarray) -> Faceset:
    """Keeps a mask drawn by hand.

    Args:
        faceset: the faces.
        record: one of them.
        mask: (S, S) uint8 of the picture's size, 255 is face.
    """
    labelled = faceset.with_mask(record, mask, BRUSH)
    return faceset.write([labelled if other is record else other for other in faceset.records])


def remove(faceset: Faceset) -> tuple[Faceset, int]:
    """Deletes all masks; returns how many there were."""
    masked = [record for record in faceset.records if record.mask_file_name]
    left = faceset.write([record.replace(mask_file_name=None, mask_kind=None) for record in faceset.records])
    for record in masked:
        (faceset.folder / str(record.mask_file_name)).unlink(missing_ok=True)
    return left, len(masked)


def fetch(faceset: Faceset, output: Path, on_progress: OnProgress | None = None) -> int:
    """Copies the faces that have masks, with their masks, into a folder with images/ and masks/; returns how many.

    Raises:
        InputError: no face has a mask.
    """
    masked = [record for record in faceset.records if record.mask_file_name]
    if not masked:
        raise InputError(f"Expected faces with masks in {faceset.folder}, found none; make masks first.")
    for name in ("images", "masks"):
        (output / name).mkdir(parents=True, exist_ok=True)

    def copy(record: FaceRecord) -> None:
        shutil.copyfile(faceset.path(record), output / "images" / f"{record.stem}{faceset.path(record).suffix}")
        shutil.copyfile(faceset.folder / str(record.mask_file_name), output / "masks" / f"{record.stem}.png")

    return sum(1 for _ in in_order(masked, copy, on_progress, "Copying masks"))


def overlay(image_rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with what the mask leaves out darkened and its outline drawn, for looking at."""
    inside = mask[..., None].astype(np.float32) / 255
    shaded = image_rgb * (0.35 + 0.65 * inside)
    contours, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.ascontiguousarray(shaded.astype(np.uint8)), contours, -1, (60, 230, 120), 1, cv2.LINE_AA)
