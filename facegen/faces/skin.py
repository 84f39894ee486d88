"""Median skin tones of a person over a clip, against which occluders are detected.

Hands, cups and microphones come and go, while brows, beards, make-up and glasses stay. So the median colour of
each vertex over the clip, with the frame's shading removed, is the reference; where a frame differs from it, the face is
occluded.
"""

from __future__ import annotations

import warnings

import cv2
import numpy as np

from facegen.faces import light, mesh
from facegen.faces.mesh import Array

BRIGHTNESS_LIMIT, TINT_LIMIT, LIMIT_WIDTH = 0.9, 0.3, 0.25
"""Differences from which on a vertex counts as occluded, in brightness and in tint (log RGB), and the width of the ramp up
to certainty. Shadows change brightness far more than tint."""
MIN_SAMPLES = 4
"""Fewer frames than this give no median."""
MIN_VERTICES = 4
"""Fewer occluded vertices than this count as none."""
RADIUS_CM = 1.0
"""Radius around an occluded vertex in which pixels are tested, cm on the face."""
_MIN_FACING = 0.5


def sample_tones(image_rgb: np.ndarray, points: Array) -> Array:
    """(468, 3) log RGB of the face at each vertex with the shading of this frame removed; NaN where it is not visible.

    Args:
        image_rgb: (h, w, 3) uint8, any picture of the face.
        points: (478 or 468, 3) in its pixels.
    """
    colours, normals = _vertex_colours(image_rgb, points)
    return colours - _fit_light(colours, normals)


def median_tones(samples: list[Array]) -> Array:
    """(468, 3) the median of the `sample_tones` for frames of one person, NaN for what too few of them show."""
    if len(samples) < MIN_SAMPLES:
        return np.full((mesh.VERTEX_COUNT, 3), np.nan, np.float32)
    stack = np.stack(samples).astype(np.float32)
    with warnings.catch_warnings():
        # vertices that no frame shows stay NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(stack, axis=0)
    median[np.isfinite(stack[..., 0]).sum(0) < MIN_SAMPLES] = np.nan
    return median.astype(np.float32)


def occlusion(image_rgb: np.ndarray, points: Array, expected: Array) -> Array | None:
    """(h, w) float32 0..1 probability that the face is occluded; None where nothing occludes it.

    Args:
        image_rgb: (h, w, 3) uint8, a crop of the face.
        points: (478 or 468, 3) in its pixels.
        expected: (468, 3) from `median_tones`.
    """
    colours, normals = _vertex_colours(image_rgb, points)
    change = colours - expected
    shading = _fit_light(change, normals)
    change -= shading
    known = np.isfinite(change[:, 0]) & (light.skin_vertices() > 0.5)
    disagreement = _disagreement(np.where(known[:, None], change, 0))
    if np.count_nonzero(disagreement > 0.3) < MIN_VERTICES:
        return None
    # vertices show that something occludes the face, pixels where it ends
    around = mesh.smooth(disagreement[:, None], known.astype(np.float32) + np.float32(1e-3), RADIUS_CM)[:, 0]
    near = np.minimum(around * 4, 1) * np.isfinite(expected[:, 0])
    size, points = image_rgb.shape[:2], points[: mesh.VERTEX_COUNT]
    drawn, _ = mesh.rasterise(points, np.nan_to_num(expected) + shading, size)
    reached, _ = mesh.rasterise(points, np.repeat(near[:, None], 3, 1), size)
    pixels = light.to_log(cv2.GaussianBlur(image_rgb, (0, 0), 1.0))
    evidence: Array = _disagreement(pixels - drawn) * reached[..., 0]
    return cv2.GaussianBlur(cv2.dilate(evidence, np.ones((3, 3), np.uint8)), (0, 0), 1.0)


def _disagreement(change: Array) -> Array:
    """(...) 0..1 of (..., 3) log RGB changes."""
    brightness = change.mean(-1, keepdims=True)
    tint = np.abs(change - brightness).max(-1)
    excess = np.maximum(
        (np.abs(brightness[..., 0]) - BRIGHTNESS_LIMIT) / LIMIT_WIDTH, (tint - TINT_LIMIT) / LIMIT_WIDTH
    )
    return np.clip(excess, 0, 1).astype(np.float32)


def _vertex_colours(image_rgb: np.ndarray, points: Array) -> tuple[Array, Array]:
    """Colours (468, 3), NaN for vertices out of view, and normals (468, 3)."""
    points = points[: mesh.VERTEX_COUNT]
    height, width = image_rgb.shape[:2]
    low = np.clip(np.floor(points[:, :2].min(0)).astype(int) - 4, 0, [width - 2, height - 2])
    high = np.clip(np.ceil(points[:, :2].max(0)).astype(int) + 5, low + 2, [width, height])
    crop = image_rgb[low[1] : high[1], low[0] : high[0]]
    crop_points = points - np.array([*low, 0], np.float32)
    normals = mesh.normals(crop_points)
    colours = light.vertex_colours(crop, crop_points, None)
    inside = ((crop_points[:, :2] >= 0) & (crop_points[:, :2] <= high - low)).all(1)
    colours[(light.facing(normals) < _MIN_FACING) | ~inside] = np.nan
    return colours, normals


def _fit_light(colours: Array, normals: Array) -> Array:
    """(468, 3) shading fitted to the colours of known skin vertices."""
    known = np.isfinite(colours[:, 0])
    weights = known * light.skin_vertices()
    return light.fit(np.nan_to_num(colours), normals, weights.astype(np.float32)).at(normals)
