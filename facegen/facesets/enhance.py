"""Restoration of soft faces: the restorer applied to the face of every picture of a faceset."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import align
from facegen.facesets import quality
from facegen.facesets.faceset import METADATA, Faceset, OnProgress, map_ordered, write_face, write_mask, write_records
from facegen.facesets.record import FaceRecord

if TYPE_CHECKING:
    from facegen.restore import Restorer

EYES = np.array([[97.5, 120.5], [159.5, 120.5]], np.float32) / np.float32(256)
"""(2, 2) in 0..1: where the pictures that the restorer was trained on have the eyes."""
_SIDE = 256
_lock = threading.Lock()


@functools.cache
def _restorer() -> Restorer:
    from facegen.restore import Restorer

    return Restorer()


def enhance_face(image_rgb: np.ndarray, points5: np.ndarray, strength: float) -> np.ndarray:
    """(H, W, 3) uint8: the picture with its face restored; pixels outside of the restorer's crop are unchanged.

    Args:
        image_rgb: (H, W, 3) uint8.
        points5: (5, 2) the points of the face in it.
        strength: 0 leaves it, 1 is all the restorer does.
    """
    matrix = align.similarity(points5[:2], EYES, _SIDE)
    with _lock:
        restored = _restorer().restore(align.warp(image_rgb, matrix, _SIDE)[None], strength)[0]
    size = image_rgb.shape[1::-1]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(restored, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    frame: np.ndarray = np.zeros((_SIDE, _SIDE), np.float32)
    frame[12:-12, 12:-12] = 1
    frame = cv2.GaussianBlur(frame, (0, 0), 5)
    share = cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)[..., None]
    return np.clip(back * share + image_rgb * (1 - share) + 0.5, 0, 255).astype(np.uint8)


def enhance(faceset: Faceset, output: Path, *, strength: float = 1.0, on_progress: OnProgress | None = None) -> Faceset:
    """Writes the faces with their details restored into a new folder; points and masks come with them.

    Args:
        faceset: the faces.
        output: a new folder.
        strength: 0..1.
        on_progress: called after every face.

    Raises:
        InputError: the folder is not empty, or the strength is out of bounds.
        WeightsError: the restorer's weights are not here.
    """
    if not 0 < strength <= 1:
        raise InputError(f"Expected a strength above 0 and up to 1, found {strength}; choose another.")
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    _restorer()
    output.mkdir(parents=True, exist_ok=True)

    def make(record: FaceRecord) -> FaceRecord:
        image = enhance_face(faceset.picture(record), record.points5, strength)
        write_face(output / record.file_name, image)
        mask = faceset.mask(record)
        if mask is not None and record.mask_file_name:
            write_mask(output / record.mask_file_name, mask)
        return record.replace(**quality.measure(image, record.points68))

    records = list(map_ordered(faceset.records, make, on_progress, "Restoring faces"))
    write_records(output / METADATA, records)
    return Faceset(output, records)
