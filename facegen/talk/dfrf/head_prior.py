"""Where a head's surface roughly is, before anything is learned: the mesh's front, rounded off to the outline of the hair.

The head is seen from the front, so one depth for each place of a frontal grid says it well enough to sample near it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.talk.dfrf.camera import HeadTrack

X_RANGE, Y_RANGE = (-1.5, 1.5), (-1.6, 1.9)
"""World units that the grid covers."""
GRID_HW = (112, 96)
"""Rows from the top of the head down, columns from the picture's left."""
_OUTLINE_BEHIND = 0.45
"""How far behind the mesh's hindmost point the outline of hair and ears lies, world units."""
_ROUNDS = 1500
_FIT_REACH = 0.12
"""World units over which a point on the head bends the relief."""


@dataclass(frozen=True, eq=False)
class HeadPrior:
    """A head as a relief."""

    depth: np.ndarray
    """GRID_HW float32: z of the surface, world units."""
    inside: np.ndarray
    """GRID_HW float32 0..1: how often the head is there."""


def grid_points(depth: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) world points of a relief."""
    x = np.linspace(*X_RANGE, GRID_HW[1])
    y = np.linspace(*Y_RANGE[::-1], GRID_HW[0])
    return np.stack([*np.meshgrid(x, y), depth], -1)


def find_prior(track: HeadTrack, heads: Iterable[tuple[int, np.ndarray]]) -> HeadPrior:
    """The relief of the mesh and of head masks.

    Args:
        track: poses and mesh.
        heads: number of a frame and its (H, W) bool mask of the head, for some frames.
    """
    points = track.shape
    behind = float(points[:, 2].min()) - _OUTLINE_BEHIND
    flat = np.full(GRID_HW, float(points[:, 2].min()) - 0.2)
    total, count = np.zeros(GRID_HW, np.float32), 0
    for index, mask in heads:
        pixels = (track.project(grid_points(flat), index) - 0.5).astype(np.float32)
        total += cv2.remap(mask.astype(np.float32), pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
        count += 1
    inside = total / max(count, 1)
    heights, known = on_grid(points, points[:, 2:])
    depth = heights[..., 0]
    outside = inside < 0.3
    depth[outside & ~known] = behind
    fixed = known | outside
    relief = np.where(fixed, depth, behind).astype(np.float32)
    # a membrane from the face's edge to the outline: Laplace's equation
    for _ in range(_ROUNDS):
        relief = np.where(fixed, relief, cv2.blur(relief, (3, 3), borderType=cv2.BORDER_REPLICATE))
    return HeadPrior(depth=relief.astype(np.float32), inside=cv2.GaussianBlur(inside, (0, 0), 1.0))


def fitted_prior(prior: HeadPrior, points: np.ndarray) -> HeadPrior:
    """The relief bent to points on the head, (N, 3) in the world: a Gaussian mean of their gaps to it."""
    column, row = places_of(points)
    gaps = points[:, 2] - _height(prior, column, row)
    grid = grid_points(prior.depth)[..., :2]
    near = np.square(grid[:, :, None] - points[None, None, :, :2]).sum(-1)
    weights = np.exp(-near / (2 * _FIT_REACH**2))
    depth = prior.depth + (weights * gaps).sum(-1) / (weights.sum(-1) + 1)
    return HeadPrior(depth.astype(np.float32), prior.inside)


def places_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of the grid, float32, of world points (N, 3)."""
    column = (points[:, 0] - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) * (GRID_HW[1] - 1)
    row = (Y_RANGE[1] - points[:, 1]) / (Y_RANGE[1] - Y_RANGE[0]) * (GRID_HW[0] - 1)
    return column.astype(np.float32), row.astype(np.float32)


def at_places(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, ...) values (rows, columns, ...) of the grid at world points (N, 3)."""
    column, row = places_of(points)
    found = cv2.remap(values, column[:, None], row[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found[:, 0])


def _height(prior: HeadPrior, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    height = cv2.remap(prior.depth, column[:, None], row[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(height[:, 0])


def surface_points(track: HeadTrack, prior: HeadPrior, index: int, pixels: np.ndarray) -> np.ndarray:
    """(N, 3) world points where the lines of sight through (N, 2) pixels of a frame meet the relief."""
    turn, shift = track.rotation[index], track.translation[index]
    origin = -turn.T @ shift
    rays = np.concatenate([(pixels - track.centre) / track.focal, np.ones((len(pixels), 1))], 1) @ turn
    depth = np.full(len(pixels), (float(prior.depth.mean()) - origin[2])) / rays[:, 2]
    for _ in range(5):
        points = origin + depth[:, None] * rays
        depth = (_height(prior, *places_of(points)) - origin[2]) / rays[:, 2]
    return np.asarray(origin + depth[:, None] * rays)


def on_grid(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of the mesh's vertices on the grid, nearest surface first.

    Args:
        points: (468, 3) world points.
        values: (468, C).

    Returns:
        (rows, columns, C), 0 where the mesh is not, and (rows, columns) bool where it is.
    """
    from facegen.faces import mesh

    column, row = places_of(points)
    depth, found = np.full(GRID_HW, -np.inf), np.zeros((*GRID_HW, values.shape[1]))
    for triangle in mesh.topology().triangles:
        corners = np.stack([column[triangle], row[triangle]], 1).astype(np.float64)
        low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        grid = np.stack(np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1)), -1).reshape(-1, 2)
        edges = np.stack([corners[1] - corners[0], corners[2] - corners[0]], 1)
        if abs(np.linalg.det(edges)) < 1e-9:
            continue
        share = (grid - corners[0]) @ np.linalg.inv(edges).T
        is_in = (share >= -1e-6).all(1) & (share.sum(1) <= 1 + 1e-6)
        weights = np.concatenate([1 - share.sum(1, keepdims=True), share], 1)[is_in]
        y, x = grid[is_in, 1], grid[is_in, 0]
        height = weights @ points[triangle, 2]
        is_front = height > depth[y, x]
        depth[y[is_front], x[is_front]] = height[is_front]
        found[y[is_front], x[is_front]] = (weights @ values[triangle])[is_front]
    return found, np.isfinite(depth)
