"""The dense mesh of one face: MediaPipe's FaceLandmarker on an upright crop, brought back to the whole image."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from facegen.faces import align
from facegen.faces.face import CAMERA_FOV_DEG

_TAN_HALF_FOV = math.tan(math.radians(CAMERA_FOV_DEG / 2))
_CROP_PX = 288
"""Side of a crop: the landmark network itself sees about two thirds of it at 256x256."""


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

    def __init__(self, model_path: Path, *, min_presence: float = 0.5) -> None:
        """Reads the model.

        Args:
            model_path: face_landmarker.task.
            min_presence: 0..1, a mesh that the network is less sure of is dropped.
        """
        self._model = Path(model_path).read_bytes()
        self._min_presence = min_presence
        self._idle: SimpleQueue[Any] = SimpleQueue()

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
        import mediapipe

        to_crop = align.crop_matrix(center_xy, side, roll_deg, _CROP_PX)
        crop = align.warp(image_rgb, to_crop, _CROP_PX)
        landmarker = self._take()
        try:
            result = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=crop))
        finally:
            self._idle.put(landmarker)
        if not result.face_landmarks:
            return None
        unit = np.array([(p.x, p.y, p.z) for p in result.face_landmarks[0]], np.float32)
        # MediaPipe's 1.0 is the right edge of the last pixel; OpenCV's pixel k has its centre at k
        crop_xy = unit[:, :2] * _CROP_PX - 0.5
        xy = align.apply(align.invert(to_crop), crop_xy)
        z = unit[:, 2:] * side
        matrix = in_whole_image(result.facial_transformation_matrixes[0], to_crop, image_rgb.shape[:2])
        blendshapes = np.array([category.score for category in result.face_blendshapes[0]], np.float32)
        return Mesh(
            points478=np.concatenate([xy, z], axis=1).astype(np.float32), matrix=matrix, blendshapes=blendshapes
        )

    def close(self) -> None:
        """Frees the native landmarkers."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def _take(self) -> Any:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._make()

    def _make(self) -> Any:
        # its start-up banner on stderr would break progress bars; errors still pass
        os.environ.setdefault("GLOG_minloglevel", "2")
        from mediapipe.tasks.python import BaseOptions, vision

        return vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=self._model),
                running_mode=vision.RunningMode.IMAGE,
                num_faces=1,
                min_face_presence_confidence=self._min_presence,
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
        )


def in_whole_image(matrix: np.ndarray, to_crop: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """MediaPipe's pose in the camera of a square crop, as the pose in the camera of the whole image.

    The crop's camera has the same field of view over fewer pixels, so the same head stands further from the image's camera
    in proportion, on the line of sight through its own place in the image. The rotation becomes that relative to the line
    of sight, with the crop's roll added back (see `face.py`).

    Args:
        matrix: (4, 4) canonical model to crop camera, cm.
        to_crop: (2, 3) image pixels to crop pixels, a similarity.
        size_hw: size of the image.

    Returns:
        (4, 4) float32.
    """
    rotation, place = matrix[:3, :3].astype(np.float64), matrix[:3, 3].astype(np.float64)
    depth = max(-place[2], 1e-3)
    crop_focal = _CROP_PX / 2 / _TAN_HALF_FOV
    crop_xy = np.array([place[0], -place[1]]) / depth * crop_focal + (_CROP_PX - 1) / 2
    x, y = align.apply(align.invert(to_crop).astype(np.float64), crop_xy)
    crop_per_image = math.hypot(float(to_crop[0, 0]), float(to_crop[1, 0]))
    height, width = size_hw
    focal = height / 2 / _TAN_HALF_FOV
    whole_depth = depth * focal * crop_per_image / crop_focal
    roll = math.atan2(float(to_crop[0, 1]), float(to_crop[0, 0]))
    cos, sin = math.cos(-roll), math.sin(-roll)
    roll_back = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    result = np.eye(4, dtype=np.float32)
    result[:3, :3] = roll_back @ _turn_to_axis(place) @ rotation
    result[:3, 3] = (
        (x - (width - 1) / 2) * whole_depth / focal,
        -(y - (height - 1) / 2) * whole_depth / focal,
        -whole_depth,
    )
    return result


def _turn_to_axis(place: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation that brings the direction of `place` onto the camera's axis, -z."""
    direction = place / max(float(np.linalg.norm(place)), 1e-9)
    axis = np.array([0.0, 0.0, -1.0])
    cross, cosine = np.cross(direction, axis), float(direction @ axis)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)
