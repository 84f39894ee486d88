"""MediaPipe's FaceLandmarker through its C interface.

MediaPipe's own Python classes call the same functions, but importing them loads matplotlib and sound drivers (a second),
every call passes through another thread, and each of 478 points becomes an object.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_SRGB, _IMAGE_MODE, _PYTHON = 1, 1, 3
# what is read of MpNormalizedLandmark and MpCategory, each of which goes on
_FLOAT = np.dtype(np.float32)
_LANDMARK = np.dtype({"names": ["xyz"], "formats": [(np.float32, 3)], "offsets": [0], "itemsize": 40})
_CATEGORY = np.dtype({"names": ["score"], "formats": [np.float32], "offsets": [4], "itemsize": 24})


class _BaseOptions(ctypes.Structure):
    _fields_ = (
        ("model_asset_buffer", ctypes.c_char_p),
        ("model_asset_buffer_count", ctypes.c_uint),
        ("model_asset_path", ctypes.c_char_p),
        ("file_descriptor", ctypes.c_int),
        ("delegate", ctypes.c_int),
        ("host_environment", ctypes.c_int),
        ("host_system", ctypes.c_int),
        ("host_version", ctypes.c_char_p),
        ("ca_bundle_path", ctypes.c_char_p),
        ("app_id", ctypes.c_char_p),
        ("app_version", ctypes.c_char_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("base_options", _BaseOptions),
        ("running_mode", ctypes.c_int),
        ("num_faces", ctypes.c_int),
        ("min_face_detection_confidence", ctypes.c_float),
        ("min_face_presence_confidence", ctypes.c_float),
        ("min_tracking_confidence", ctypes.c_float),
        ("output_face_blendshapes", ctypes.c_bool),
        ("output_facial_transformation_matrixes", ctypes.c_bool),
        ("result_callback", ctypes.c_void_p),
    )


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
    """What the landmarker says of one face, as MediaPipe gives it."""

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
        base = _BaseOptions(
            model_asset_buffer=model,
            model_asset_buffer_count=len(model),
            file_descriptor=-1,
            host_environment=_PYTHON,
        )
        options = _Options(
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


@functools.cache
def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise ImportError("mediapipe is not installed")
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    library = ctypes.CDLL(str(Path(spec.origin).parent / "tasks" / "c" / f"libmediapipe.{suffix}"))
    for name in ("MpFaceLandmarkerCloseResult", "MpImageFree", "MpErrorFree"):
        getattr(library, name).restype = None
    return library
