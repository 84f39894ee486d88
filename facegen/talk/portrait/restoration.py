"""The face restorer behind a talk: details for portraits that are small, blurred or compressed."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from facegen.faces import align, mesh
from facegen.facesets.enhance import EYES
from facegen.restore.restorer import SIZE, Restorer
from facegen.talk.portrait.renderer import PostProcess

Array = np.ndarray

_BORDER = 12


@functools.cache
def _restorer() -> Restorer:
    return Restorer()


def make_restoration(strength: float) -> PostProcess:
    """A post-process that adds what the face restorer changes to the portrait's own pixels.

    A portrait larger than the restorer's 256 pixels keeps its own detail.

    Raises:
        WeightsError: the restorer's weights are missing.
    """
    restorer = _restorer()
    frame: Array = np.zeros((SIZE, SIZE), np.float32)
    frame[_BORDER:-_BORDER, _BORDER:-_BORDER] = 1
    frame = cv2.GaussianBlur(frame, (0, 0), 5)[..., None]

    def restore(picture_rgb: np.ndarray, points: Array) -> None:
        matrix = align.similarity(_eye_centres(points), EYES, SIZE)
        small = align.warp(picture_rgb, matrix, SIZE)
        change = (restorer.restore(small[None], strength)[0].astype(np.float32) - small) * frame
        add_residual(picture_rgb, change, align.invert(matrix))

    return restore


def _eye_centres(points: Array) -> Array:
    """(2, 2) middle of each eye's corners: blinking does not move it."""
    sides: Sequence[Sequence[int]] = (mesh.EYE_LEFT, mesh.EYE_RIGHT)
    return np.stack([points[[side[0], side[8]], :2].mean(0) for side in sides]).astype(np.float32)


def add_residual(picture_rgb: np.ndarray, change: Array, matrix: Array) -> None:
    """Adds the residual of a warped square to a picture, in place and at the picture's resolution.

    Args:
        picture_rgb: (H, W, 3) uint8.
        change: (S, S, 3) float32, 0..255.
        matrix: (2, 3) affine from pixels of that square to those of the picture.
    """
    side = len(change)
    corners = align.apply(matrix, np.array([[-1, -1], [side, -1], [-1, side], [side, side]], np.float32))
    x0, y0 = np.clip(np.floor(corners.min(0)), 0, picture_rgb.shape[1::-1]).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(corners.max(0)) + 1, 0, picture_rgb.shape[1::-1]).astype(int).tolist()
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    moved = matrix - np.array([[0, 0, x0], [0, 0, y0]], np.float32)
    residual = cv2.warpAffine(change, moved, (x1 - x0, y1 - y0), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    region = picture_rgb[y0:y1, x0:x1]
    region[:] = np.clip(region + residual + 0.5, 0, 255).astype(np.uint8)
