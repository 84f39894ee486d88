"""What stands before the face of somebody who gets other words."""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces import Face, align, mesh, parse
from facegen.faces.parse.parser import SIZE as PARSE_SIZE
from facegen.faces.parse.parser import FaceParser

_UNCOVERED = (*parse.FACE, parse.NECK, parse.HAIR)


def find_occlusion(image_rgb: np.ndarray, face: Face, parser: FaceParser) -> np.ndarray:
    """(H, W) 0..1: what stands before the face, such as a hand or a microphone; it stays in front."""
    matrix = align.parse_matrix(face, PARSE_SIZE)
    visible = parser.class_probability(align.warp(image_rgb, matrix, PARSE_SIZE)[None], _UNCOVERED)[0]
    outline = face.points478[list(mesh.FACE_OVAL), :2] @ matrix[:, :2].T + matrix[:, 2]
    inside: np.ndarray = mesh.polygon_mask(outline, (PARSE_SIZE, PARSE_SIZE)).astype(np.float32) / 255
    # the outline itself is uncertain, and the open mouth is dark
    inside = cv2.erode(inside, np.ones((13, 13), np.uint8))
    hidden = np.clip((0.6 - cv2.GaussianBlur(visible, (0, 0), 2)) / 0.3, 0, 1) * inside
    solid = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    spread = cv2.GaussianBlur(cv2.dilate(solid, np.ones((7, 7), np.uint8)), (0, 0), 2)
    size = image_rgb.shape[1::-1]
    return cv2.warpAffine(spread, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
