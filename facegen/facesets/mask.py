"""Masks of a faceset: convex hull, face parser, trained network or brush; export and removal."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import align, mesh, parse
from facegen.faces.parse.parser import SIZE as PARSE_SIZE
from facegen.faces.parse.parser import FaceParser
from facegen.facesets.faceset import Faceset, OnProgress, map_ordered
from facegen.facesets.options import MASKS as KINDS
from facegen.facesets.record import BRUSH, TRAINED, FaceRecord

_FOREHEAD = 0.35
"""How far a hull of 68 points is raised over the brows, in heights of brows over chin."""
_MAX_HOLE = 0.04
"""Gaps up to this share of the mask are filled where face surrounds them."""
_parser_lock = threading.Lock()


@functools.cache
def _parser() -> FaceParser:
    return FaceParser()


def hull_mask(record: FaceRecord, size: int) -> np.ndarray:
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


def parse_mask(record: FaceRecord, image_rgb: np.ndarray) -> np.ndarray:
    """(S, S) uint8, 255 where the parser finds face or glasses; hair, hands and occluding objects are 0.

    Args:
        record: the face, for its points.
        image_rgb: (S, S, 3) its picture.
    """
    matrix = align.similarity(record.points5, align.PARSE5, PARSE_SIZE)
    crop = align.warp(image_rgb, matrix, PARSE_SIZE)
    with _parser_lock:
        share = _parser().class_probability(crop[None], parse.FACE)[0]
    side = image_rgb.shape[0]
    back = cv2.warpAffine(share, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    # other faces lie outside the dilated hull of this one; the hull is extended upwards, over the forehead
    near = cv2.dilate(hull_mask(record, side), np.ones((max(2, side // 7), 1), np.uint8), anchor=(0, 0))
    grown = 2 * max(1, side // 24) + 1
    near = cv2.dilate(near, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))
    return _fill_holes(np.where(near > 0, np.clip((back - 0.3) / 0.4, 0, 1) * 255, 0).astype(np.uint8))


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fills small holes of a mask: heavy brows and shadows, which the parser may label as hair."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask < 128).astype(np.uint8))
    side, limit = mask.shape[0], _MAX_HOLE * float((mask > 127).sum())
    filled = mask.copy()
    for number in range(1, count):
        x, y, width, height, area = stats[number]
        if area < limit and x > 0 and y > 0 and x + width < side and y + height < side:
            filled[cv2.dilate((labels == number).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 255
    return filled


def apply(faceset: Faceset, kind: str, on_progress: OnProgress | None = None) -> Faceset:
    """Gives every face a mask and writes the metadata; masks drawn by hand stay.

    Args:
        faceset: the faces.
        kind: one of `options.MASKS`, or «trained:RUN» with the run folder of a training of «mask».
        on_progress: called after every face.

    Raises:
        InputError: there is no such kind, or no trained mask.
    """
    draw, name = _mask_function(kind)

    def make(record: FaceRecord, image_rgb: np.ndarray) -> FaceRecord:
        return record if record.mask_kind == BRUSH else faceset.with_mask(record, draw(record, image_rgb), name)

    return faceset.write(list(faceset.map_pictures(make, on_progress, "Masking")))


def _mask_function(kind: str) -> tuple[Callable[[FaceRecord, np.ndarray], np.ndarray], str]:
    """The function that makes a mask, and its `mask_kind`."""
    if kind == "hull":
        return lambda record, image_rgb: hull_mask(record, image_rgb.shape[0]), kind
    if kind == "parser":
        return parse_mask, kind
    name, _, path = kind.partition(":")
    if name != TRAINED or not path:
        raise InputError(f"Expected masks by {', '.join(KINDS)} or trained:RUN, found {kind!r}; choose one of these.")
    from facegen.facesets.mask_task import TrainedMask

    return TrainedMask(Path(path)), TRAINED


def set_drawn_mask(faceset: Faceset, record: FaceRecord, mask: np.ndarray) -> Faceset:
    """Stores a mask drawn by hand.

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
    unmasked = faceset.write([record.replace(mask_file_name=None, mask_kind=None) for record in faceset.records])
    for record in masked:
        (faceset.folder / str(record.mask_file_name)).unlink(missing_ok=True)
    return unmasked, len(masked)


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

    return sum(1 for _ in map_ordered(masked, copy, on_progress, "Copying masks"))


def overlay(image_rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8: the picture darkened outside the mask, with the outline of the mask."""
    inside = mask[..., None].astype(np.float32) / 255
    shaded = image_rgb * (0.35 + 0.65 * inside)
    contours, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.ascontiguousarray(shaded.astype(np.uint8)), contours, -1, (60, 230, 120), 1, cv2.LINE_AA)
