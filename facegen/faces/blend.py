"""Blending of a drawn face into a picture: feathered borders, matched sharpness and grain."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from facegen.faces.mesh import Array

GRAIN_TILE = 512


def inner_distance(covered: np.ndarray) -> Array:
    """(h, w) float32: distance of each pixel of a region to its outline, pixels; 0 outside.

    Args:
        covered: (h, w) bool; beyond the picture's edge the region goes on as it ends.
    """
    framed = cv2.copyMakeBorder(covered.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth: Array = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return depth


def feather(depth: Array, width_px: float) -> Array:
    """(h, w) float32: 0 outside a region and at its outline, rising smoothly to 1 inside.

    Args:
        depth: from `inner_distance`.
        width_px: depth at which the result reaches 1.
    """
    linear = np.clip((depth - 1) * np.float32(1 / max(width_px, 1e-3)), 0, 1)
    return linear * linear * (3 - 2 * linear)


def gaussian_blur(image: Array, sigma_px: float) -> Array:
    """A Gaussian blur; a wide one is done on a small copy of the picture, where it costs little.

    Args:
        image: (h, w) or (h, w, C) float32.
        sigma_px: its standard deviation.
    """
    sizes: list[tuple[int, int]] = []
    while sigma_px >= 4 * 2 ** len(sizes) and min(image.shape[:2]) > 8:
        sizes.append((image.shape[1], image.shape[0]))
        image = cv2.pyrDown(image)
    # going a level down blurs by a variance of one pixel of that level, and so does coming up again
    variance = sigma_px**2 - sum(2 * 4**level for level in range(len(sizes)))
    image = cv2.GaussianBlur(image, (0, 0), math.sqrt(variance) / 2 ** len(sizes))
    for size in reversed(sizes):
        image = cv2.pyrUp(image, dstsize=size)
    return image


def blend_bands(picture: Array, drawn: Array, wide: Array, narrow: Array, radius_px: float) -> Array:
    """Blend colours over a wide border and details over a narrow one (Burt and Adelson 1983, with two bands).

    Args:
        picture: (h, w, 3) float32 background.
        drawn: (h, w, 3) float32 foreground.
        wide: (h, w) opacity of the slowly varying part, 0..1.
        narrow: (h, w) opacity of the details, 0..1.
        radius_px: size above which a structure counts as slowly varying.

    Returns:
        (h, w, 3) float32; equal to `picture` where both opacities are 0.
    """
    # three equal channels are multiplied several times faster than one is repeated
    narrow_share = cv2.merge([narrow] * 3)
    detail = (drawn - picture) * narrow_share
    weight = gaussian_blur(narrow, radius_px) + np.float32(1e-3)
    slow = gaussian_blur(detail, radius_px) / cv2.merge([weight] * 3)
    return picture + detail + slow * (cv2.merge([wide] * 3) - narrow_share)


def sharpness(luma: Array, where: np.ndarray) -> float:
    """Energy of the finest structure relative to that of coarser structure: about 0.2 when blurred, 0.7 when crisp.

    Args:
        luma: (h, w) float32 of any scale.
        where: (h, w) bool pixels that count.
    """
    near, far = cv2.GaussianBlur(luma, (0, 0), 0.8), cv2.GaussianBlur(luma, (0, 0), 3.2)
    mask = where.view(np.uint8)
    return cv2.norm(luma, near, cv2.NORM_L1, mask) / (cv2.norm(near, far, cv2.NORM_L1, mask) + 1e-6)


def soften(image: Array, excess: float) -> Array:
    """Soften a picture whose `sharpness` is `excess` times the intended one (1 or less: unchanged)."""
    sigma = softening_px(excess)
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image


def softening_px(excess: float) -> float:
    """Standard deviation in pixels of the blur that `soften` does; 0 for none."""
    return 0.0 if excess <= 1.05 else min(0.45 * math.sqrt(excess - 1), 2.5)


def measure_grain(luma: Array, where: np.ndarray) -> float:
    """Standard deviation of a picture's noise, from the median of its finest differences (Immerkaer 1996), 0..255."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    differences = np.abs(cv2.filter2D(luma, -1, kernel))
    steps = 8  # of the histogram by which the median is computed, in one step of luma
    counts = cv2.calcHist([differences], [0], where.view(np.uint8), [256 * steps], [0, 256]).ravel().cumsum()
    if counts[-1] < 64:
        return 0.0
    return float(np.searchsorted(counts, counts[-1] / 2)) / steps / 0.6745 / 6


@functools.cache
def _grain_tiles(repeats: int) -> Array:
    """Noise of deviation 1, blurred like a camera's denoised noise: a tile, repeated in both directions."""
    noise: Array = np.random.default_rng(0).standard_normal((GRAIN_TILE, GRAIN_TILE)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.6, borderType=cv2.BORDER_REFLECT)
    return np.tile(noise / noise.std(), (repeats, repeats))


def draw_grain(size_hw: tuple[int, int], deviation: float, seed: int) -> Array:
    """(h, w, 3) grey noise of a given standard deviation, the same for the same seed."""
    top, left = np.random.default_rng(seed).integers(0, GRAIN_TILE, 2)
    tiles = _grain_tiles(1 + -(-max(size_hw) // GRAIN_TILE))
    noise = tiles[top : top + size_hw[0], left : left + size_hw[1]] * np.float32(deviation)
    return cv2.merge([noise] * 3)


def warp_back(
    picture: Array,
    alpha: Array,
    matrix: Array,
    low: np.ndarray,
    high: np.ndarray,
    interpolation: int = cv2.INTER_LINEAR,
) -> tuple[Array, Array]:
    """Warps a crop of a face back into the pixels of its frame.

    Args:
        picture: (S, S, 3) float32.
        alpha: (S, S) float32 in [0, 1].
        matrix: (2, 3) from pixels of the frame to those of the crop.
        low: (2,) upper left corner of a box of the frame, x and y.
        high: (2,) its lower right corner.
        interpolation: of the picture, as OpenCV counts them.

    Returns:
        The picture, (h, w, 3), and its alpha, (h, w) in [0, 1], of that box.
    """
    width, height = np.maximum(high - low, 1).tolist()
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ low
    shrunk = int(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrunk >= 2:
        # a crop much larger than the face in the frame: means over whole pixels first, so that nothing is skipped
        whole = picture.shape[0]
        side = max(whole // shrunk, 1)
        picture, alpha = (cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in (picture, alpha))
        factor = side / whole
        matrix = matrix * factor
        matrix[:, 2] += 0.5 * factor - 0.5
    flags = cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        picture, matrix, (width, height), flags=interpolation | flags, borderMode=cv2.BORDER_REPLICATE
    )
    share = cv2.warpAffine(alpha.astype(np.float32), matrix, (width, height), flags=cv2.INTER_LINEAR | flags)
    return warped, np.clip(share, 0, 1)
