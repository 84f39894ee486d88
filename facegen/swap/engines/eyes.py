"""Eyes: the target's own, with its gaze, blinks and lids, and irises recoloured to the source's.

A source's eye rendered between the target's lids looks right only where both are equally open: narrow eyes would be
stretched. What identifies a person's eyes is the colour of the iris relative to the sclera, and that is transferred.
"""

from __future__ import annotations

import numpy as np

from facegen.faces import mesh
from facegen.faces.mesh import Array

SIDES = ((mesh.EYE_LEFT, (468, 469, 470, 471, 472)), (mesh.EYE_RIGHT, (473, 474, 475, 476, 477)))
"""Lid line (16 vertices) and iris (centre and ring) of the eye on the image's left, and of that on its right."""
MIN_PIXELS = 6
"""Fewest pixels of sclera and of iris from which the colour of an eye is measured."""
MIN_GAIN, MAX_GAIN = 0.4, 2.5
"""By how much an iris may be darkened or lightened."""
BLACK = 4.0
"""Added to 0..255 intensities before they are divided."""


def eye_aspect_ratio(points: Array, lids: tuple[int, ...]) -> float:
    """Lid gap by eye width (Soukupova and Cech 2016), from the (16,) vertices of the lid line."""
    corner_a, corner_b = points[lids[0], :2], points[lids[8], :2]
    gap = np.linalg.norm(points[lids[4], :2] - points[lids[12], :2])
    return float(gap / (np.linalg.norm(corner_a - corner_b) + 1e-6))


def iris_colours(image_rgb: np.ndarray, points: Array) -> tuple[Array | None, Array | None]:
    """For each eye the RGB of its iris divided by that of its sclera, (3,), independent of light; None if not visible.

    Args:
        image_rgb: (h, w, 3) uint8 picture of a face.
        points: (478, 2 or 3) in its pixels.
    """
    left, right = (_relative_colour(eye) for eye in _eyes(image_rgb, points))
    # one eye may be in the shade of the nose
    return (left if left is not None else right), (right if right is not None else left)


def recolour_irises(image_rgb: Array, points: Array, colours: tuple[Array | None, Array | None]) -> Array:
    """Recolours the irises of a picture; highlights stay.

    Args:
        image_rgb: (h, w, 3) float32 RGB 0..255.
        points: (478, 2 or 3) in its pixels.
        colours: of another face, see `iris_colours`.

    Returns:
        A copy.
    """
    image_rgb = image_rgb.copy()
    for eye, colour in zip(_eyes(image_rgb, points), colours, strict=True):
        measured = _measure(eye)
        if colour is None or measured is None:
            continue
        sclera, iris = measured
        gain = np.clip(colour * sclera / iris, MIN_GAIN, MAX_GAIN)
        bright = np.clip((eye.pixels.mean(-1) - iris.mean()) / max(float(sclera.mean() - iris.mean()), 8), 0, 1)
        weight = eye.iris * (1 - bright * bright)
        image_rgb[eye.region] = eye.pixels * (1 + (gain - 1) * weight[..., None])
    return image_rgb


class _Eye:
    """The box around one eye: its slice of the image, its pixels (h, w, 3) float32, masks of opening and iris, 0..1."""

    def __init__(self, image_rgb: np.ndarray, lids: Array, iris: Array) -> None:
        x0, y0 = np.clip(np.floor(lids.min(0)).astype(int) - 2, 0, None).tolist()
        x1, y1 = np.minimum(np.ceil(lids.max(0)).astype(int) + 3, image_rgb.shape[1::-1]).tolist()
        self.region = np.s_[y0 : max(y1, y0), x0 : max(x1, x0)]
        self.pixels = image_rgb[self.region].astype(np.float32)
        size = self.pixels.shape[:2]
        corner = np.array([x0, y0], np.float32)
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) + 0.5
        centre = iris[0] - corner
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        from_edge = radius - np.hypot(x - centre[0], y - centre[1])
        self.iris = np.clip(from_edge / max(radius / 4, 1) + 0.5, 0, 1)
        self.opening = mesh.polygon_mask(lids - corner, size).astype(np.float32) / 255 if min(size) else self.iris


def _eyes(image_rgb: np.ndarray, points: Array) -> tuple[_Eye, _Eye]:
    left, right = (_Eye(image_rgb, points[list(lids), :2], points[list(iris), :2]) for lids, iris in SIDES)
    return left, right


def _measure(eye: _Eye) -> tuple[Array, Array] | None:
    """(3,) RGB of the brightest of the sclera, and of the iris between pupil and highlight."""
    sclera, iris = (eye.opening > 0.9) & (eye.iris < 0.05), (eye.opening > 0.9) & (eye.iris > 0.95)
    if np.count_nonzero(sclera) < MIN_PIXELS or np.count_nonzero(iris) < MIN_PIXELS:
        return None
    return _percentile_mean(eye.pixels[sclera], 60, 100) + BLACK, _percentile_mean(eye.pixels[iris], 25, 75) + BLACK


def _relative_colour(eye: _Eye) -> Array | None:
    measured = _measure(eye)
    return None if measured is None else measured[1] / measured[0]


def _percentile_mean(pixels: Array, low: float, high: float) -> Array:
    """Mean of the (N, 3) pixels whose brightness lies between two percentiles."""
    brightness = pixels.mean(-1)
    a, b = np.percentile(brightness, (low, high))
    mean: Array = pixels[(brightness >= a) & (brightness <= b)].mean(0)
    return mean
