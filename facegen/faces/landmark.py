"""The dense mesh of one face: MediaPipe's FaceLandmarker, through its C interface, on an upright crop.

MediaPipe's own Python classes call the same functions, but importing them loads matplotlib and sound drivers (a second),
every call passes through another thread, and each of 478 points becomes an object.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
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

_SRGB, _IMAGE_MODE, _PYTHON = 1, 1, 3
# what is read of MpNormalizedLandmark and MpCategory, each of which goes on
_FLOAT = np.dtype(np.float32)
_LANDMARK = np.dtype({"names": ["xyz"], "formats": [(np.float32, 3)], "offsets": [0], "itemsize": 40})
_CATEGORY = np.dtype({"names": ["score"], "formats": [np.float32], "offsets": [4], "itemsize": 24})


class _List(ctypes.Structure):
    _fields_ = (("items", ctypes.c_void_p), ("count", ctypes.c_uint32))


class _Matrix(ctypes.Structure):
    _fields_ = (("rows", ctypes.c_uint32), ("cols", ctypes.c_uint32), ("data", ctypes.c_void_p))


class _Result(ctypes.Structure):
    _fields_ = (
        ("landmarks", ctypes.POINTER(_List)),
        ("landmarks_count", ctypes.c_uint32),
        ("blendshapes", ctypes.POINTER(_List)),
        ("blendshapes_count", ctypes.c_uint32),
        ("matrices", ctypes.POINTER(_Matrix)),
        ("matrices_count", ctypes.c_uint32),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Landmarks:
    """Output of the landmarker for one face, in MediaPipe's form."""

    points478: np.ndarray
    """(478, 3) float32: x and y in 0..1 of the picture, z in units of its width."""
    matrix: np.ndarray
    """(4, 4) float32, canonical model to the picture's camera, cm."""
    blendshapes: np.ndarray
    """(52,) float32 in 0..1."""


