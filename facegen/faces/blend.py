"""Laying a drawn face over a picture: borders that cannot be seen, and the picture's own sharpness and grain."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from facegen.faces.mesh import Array

GRAIN_TILE = 512


def ramp(covered: np.ndarray, width_px: float) -> Array:
    """How deep each pixel lies inside a region.

    Args:
        covered: (h, w) bool; beyond the picture's edge the region goes on as it ends.
        width_px: depth at which the ramp reaches 1.

    Returns:
        (h, w) float32: 0 outside and at the outline, rising smoothly to 1 inside.
    """
    framed = cv2.copyMakeBorder(covered.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    linear = np.clip((depth - 1) / max(width_px, 1e-3), 0, 1)
    return linear * linear * (3 - 2 * linear)


def two_bands(picture: Array, drawn: Array, wide: Array, narrow: Array, radius_px: float) -> Array:
    """Blend colours over a wide border and details over a narrow one (Burt and Adelson 1983, with two bands).

    Args:
        picture: (h, w, 3) float32 what lies beneath.
        drawn: (h, w, 3) float32 what is laid over it.
        wide: (h, w) opacity of the slowly varying part, 0..1.
        narrow: (h, w) opacity of the details, 0..1.
        radius_px: size above which a structure counts as slowly varying.

    Returns:
        (h, w, 3) float32; equal to `picture` where both opacities are 0.
    """
    difference = drawn - picture
    weight = cv2.GaussianBlur(narrow, (0, 0), radius_px)[..., None] + 1e-3
    slow = cv2.GaussianBlur(difference * narrow[..., None], (0, 0), radius_px) / weight
    return picture + slow * wide[..., None] + (difference - slow) * narrow[..., None]


def sharpness(luma: Array, where: np.ndarray) -> float:
    """How much of a picture's fine structure is as fine as single pixels: about 0.2 when blurred, 0.7 when crisp.

    Args:
        luma: (h, w) float32 of any scale.
        where: (h, w) bool pixels to look at.
    """
    near, far = cv2.GaussianBlur(luma, (0, 0), 0.8), cv2.GaussianBlur(luma, (0, 0), 3.2)
    fine = np.abs(luma - near)[where]
    middle = np.abs(near - far)[where]
    return float(fine.sum() / (middle.sum() + 1e-6))


def blurred_to(image: Array, excess: float) -> Array:
    """Soften a picture whose `sharpness` is `excess` times what it should be (1 or less: left alone)."""
    if excess <= 1.05:
        return image
    sigma = min(0.45 * np.sqrt(excess - 1), 2.5)
    return cv2.GaussianBlur(image, (0, 0), sigma)


def grain_of(luma: Array, where: np.ndarray) -> float:
    """Standard deviation of a picture's noise, from the median of its finest differences (Immerkaer 1996), 0..255."""
    if where.sum() < 64:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(luma, -1, kernel)[where])) / 0.6745 / 6)


@functools.cache
def _grain_tile() -> Array:
    """A square of unit noise with the softness that a camera's denoised noise has."""
    noise: Array = np.random.default_rng(0).standard_normal((GRAIN_TILE, GRAIN_TILE)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.6, borderType=cv2.BORDER_REFLECT)
    return noise / noise.std()


def grain(size_hw: tuple[int, int], deviation: float, seed: int) -> Array:
    """(h, w, 1) noise of a given standard deviation, the same for the same seed."""
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, GRAIN_TILE, 2)
    rows = np.arange(top, top + size_hw[0]) % GRAIN_TILE
    columns = np.arange(left, left + size_hw[1]) % GRAIN_TILE
    return _grain_tile()[rows[:, None], columns[None]][..., None] * np.float32(deviation)
