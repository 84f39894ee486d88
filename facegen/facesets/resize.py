"""Another size, or a smaller face type, of a whole faceset; masks and points come with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.facesets import crop
from facegen.facesets.faceset import METADATA, Faceset, OnProgress, map_ordered, write_face, write_mask, write_records
from facegen.facesets.record import FaceRecord


@dataclass(frozen=True, kw_only=True)
class ResizeResult:
    """Result of a resize."""

    folder: str
    faces: int
    size: int
    face_type: str


def resize(
    faceset: Faceset,
    output: Path,
    *,
    size: int,
    face_type: str | None = None,
    on_progress: OnProgress | None = None,
) -> ResizeResult:
    """Writes the faces in another size into a new folder.

    Args:
        faceset: the faces.
        output: a new folder.
        size: side of the new pictures, pixels.
        face_type: one that is smaller than the faceset's; None keeps it.
        on_progress: called after every face.

    Raises:
        InputError: the folder is not empty, the size is out of bounds, or the face type shows more than the faceset has.
    """
    if not 16 <= size <= 4096:
        raise InputError(f"Expected a size of 16 to 4096 pixels, found {size}; choose another.")
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    kind = crop.face_type(face_type) if face_type else None
    order = list(crop.FACE_TYPES)
    if kind is not None and (faceset.face_type not in order or order.index(kind.name) > order.index(faceset.face_type)):
        raise InputError(
            f"Expected a face type that {faceset.face_type} contains, found {kind.name}; extract the faces again."
        )
    output.mkdir(parents=True, exist_ok=True)

    def make(record: FaceRecord) -> FaceRecord:
        image = faceset.picture(record)
        matrix = _matrix(record, image.shape[0], size, kind)
        new = record.transform(matrix).replace(face_type=kind.name if kind else record.face_type, size=size)
        write_face(output / record.file_name, crop.warp_black(image, matrix, size))
        mask = faceset.mask(record)
        if mask is not None and record.mask_file_name:
            write_mask(output / record.mask_file_name, _warp_mask(mask, matrix, size))
        return new

    records = list(map_ordered(faceset.records, make, on_progress, "Resizing faces"))
    write_records(output / METADATA, records)
    return ResizeResult(
        folder=str(output), faces=len(records), size=size, face_type=kind.name if kind else faceset.face_type
    )


def _matrix(record: FaceRecord, now: int, size: int, kind: crop.FaceType | None) -> np.ndarray:
    """(2, 3) old pixels to new ones."""
    if kind is not None and kind.name != record.face_type:
        return crop.crop_matrix(record.points68, kind, size, record.yaw_deg)
    scale = size / now
    # pixel centres: the middle of the first pixel moves with its corner
    return np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], np.float32)


def _warp_mask(mask: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    stacked = np.repeat(mask[..., None], 3, axis=2)
    return (
        crop.warp_black(stacked, matrix, size)[..., 0]
        if matrix[0, 0] < 1
        else cv2.warpAffine(mask, matrix, (size, size))
    )
