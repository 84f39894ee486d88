"""The generator's frame: a similarity aligns a face in a square of 256 pixels that shows hair, ears and background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.errors import NoFaceError
from facegen.faces import Face, FaceAnalyser, align
from facegen.faces.parse.parser import SIZE as PARSE_SIZE

SIZE = 256
"""Side of an aligned picture, pixels."""
TEMPLATE5 = np.array([[97.8, 121.0], [159.0, 121.0], [128.5, 157.5], [102.0, 185.0], [155.0, 185.0]], np.float32) / SIZE
"""(5, 2) in 0..1: medians of `Face.points5` over faces/generated (eyes 62 pixels apart, at 47 % of the height)."""
_MIN_SIZE_PX = 60
"""Smallest usable face, pixels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AlignedFace:
    """A face aligned to the generator's frame."""

    picture_rgb: np.ndarray
    """(256, 256, 3) uint8."""
    face: Face
    """Its points, pixels of this picture."""
    to_frame: np.ndarray
    """(2, 3) similarity from the original picture's pixels to this one's."""


def align_largest_face(image_rgb: np.ndarray, analyser: FaceAnalyser, name: str = "the picture") -> AlignedFace:
    """The largest face of a photograph, aligned and cropped; see `find_largest_face`."""
    return align_face(image_rgb, find_largest_face(image_rgb, analyser, name))


def find_largest_face(image_rgb: np.ndarray, analyser: FaceAnalyser, name: str = "the picture") -> Face:
    """The largest face of a photograph.

    Args:
        image_rgb: (H, W, 3) uint8.
        analyser: detects the face.
        name: the picture's name in an error.

    Raises:
        NoFaceError: there is no face, or too small a one.
    """
    faces = analyser.detect(image_rgb, max_faces=1)
    if not faces or faces[0].size_px < _MIN_SIZE_PX / 2:
        raise NoFaceError(f"Expected a photograph with a face of {_MIN_SIZE_PX} pixels or more, found none in {name}.")
    return faces[0]


def align_face(image_rgb: np.ndarray, face: Face) -> AlignedFace:
    """One face of a photograph, aligned and cropped.

    Args:
        image_rgb: (H, W, 3) uint8.
        face: a face of that picture.
    """
    matrix = align.similarity(face.points5, TEMPLATE5, SIZE)
    picture = align.warp(image_rgb, matrix, SIZE)
    return AlignedFace(picture_rgb=picture, face=transform_face(face, matrix), to_frame=matrix)


def transform_face(face: Face, matrix: np.ndarray) -> Face:
    """The face after a (2, 3) similarity of its picture; blendshapes and yaw are unchanged."""
    scale = math.hypot(float(matrix[0, 0]), float(matrix[1, 0]))
    points = face.points478.copy()
    points[:, :2] = align.apply(matrix, points[:, :2])
    points[:, 2] *= scale
    corners = align.apply(matrix, face.box_xyxy.reshape(2, 2))
    return face.replace(
        points478=points.astype(np.float32),
        points5=align.apply(matrix, face.points5).astype(np.float32),
        box_xyxy=np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32),
    )


def parse_aligned(analyser: FaceAnalyser, pictures: list[np.ndarray], faces: list[Face]) -> np.ndarray:
    """(N, 256, 256, 19) float16 class probabilities of aligned pictures; outside the parser's crop those of its border."""
    matrices = [align.parse_matrix(face) for face in faces]
    crops = np.stack([align.warp(p, m, PARSE_SIZE) for p, m in zip(pictures, matrices, strict=True)])
    found = analyser.parser.parse(crops).astype(np.float32)
    maps = np.empty((len(pictures), SIZE, SIZE, found.shape[1]), np.float16)
    for index, (probabilities, matrix) in enumerate(zip(found, matrices, strict=True)):
        stacked = np.ascontiguousarray(probabilities.transpose(1, 2, 0))
        back = align.invert(matrix)
        for first in range(0, stacked.shape[2], 4):  # OpenCV warps up to four channels at once
            part = cv2.warpAffine(stacked[:, :, first : first + 4], back, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
            maps[index, :, :, first : first + 4] = part.reshape(SIZE, SIZE, -1)
    return maps
