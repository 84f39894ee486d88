"""Measurements on the pixels of an aligned face: sharpness, motion blur, brightness, colour, perceptual hash."""

from __future__ import annotations

import cv2
import numpy as np

MEASURED_SIZE = 160
"""Faces are brought to this side first, so that figures of different sizes can be compared."""


def hull_mask(points68: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8, 255 inside the convex hull of the points."""
    mask = np.zeros(size_hw, np.uint8)
    hull = cv2.convexHull(np.round(points68 * 16).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 255, lineType=cv2.LINE_AA, shift=4)
    return mask


def measure(image_rgb: np.ndarray, points68: np.ndarray) -> dict[str, float | str]:
    """The figures of a `FaceRecord` that come from its pixels.

    Args:
        image_rgb: (S, S, 3) uint8 aligned face.
        points68: (68, 2) its points.

    Returns:
        sharpness, motion_blur, brightness, hue, black and phash by name.
    """
    scale = MEASURED_SIZE / image_rgb.shape[0]
    small = cv2.resize(
        image_rgb, (MEASURED_SIZE, MEASURED_SIZE), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    inside = hull_mask(points68 * scale, (MEASURED_SIZE, MEASURED_SIZE)) > 127
    if inside.sum() < 64:
        inside[:] = True
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    blurred, motion = _sharpness(grey, inside)
    chroma = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)[inside].astype(np.float32).mean(0)
    return {
        "sharpness": blurred,
        "motion_blur": motion,
        "brightness": float(grey[inside].mean()),
        "hue": float(np.degrees(np.arctan2(chroma[2] - 128, chroma[1] - 128)) % 360),
        "black": float((small.max(2) < 8).mean()),
        "phash": phash(_inner(grey, points68 * scale)),
    }


def _sharpness(grey: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Energy of the finest detail over that of coarse detail, and how one-sided the fine detail is."""
    eroded = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    where = eroded if eroded.sum() > 64 else inside
    across = cv2.filter2D(grey, -1, np.array([[-1, 0, 1]], np.float32))[where]
    down = cv2.filter2D(grey, -1, np.array([[-1], [0], [1]], np.float32))[where]
    contrast = float(grey[where].std()) + 4.0
    fine = float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)[where]).mean())
    # the structure tensor's eigenvalues: energy along and across the direction that has least detail
    a, b, c = float((across**2).mean()), float((across * down).mean()), float((down**2).mean())
    spread = np.hypot(a - c, 2 * b)
    small, large = (a + c - spread) / 2, (a + c + spread) / 2
    return 100 * fine / contrast, float(1 - np.sqrt(max(small, 0.0) / (large + 1e-6)))


def _inner(grey: np.ndarray, points68: np.ndarray) -> np.ndarray:
    """Brows to mouth: where two frames of one face differ when its expression does."""
    low = np.clip(np.floor(points68[17:].min(0)), 0, MEASURED_SIZE - 8).astype(int)
    high = np.clip(np.ceil(points68[17:].max(0)), low + 8, MEASURED_SIZE).astype(int)
    return grey[low[1] : high[1], low[0] : high[0]]


def phash(grey: np.ndarray) -> str:
    """Perceptual fingerprint: signs of the lowest 8x8 cosine coefficients of a 32x32 picture against their median."""
    small = cv2.resize(grey.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def hash_bits(hashes: list[str]) -> np.ndarray:
    """(N, 64) uint8 bits of fingerprints; zeros for an empty one."""
    numbers = np.array([int(text or "0", 16) for text in hashes], ">u8")
    return np.unpackbits(numbers.view(np.uint8).reshape(-1, 8), axis=1)


def histogram(image_rgb: np.ndarray) -> np.ndarray:
    """(96,) float32: 32 bins of each colour, summing to 1."""
    parts = [cv2.calcHist([image_rgb], [channel], None, [32], [0, 256]).ravel() for channel in range(3)]
    return (np.concatenate(parts) / (3 * image_rgb.shape[0] * image_rgb.shape[1])).astype(np.float32)
