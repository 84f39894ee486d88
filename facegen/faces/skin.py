"""Median skin tones of a person over a clip, against which occluders are detected.

Hands, cups and microphones come and go, while brows, beards, make-up and glasses stay. So the colour of each place of a
face, free of the frame's light, is remembered over the clip; where a frame disagrees, something stands in front.
"""

from __future__ import annotations

import warnings

import cv2
import numpy as np

from facegen.faces import light, mesh
from facegen.faces.mesh import Array

DARKER, TINTED, SURE = 0.9, 0.3, 0.25
"""From where on a place disagrees: in brightness, in tint (log RGB), and within how much more of it for certain.
Shadows change brightness far more than tint."""
LEAST_SAMPLES = 4
"""Fewer frames than this give no median."""
LEAST_VERTICES = 4
"""That disagree, for something to be there."""
REACH_CM = 1.0
"""How far around such a vertex pixels are looked at."""
_LEAST_FACING = 0.5


def sample_tones(image_rgb: np.ndarray, points: Array) -> Array:
    """(468, 3) log RGB of the face at each vertex without the light of this frame; NaN where it is not seen.

    Args:
        image_rgb: (h, w, 3) uint8, any picture of the face.
        points: (478 or 468, 3) in its pixels.
    """
    colours, normals = _vertex_colours(image_rgb, points)
    return colours - _light(colours, normals)


def median_tones(samples: list[Array]) -> Array:
    """(468, 3) the median of the `sample_tones` for frames of one person, NaN for what too few of them show."""
    if len(samples) < LEAST_SAMPLES:
        return np.full((mesh.VERTEX_COUNT, 3), np.nan, np.float32)
    stack = np.stack(samples).astype(np.float32)
    with warnings.catch_warnings():
        # places that no frame shows stay unknown
        warnings.simplefilter("ignore", RuntimeWarning)
        median = np.nanmedian(stack, axis=0)
    median[np.isfinite(stack[..., 0]).sum(0) < LEAST_SAMPLES] = np.nan
    return median.astype(np.float32)


def occlusion(image_rgb: np.ndarray, points: Array, expected: Array) -> Array | None:
    """(h, w) float32 0..1 how surely something stands before the face; None where nothing does.

    Args:
        image_rgb: (h, w, 3) uint8, a crop of the face.
        points: (478 or 468, 3) in its pixels.
        expected: (468, 3) from `median_tones`.
    """
    colours, normals = _vertex_colours(image_rgb, points)
    change = colours - expected
    lit = _light(change, normals)
    change -= lit
    known = np.isfinite(change[:, 0]) & (light.skin_vertices() > 0.5)
    sure = _disagreement(np.where(known[:, None], change, 0))
    if np.count_nonzero(sure > 0.3) < LEAST_VERTICES:
        return None
    # vertices tell that something is there, pixels where it ends
    around = mesh.smooth(sure[:, None], known.astype(np.float32) + np.float32(1e-3), REACH_CM)[:, 0]
    near = np.minimum(around * 4, 1) * np.isfinite(expected[:, 0])
    size, points = image_rgb.shape[:2], points[: mesh.VERTEX_COUNT]
    drawn, _ = mesh.rasterise(points, np.nan_to_num(expected) + lit, size)
    reached, _ = mesh.rasterise(points, np.repeat(near[:, None], 3, 1), size)
    pixels = light.to_log(cv2.GaussianBlur(image_rgb, (0, 0), 1.0))
    found: Array = _disagreement(pixels - drawn) * reached[..., 0]
    return cv2.GaussianBlur(cv2.dilate(found, np.ones((3, 3), np.uint8)), (0, 0), 1.0)


def _disagreement(change: Array) -> Array:
    """(...) 0..1 of (..., 3) log RGB changes."""
    brightness = change.mean(-1, keepdims=True)
    tint = np.abs(change - brightness).max(-1)
    found = np.maximum((np.abs(brightness[..., 0]) - DARKER) / SURE, (tint - TINTED) / SURE)
    return np.clip(found, 0, 1).astype(np.float32)


def _vertex_colours(image_rgb: np.ndarray, points: Array) -> tuple[Array, Array]:
    """Colours (468, 3), NaN for vertices out of view, and normals (468, 3)."""
    points = points[: mesh.VERTEX_COUNT]
    height, width = image_rgb.shape[:2]
    low = np.clip(np.floor(points[:, :2].min(0)).astype(int) - 4, 0, [width - 2, height - 2])
    high = np.clip(np.ceil(points[:, :2].max(0)).astype(int) + 5, low + 2, [width, height])
    crop = image_rgb[low[1] : high[1], low[0] : high[0]]
    placed = points - np.array([*low, 0], np.float32)
    normals = mesh.normals(placed)
    colours = light.vertex_colours(crop, placed, None)
    inside = ((placed[:, :2] >= 0) & (placed[:, :2] <= high - low)).all(1)
    colours[(light.facing(normals) < _LEAST_FACING) | ~inside] = np.nan
    return colours, normals


def _light(colours: Array, normals: Array) -> Array:
    """(468, 3) the smooth part of colours that light explains, fitted where they are known and skin."""
    known = np.isfinite(colours[:, 0])
    weights = known * light.skin_vertices()
    return light.fit(np.nan_to_num(colours), normals, weights.astype(np.float32)).at(normals)