class Landmarker:
    """One landmarker in IMAGE mode for one face; to be used by one thread at a time."""

    def __init__(self, model: bytes, min_confidence: float) -> None:
        """Start the networks of face_landmarker.task.

        Args:
            model: the file.
            min_confidence: 0..1; faces that the networks are less sure of are not found.
        """
        self._library = _library()
        base_options, landmarker_options = _options_types()
        base = base_options(
            model_asset_buffer=model,
            model_asset_buffer_count=len(model),
            file_descriptor=-1,
            host_environment=_PYTHON,
        )
        options = landmarker_options(
            base_options=base,
            running_mode=_IMAGE_MODE,
            num_faces=1,
            min_face_detection_confidence=min_confidence,
            min_face_presence_confidence=min_confidence,
            min_tracking_confidence=min_confidence,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        self._handle = ctypes.c_void_p()
        self._call("MpFaceLandmarkerCreate", ctypes.byref(options), ctypes.byref(self._handle))

    def detect(self, image_rgb: np.ndarray) -> Landmarks | None:
        """The face in an (H, W, 3) uint8 picture, None where there is none."""
        pixels = np.ascontiguousarray(image_rgb)
        image, result = ctypes.c_void_p(), _Result()
        self._call(
            "MpImageCreateFromUint8Data",
            ctypes.c_int(_SRGB),
            ctypes.c_int(pixels.shape[1]),
            ctypes.c_int(pixels.shape[0]),
            ctypes.c_void_p(pixels.ctypes.data),
            ctypes.c_int(pixels.size),
            ctypes.byref(image),
        )
        try:
            self._call("MpFaceLandmarkerDetectImage", self._handle, image, None, ctypes.byref(result))
            try:
                return _landmarks(result)
            finally:
                self._library.MpFaceLandmarkerCloseResult(ctypes.byref(result))
        finally:
            self._library.MpImageFree(image)

    def close(self) -> None:
        """Free the networks."""
        self._call("MpFaceLandmarkerClose", self._handle)

    def _call(self, name: str, *arguments: object) -> None:
        message = ctypes.c_char_p()
        if getattr(self._library, name)(*arguments, ctypes.byref(message)) != 0:
            text = (message.value or b"no reason given").decode(errors="replace")
            self._library.MpErrorFree(message)
            raise RuntimeError(f"{name} failed: {text}")


def _landmarks(result: _Result) -> Landmarks | None:
    if not (result.landmarks_count and result.blendshapes_count and result.matrices_count):
        return None
    points, scores, matrix = result.landmarks[0], result.blendshapes[0], result.matrices[0]
    return Landmarks(
        points478=_copy_array(points.items, points.count, _LANDMARK)["xyz"].copy(),
        # its numbers stand column by column
        matrix=_copy_array(matrix.data, matrix.cols * matrix.rows, _FLOAT).reshape(matrix.cols, matrix.rows).T,
        blendshapes=_copy_array(scores.items, scores.count, _CATEGORY)["score"].copy(),
    )


def _copy_array(address: int, count: int, dtype: np.dtype) -> np.ndarray:
    """(count,) of native memory, which is freed with its result."""
    return np.frombuffer(ctypes.string_at(address, count * dtype.itemsize), dtype)


def _package() -> Path:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise ImportError("mediapipe is not installed")
    return Path(spec.origin).parent


@functools.cache
def _options_types() -> tuple[type[ctypes.Structure], type[ctypes.Structure]]:
    """MediaPipe's own base options, which grow from version to version (1.2.3), and the landmarker's around them."""
    file = _package() / "tasks" / "python" / "core" / "base_options_c.py"
    spec = importlib.util.spec_from_file_location("mediapipe_base_options_c", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"mediapipe has no {file.name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base: type[ctypes.Structure] = module.MpBaseOptionsC

    class Options(ctypes.Structure):
        _fields_ = (
            ("base_options", base),
            ("running_mode", ctypes.c_int),
            ("num_faces", ctypes.c_int),
            ("min_face_detection_confidence", ctypes.c_float),
            ("min_face_presence_confidence", ctypes.c_float),
            ("min_tracking_confidence", ctypes.c_float),
            ("output_face_blendshapes", ctypes.c_bool),
            ("output_facial_transformation_matrixes", ctypes.c_bool),
            ("result_callback", ctypes.c_void_p),
        )

    return base, Options


@functools.cache
def _library() -> ctypes.CDLL:
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    library = ctypes.CDLL(str(_package() / "tasks" / "c" / f"libmediapipe.{suffix}"))
    for name in ("MpFaceLandmarkerCloseResult", "MpImageFree", "MpErrorFree"):
        getattr(library, name).restype = None
    return library


_TAN_HALF_FOV = math.tan(math.radians(CAMERA_FOV_DEG / 2))
_CROP_PX = 288
"""Side of a crop: the landmark network itself sees about two thirds of it at 256x256."""
_LINE_OF_SIGHT_SHARE = 0.25
"""How much of the angle between camera axis and line of sight MediaPipe's rotation holds (measured by moving the crop
over a face; a true perspective solution would hold all of it, but the network's depth is that of a parallel view)."""
_START_LOCK = threading.Lock()
"""Landmarkers start one after another: each turns the process's standard error away for a moment."""
_MIN_CONFIDENCE = 0.3
"""Below MediaPipe's own 0.5, which misses faces that look down or away; a wrong mesh disagrees with the detector."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mesh:
    """Mesh, pose and blendshapes of one face, in the frame of reference of `face.py`."""

    points478: np.ndarray
    """(478, 3) float32 pixels of the image."""
    matrix: np.ndarray
    """(4, 4) float32."""
    blendshapes: np.ndarray
    """(52,) float32 in 0..1."""


class MeshFinder:
    """MediaPipe FaceLandmarker in IMAGE mode; may be called from several threads at once, each gets a landmarker.

    IMAGE mode, because VIDEO mode smooths with the past only (points lag behind the face) and saves less than a
    millisecond; the smoothing here is done over the whole clip, with zero phase, by `smoothing.py`.
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
            landmarks = landmarker.detect(crop)
        finally:
            self._idle.put(landmarker)
        if landmarks is None:
            return None
        # MediaPipe's 1.0 is the right edge of the last pixel; OpenCV's pixel k has its centre at k
        crop_xy = landmarks.points478[:, :2] * _CROP_PX - 0.5
        xy = align.apply(align.invert(to_crop), crop_xy)
        z = landmarks.points478[:, 2:] * side
        matrix = to_full_image(landmarks.matrix, to_crop, image_rgb.shape[:2])
        return Mesh(
            points478=np.concatenate([xy, z], axis=1).astype(np.float32),
            matrix=matrix,
            blendshapes=landmarks.blendshapes,
        )

    def close(self) -> None:
        """Frees the native landmarkers; done at exit by itself."""
        _close_all(self._idle)

    def _take(self) -> Landmarker:
        try:
            return self._idle.get_nowait()
        except Empty:
            with _START_LOCK, _quiet_stderr():
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
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def to_full_image(matrix: np.ndarray, to_crop: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """MediaPipe's pose in the camera of a square crop, as the pose in the camera of the whole image.

    The crop's camera has the same field of view over fewer pixels, so the same head stands further from the image's
    camera in proportion, on the line of sight through its position in the image. The rotation becomes that relative to
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
