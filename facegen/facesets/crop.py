"""Crops aligned faces: five nesting face types round the same alignment.

The face is brought onto a frontal mean face by the similarity that fits brows, nose and eyes best. The square round the
mean face's 51 inner points is the unit; each face type enlarges it by its padding. The types nest, so a faceset that
was cut as a larger one can be cut again as a smaller one.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import align, mesh
from facegen.faces.face import POINTS68_INDEX, Face
from facegen.facesets import quality
from facegen.facesets.record import FaceRecord

ALIGNED = (*range(17, 49), 54)
"""Which of the 68 points are aligned: brows, nose, eyes and the corners of the mouth."""


@dataclass(frozen=True, kw_only=True)
class FaceType:
    """How much of the head a crop shows."""

    name: str
    code: str
    """DeepFaceLab's name of it."""
    padding: float
    """The unit square's half diagonal grows by this share of its diagonal times the square root of 2."""
    raise_share: float
    """How far the centre moves towards the top of the head, in sides of the unit square."""
    follows_yaw: bool = False
    """Whether the centre moves sideways with a turned head."""


FACE_TYPES = {
    kind.name: kind
    for kind in (
        FaceType(name="half", code="half_face", padding=0.0, raise_share=0.0),
        FaceType(name="mid_full", code="midfull_face", padding=0.0675, raise_share=0.0),
        FaceType(name="full", code="full_face", padding=0.2109375, raise_share=0.0),
        FaceType(name="whole_face", code="whole_face", padding=0.40, raise_share=0.07),
        FaceType(name="head", code="head", padding=0.70, raise_share=0.50, follows_yaw=True),
    )
}
"""Smallest first."""
SHORT_NAMES = {"h": "half", "mf": "mid_full", "f": "full", "wf": "whole_face", "head": "head"}


def face_type(name: str) -> FaceType:
    """The face type of a name, in full or in DeepFaceLab's letters.

    Raises:
        InputError: there is none of that name.
    """
    plain = name.replace("-", "_")
    by_code = {kind.code: kind for kind in FACE_TYPES.values()}
    matching = FACE_TYPES.get(SHORT_NAMES.get(plain, plain)) or by_code.get(plain)
    if matching is None:
        raise InputError(f"Expected a face type of {', '.join(FACE_TYPES)}, found {name!r}; choose one of these.")
    return matching


@functools.cache
def mean_face() -> np.ndarray:
    """(68, 2) float32 frontal mean face; the square round its 51 inner points is (0, 0) to (1, 1)."""
    points = mesh.topology().xyz[list(POINTS68_INDEX), :2] * np.array([1, -1], np.float32)
    low, high = points[17:].min(0), points[17:].max(0)
    side = float((high - low).max())
    return ((points - (low + high) / 2) / side + 0.5).astype(np.float32)


def crop_matrix(points68: np.ndarray, kind: FaceType, size: int, yaw_deg: float = 0.0) -> np.ndarray:
    """How a face is cut out.

    Args:
        points68: (68, 2) pixels of the source.
        kind: how much is shown.
        size: side of the crop, pixels.
        yaw_deg: how far the head is turned to the picture's right; only heads look at it.

    Returns:
        (2, 3) float32 matrix from source to crop pixels.
    """
    mean = mean_face()
    to_unit = align.similarity(points68[list(ALIGNED)], mean[list(ALIGNED)], 1.0).astype(np.float64)
    side = 1 + 2 * math.sqrt(2) * kind.padding
    centre = np.array([0.5, 0.5 - kind.raise_share])
    if kind.follows_yaw:
        yaw = math.radians(yaw_deg)
        # the back of the head lies on the other side than the nose points to
        centre[0] -= yaw * abs(math.tanh(2 * yaw)) / 2
    scale = size / side
    linear = to_unit[:, :2] * scale
    offset = (to_unit[:, 2] - centre + side / 2) * scale - 0.5
    return np.column_stack([linear, offset]).astype(np.float32)


def outline(matrix: np.ndarray, size: int) -> np.ndarray:
    """(4, 2) float32 corners of a crop in its source, clockwise from the upper left."""
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32) - 0.5
    return align.apply(align.invert(matrix), corners)


def misalignment(points68: np.ndarray) -> float:
    """How far 68 points are from the mean face once aligned: mean distance in sides of the unit square.

    About 0.03 to 0.1 for faces that look at the camera, more for profiles, above 0.25 for points that are wrong.
    """
    mean = mean_face()
    moved = align.apply(align.similarity(points68[17:], mean[17:], 1.0), points68[17:])
    return float(np.linalg.norm(moved - mean[17:], axis=1).mean())


def cut_face(image_rgb: np.ndarray, face: Face, kind: FaceType, size: int) -> tuple[np.ndarray, FaceRecord]:
    """One aligned face.

    Args:
        image_rgb: (H, W, 3) uint8 source.
        face: the face in it.
        kind: how much is shown.
        size: side of the crop, pixels.

    Returns:
        (size, size, 3) uint8 picture, black beyond the source's border, and its record without file name.
    """
    matrix = crop_matrix(face.points68, kind, size, face.yaw_deg)
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
