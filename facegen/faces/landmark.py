"""The dense mesh of one face: MediaPipe's FaceLandmarker on an upright crop, brought back to the whole image."""

from __future__ import annotations

import math
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import cv2
import numpy as np

from facegen.faces import align
from facegen.faces.face import CAMERA_FOV_DEG
from facegen.faces.landmarker import Landmarker

_TAN_HALF_FOV = math.tan(math.radians(CAMERA_FOV_DEG / 2))
_CROP_PX = 288
"""Side of a crop: the landmark network itself sees about two thirds of it at 256x256."""
_LINE_OF_SIGHT_SHARE = 0.25
"""How much of the angle between camera axis and line of sight MediaPipe's rotation holds (measured by moving the crop
over a face; a true perspective solution would hold all of it, but the network's depth is that of a parallel view)."""
_STARTING = threading.Lock()
"""Landmarkers start one after another: each turns the process's standard error away for a moment."""
_MIN_CONFIDENCE = 0.3
"""Below MediaPipe's own 0.5, which misses faces that look down or away; a wrong mesh disagrees with the detector."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mesh:
    """What the landmark network says of one face, in the frame of reference of `face.py`."""

    points478: np.ndarray
    """(478, 3) float32 pixels of the image."""
    matrix: np.ndarray
    """(4, 4) float32."""
    blendshapes: np.ndarray
    """(52,) float32 in 0..1."""


class MeshFinder:
    """MediaPipe FaceLandmarker in IMAGE mode; may be called from several threads at once, each gets a landmarker.

    IMAGE mode, because VIDEO mode smooths with the past only (points lag behind the face) and saves less than a
    millisecond; the smoothing here is done over the whole clip, with zero phase, by `smooth.py`.
    """

    def __init__(self, model_path: Path) -> None:
        """Reads the model, face_landmarker.task."""
        self._model = Path(model_path).read_bytes()
        self._idle: SimpleQueue[Landmarker] = SimpleQueue()
        self._close = weakref.finalize(self, _close_all, self._idle)

    def find(
        self, image_rgb: np.ndarray, center_xy: tuple[float, float], side: float, roll_deg: float = 0.0
    ) -> Mesh | None:
        """The mesh of the face in a square of the image, or None where the network sees none.

        Args:
            image_rgb: (H, W, 3) uint8.
            center_xy: middle of the square, pixels.
            side: side of the square, pixels; about twice the face.
            roll_deg: clockwise tilt of the face, which the crop takes out (the network expects upright faces).
        """
        to_crop = align.crop_matrix(center_xy, side, roll_deg, _CROP_PX)
        crop = align.warp(image_rgb, to_crop, _CROP_PX)
        landmarker = self._take()
        try:
            found = landmarker.detect(crop)
        finally:
            self._idle.put(landmarker)
        if found is None:
            return None
        # MediaPipe's 1.0 is the right edge of the last pixel; OpenCV's pixel k has its centre at k
        crop_xy = found.points478[:, :2] * _CROP_PX - 0.5
        xy = align.apply(align.invert(to_crop), crop_xy)
        z = found.points478[:, 2:] * side
        matrix = in_whole_image(found.matrix, to_crop, image_rgb.shape[:2])
        return Mesh(
            points478=np.concatenate([xy, z], axis=1).astype(np.float32), matrix=matrix, blendshapes=found.blendshapes
        )

    def close(self) -> None:
        """Frees the native landmarkers; done at exit by itself."""
        _close_all(self._idle)

    def _take(self) -> Landmarker:
        try:
            return self._idle.get_nowait()
        except Empty:
            with _STARTING, _quiet_stderr():
                landmarker = Landmarker(self._model, _MIN_CONFIDENCE)
                landmarker.detect(np.zeros((64, 64, 3), np.uint8))
            return landmarker


def _close_all(idle: SimpleQueue[Landmarker]) -> None:
    while True:
        try:
            idle.get_nowait().close()
        except Empty:
            return


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps the banners of MediaPipe's native start-up, which no log level stops, out of progress bars and JSON."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def in_whole_image(matrix: np.ndarray, to_crop: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """MediaPipe's pose in the camera of a square crop, as the pose in the camera of the whole image.

    The crop's camera has the same field of view over fewer pixels, so the same head stands further from the image's
    camera in proportion, on the line of sight through its own place in the image. The rotation becomes that relative to
    the line of sight, with the crop's roll added back (see `face.py`).

    Args:
        matrix: (4, 4) canonical model to crop camera, cm.
        to_crop: (2, 3) image pixels to crop pixels, a similarity.
        size_hw: size of the image.

    Returns:
        (4, 4) float32.
    """
    rotation, translation = matrix[:3, :3].astype(np.float64), matrix[:3, 3].astype(np.float64)
    depth = max(-translation[2], 1e-3)
    crop_focal = _CROP_PX / 2 / _TAN_HALF_FOV
    crop_xy = np.array([translation[0], -translation[1]]) / depth * crop_focal + (_CROP_PX - 1) / 2
    x, y = align.apply(align.invert(to_crop).astype(np.float64), crop_xy)
    crop_per_image = math.hypot(float(to_crop[0, 0]), float(to_crop[1, 0]))
    height, width = size_hw
    focal = height / 2 / _TAN_HALF_FOV
    whole_depth = depth * focal * crop_per_image / crop_focal
    roll = math.atan2(float(to_crop[0, 1]), float(to_crop[0, 0]))
    cos, sin = math.cos(-roll), math.sin(-roll)
    roll_back = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    result = np.eye(4, dtype=np.float32)
    result[:3, :3] = roll_back @ _turn_to_axis(translation) @ rotation
    result[:3, 3] = (
        (x - (width - 1) / 2) * whole_depth / focal,
        -(y - (height - 1) / 2) * whole_depth / focal,
        -whole_depth,
    )
    return result


def _turn_to_axis(translation: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that brings the direction of `translation` towards the camera's axis, -z, by `_LINE_OF_SIGHT_SHARE`."""
    direction = translation / max(float(np.linalg.norm(translation)), 1e-9)
    cross = np.cross(direction, [0.0, 0.0, -1.0])
    sine = float(np.linalg.norm(cross))
    angle = math.atan2(sine, -float(direction[2]))
    return cv2.Rodrigues(cross / max(sine, 1e-9) * angle * _LINE_OF_SIGHT_SHARE)[0]
