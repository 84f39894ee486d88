"""Similarity transforms between faces and the templates that networks were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np

from facegen.faces.face import Face

PARSE5 = np.array(
    [[97.9, 124.1], [158.1, 124.1], [128.0, 165.4], [100.9, 188.1], [155.1, 188.1]], np.float32
) / np.float32(256)
"""(5, 2) in 0..1: where the pictures that the parser was trained on have `Face.points5` (medians over 299 of them)."""

TEMPLATES: Mapping[str, np.ndarray] = {
    name: np.array(points, np.float32).reshape(5, 2)
    for name, points in {
        "arcface-112-v1": (
            *(0.35473214, 0.45658929, 0.64526786, 0.45658929, 0.5, 0.61154464),
            *(0.37913393, 0.776875, 0.62086607, 0.776875),
        ),
        "arcface-112-v2": (
            *(0.34191607, 0.46157411, 0.65653393, 0.45983393, 0.500225, 0.64050536),
            *(0.37097589, 0.82469196, 0.63151696, 0.82325089),
        ),
        "arcface-128": (
            *(0.36167656, 0.40387734, 0.63696719, 0.40235469, 0.50019687, 0.56044219),
            *(0.38710391, 0.72160547, 0.61507734, 0.72034453),
        ),
        "dfl-whole-face": (
            *(0.35342266, 0.39285716, 0.62797622, 0.39285716, 0.48660713, 0.5401786),
            *(0.38839287, 0.68750011, 0.59821427, 0.68750011),
        ),
        "ffhq-512": (
            *(0.37691676, 0.46864664, 0.62285697, 0.46912813, 0.50123859, 0.61331904),
            *(0.39308822, 0.725411, 0.61150205, 0.72490465),
        ),
        "mtcnn-512": (
            *(0.36562865, 0.46733799, 0.63305391, 0.46585885, 0.50019127, 0.61942959),
            *(0.39032951, 0.77598822, 0.62178945, 0.77476328),
        ),
    }.items()
}
"""(5, 2) in 0..1, by name: where published networks expect eyes, nose and mouth corners in their crops (FaceFusion 3.8)."""

DLIB5 = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ],
    np.float32,
)
"""(5, 2) in 0..1: dlib's five points (eye corners of the image's right eye from outside, of the left eye from outside,
base of the nose) in its mean face, before padding."""


def similarity(points: np.ndarray, template: np.ndarray, size: float) -> np.ndarray:
    """The rotation, scale and shift that bring points onto a template with least squared error (Umeyama 1991).

    Args:
        points: (N, 2) pixels of the image.
        template: (N, 2) positions in 0..1 of the crop.
        size: side of the crop in pixels.

    Returns:
        (2, 3) float32 matrix from image pixels to crop pixels, as `cv2.warpAffine` takes it.
    """
    source = np.asarray(points, np.float64)
    target = np.asarray(template, np.float64) * size
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    s, t = source - source_mean, target - target_mean
    # as complex numbers the best rotation and scale is one division; a mirror image cannot come out
    s_complex, t_complex = s[:, 0] + 1j * s[:, 1], t[:, 0] + 1j * t[:, 1]
    factor = np.vdot(s_complex, t_complex) / max(float(np.vdot(s_complex, s_complex).real), 1e-12)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([linear, (target_mean - linear @ source_mean)[:, None]], axis=1).astype(np.float32)


def invert(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) float32 inverse of a (2, 3) affine matrix."""
    return cv2.invertAffineTransform(np.asarray(matrix, np.float64)).astype(np.float32)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., 2) points moved by a (2, 3) affine matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def parse_matrix(face: Face, size: int = 256) -> np.ndarray:
    """(2, 3) float32 matrix from image pixels to the FFHQ-like crop of side `size` that the parser works on."""
    return similarity(face.points5, PARSE5, size)


def crop_matrix(center_xy: tuple[float, float], side: float, roll_deg: float, size: int) -> np.ndarray:
    """(2, 3) float32 matrix from image pixels to an upright square crop.

    Args:
        center_xy: middle of the square in the image, pixels.
        side: side of the square in the image, pixels.
        roll_deg: clockwise tilt of the face in the image, which the crop takes out.
        size: side of the crop in pixels.
    """
    angle, scale = math.radians(roll_deg), size / side
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    linear = np.array([[cos, sin], [-sin, cos]])
    # pixel centres: the square's middle is at (size - 1) / 2 of the crop
    offset = (size - 1) / 2 - linear @ np.asarray(center_xy, np.float64)
    return np.concatenate([linear, offset[:, None]], axis=1).astype(np.float32)


def warp(image_rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """A square crop of an image, border pixels repeated outside; shrinking to half or less averages first.

    Args:
        image_rgb: (H, W, 3) uint8.
        matrix: (2, 3) from image to crop pixels.
        size: side of the crop.

    Returns:
        (size, size, 3) uint8.
    """
    scale = math.hypot(float(matrix[0, 0]), float(matrix[1, 0]))
    if scale <= 0.5:
        image_rgb, matrix = _shrunk_region(image_rgb, matrix, size, int(1 / scale))
    return cv2.warpAffine(image_rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _shrunk_region(image_rgb: np.ndarray, matrix: np.ndarray, size: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image that a crop shows, `times` smaller, and the matrix from it to the crop.

    Means over whole pixels take a tenth of the time of a shrinking by just as much as is needed.
    """
    height, width = image_rgb.shape[:2]
    corners = apply(invert(matrix), np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float32))
    x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, [width - 1, height - 1])
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 3, [x0 + 1, y0 + 1], [width, height])
    columns, rows = max(1, (x1 - x0) // times), max(1, (y1 - y0) // times)
    part = image_rgb[y0 : y0 + rows * times, x0 : x0 + columns * times]
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    fx, fy = columns / part.shape[1], rows / part.shape[0]
    # small pixel (u, v) is image pixel ((u + 0.5) / f - 0.5 + x0)
    to_image = np.array([[1 / fx, 0, 0.5 / fx - 0.5 + x0], [0, 1 / fy, 0.5 / fy - 0.5 + y0], [0, 0, 1]])
    return small, (np.vstack([matrix, [0, 0, 1]]) @ to_image)[:2].astype(np.float32)
