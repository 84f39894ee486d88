"""One aligned face out of a picture."""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces import Face
from facegen.facesets import crop, quality
from facegen.facesets.record import FaceRecord


def cut_face(image_rgb: np.ndarray, face: Face, kind: crop.FaceType, size: int) -> tuple[np.ndarray, FaceRecord]:
    """One aligned face.

    Args:
        image_rgb: (H, W, 3) uint8 source.
        face: the face in it.
        kind: how much is shown.
        size: side of the crop, pixels.

    Returns:
        (size, size, 3) uint8 picture, black beyond the source's border, and its record without file name.
    """
    matrix = crop.crop_matrix(face.points68, kind, size, face.yaw_deg)
    picture = warp_black(image_rgb, matrix, size)
    xy = face.points478[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    own68 = face.landmarks68
    record = FaceRecord(
        file_name="face.jpg",
        face_type=kind.name,
        size=size,
        source_height=image_rgb.shape[0],
        source_width=image_rgb.shape[1],
        face_px=face.size_px,
        crop_matrix=matrix,
        points478=np.column_stack([xy, face.points478[:, 2] * scale]).astype(np.float32),
        landmarks68=None if own68 is None else (own68 @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32),
        head_matrix=face.matrix,
        yaw_deg=face.yaw_deg,
        pitch_deg=face.pitch_deg,
        roll_deg=face.roll_deg,
        blendshapes=face.blendshapes,
        embedding=face.embedding,
        track=face.track_id,
        score=face.score,
    )
    return picture, record.replace(**quality.measure(picture, record.points68))


def warp_black(image_rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """A square crop, black beyond the border of its source; enlarged with cubic and reduced with averaging steps."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale >= 0.7:
        return cv2.warpAffine(image_rgb, matrix, (size, size), flags=cv2.INTER_CUBIC)
    # a crop of twice the size and more, averaged down, does not alias
    factor = int(np.ceil(1 / scale)) if scale > 1 / 8 else 8
    larger = matrix * factor
    larger[:, 2] += (factor - 1) / 2
    big = cv2.warpAffine(image_rgb, larger, (size * factor, size * factor), flags=cv2.INTER_LINEAR)
    return cv2.resize(big, (size, size), interpolation=cv2.INTER_AREA)
