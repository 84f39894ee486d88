"""Warping a picture from one face mesh to another, and the regions that stay the target's own."""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import SIDES

EYE_SHOWN = 0.9
"""How much of the height between the lids is eye: their edges are the source's."""
AROUND = 0.05
"""How far outside of the target's outline the picture may change, as a share of the face's width."""


def warp_field(target: Array, shape: Array, size_hw: tuple[int, int]) -> tuple[tuple[Array, Array], Array]:
    """The sampling grid that warps a picture from one mesh to another, and its falloff.

    Inside the target's outline the picture follows the mesh fully, outside of it less and less, so that the chin and
    cheek line takes the new shape and the background stays continuous.

    Args:
        target: (468, 3) where the vertices were, pixels.
        shape: (468, 3) where they go.
        size_hw: size of the picture.

    Returns:
        x and y to sample at, each (h, w) pixels, see `remap`; and (h, w) 1 inside, falling to 0 at `AROUND` outside.
    """
    hull = mesh.polygon_mask(cv2.convexHull(np.ascontiguousarray(target[:, :2], np.float32))[:, 0], size_hw)
    outside = cv2.distanceTransform(255 - hull, cv2.DIST_L2, 3)
    around = AROUND * float(np.ptp(target[:, 0]))
    near = np.clip(1 - outside / around, 0, 1)
    reach = near * near * (3 - 2 * near)
    offsets = np.column_stack([(target - shape)[:, :2], np.zeros(len(shape))]).astype(np.float32)
    offset_x, offset_y, _ = cv2.split(interpolate_vertices(offsets, shape, size_hw, around))
    x, y = np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32)
    return (offset_x * reach + x, offset_y * reach + y[:, None]), reach


def remap(picture: np.ndarray, field: tuple[Array, Array]) -> np.ndarray:
    """A picture (or mask) sampled at the positions of `warp_field`."""
    return cv2.remap(picture, *field, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def eye_mouth_mask(shape: Array, size_hw: tuple[int, int]) -> Array:
    """(h, w) where the target's own eyes and mouth interior are seen, 0..1 with soft edges."""
    mask = mesh.polygon_mask(shape[list(mesh.LIPS_INNER), :2], size_hw)
    for lids, _ in SIDES:
        line = shape[list(lids), :2]
        along = (line[8] - line[0]) / (np.linalg.norm(line[8] - line[0]) + 1e-6)
        across = np.array([-along[1], along[0]], np.float32)
        line = line - np.outer((line - line[0]) @ across * (1 - EYE_SHOWN), across)
        mask |= mesh.polygon_mask(line.astype(np.float32), size_hw)
    radius = max(float(np.ptp(shape[:, 0])) * 0.006, 0.5)
    return cv2.GaussianBlur(mask, (0, 0), radius).astype(np.float32) / 255


def interpolate_vertices(vertex_values: Array, shape: Array, size_hw: tuple[int, int], spread_px: float = 6) -> Array:
    """Interpolates values of the vertices over the mesh and extrapolates them beyond its outline.

    They vary slowly, so this is done at a third of the size.

    Args:
        vertex_values: (468, 3).
        shape: (468, 3) the vertices, pixels.
        size_hw: size of the picture.
        spread_px: standard deviation of the blur that extrapolates, pixels.

    Returns:
        (h, w, 3) float32.
    """
    small = (max(size_hw[0] // 3, 8), max(size_hw[1] // 3, 8))
    factor = np.array([small[1] / size_hw[1], small[0] / size_hw[0], 1 / 3], np.float32)
    values, covered = mesh.rasterise(shape * factor, vertex_values, small)
    spread = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), spread_px / 3) + np.float32(1e-4)
    spreading: Array = cv2.GaussianBlur(values, (0, 0), spread_px / 3) / cv2.merge([spread] * 3)
    values = cv2.copyTo(values, covered.view(np.uint8), spreading)
    return cv2.resize(values, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
