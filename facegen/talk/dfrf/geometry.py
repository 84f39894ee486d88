"""Geometry of the head: the camera of every frame, and a height map of the head's surface.

World coordinates: the head stands still at the origin, x to the picture's right, y up, z out of the face, in decimetres
(MediaPipe's canonical frame divided by ten). The camera moves around it, as in AD-NeRF and DFRF. Camera coordinates are
OpenCV's (x right, y down, z forward) here and OpenGL's (x right, y up, z backward) in the `transforms_*.json`. Pixel
coordinates start at the picture's corner: the centre of the first pixel is at 0.5.

The relief is one z for each cell of a frontal grid. Cameras look at the face from the front, so that this describes the
head well enough to take samples near its surface.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.talk.rig import mouth_weights

UNITS_PER_CM = 0.1
"""World units in a centimetre."""
X_RANGE, Y_RANGE = (-1.5, 1.5), (-1.6, 1.9)
"""World units that the relief's grid covers."""
GRID_HW = (112, 96)
"""Cells of the relief: rows from the top of the head down, columns from the picture's left."""
CELL_HW = (GRID_HW[0] // 2, GRID_HW[1] // 2)
"""The coarser grid on which movements are measured: every second row and column of the relief."""

_FOCAL_RATIOS = (0.8, 1.1, 1.5, 2.0, 2.7, 3.6, 5.0)
"""Focal lengths that are tried, in widths of the picture."""
_TO_GL = np.diag([1.0, -1.0, -1.0, 1.0])
_FOCAL_FRAMES = 40
_OUTLINE_BEHIND = 0.45
"""World units from the mesh's hindmost point back to the outline of hair and ears."""
_MEMBRANE_STEPS = 1500
_FIT_SIGMA = 0.12
"""World units over which a point on the head bends the relief."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadTrack:
    """Intrinsics, the pose of every frame, and the mesh of the head."""

    focal: float
    """Pixels."""
    centre: np.ndarray
    """(2,) principal point, pixels."""
    rotation: np.ndarray
    """(N, 3, 3) world to OpenCV camera."""
    translation: np.ndarray
    """(N, 3) world to OpenCV camera, world units."""
    shape: np.ndarray
    """(468, 3) this person's mesh with the face at rest, world units."""
    error_px: np.ndarray
    """(N,) root mean squared reprojection error."""

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> HeadTrack:
        """The track in `track_params.npz`."""
        names = ("centre", "rotation", "translation", "shape", "error_px")
        return cls(focal=float(arrays["focal"]), **{name: arrays[name] for name in names})

    def project(self, points: np.ndarray, index: int) -> np.ndarray:
        """(..., 2) pixels of (..., 3) world points in one frame."""
        return self.project_with_pose(points, self.rotation[index], self.translation[index])

    def project_with_pose(self, points: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of (..., 3) world points under any pose, (3, 3) and (3,)."""
        camera = points @ rotation.T + translation
        return np.asarray(camera[..., :2] / camera[..., 2:] * self.focal + self.centre)

    def extrinsics(self, index: int) -> np.ndarray:
        """(3, 4) world to OpenCV camera of one frame."""
        return np.concatenate([self.rotation[index], self.translation[index][:, None]], 1)

    def camera_to_world(self, index: int) -> np.ndarray:
        """(4, 4) OpenGL camera to world: `transform_matrix` of the `transforms_*.json`."""
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = self.rotation[index], self.translation[index]
        return np.linalg.inv(_TO_GL @ view)


def track_head(points: np.ndarray, size_hw: tuple[int, int]) -> HeadTrack:
    """Poses from the dense mesh: the person's mean shape, a search for the focal length, then PnP frame by frame.

    Args:
        points: (N, 468, 3) mesh points in pixels, consecutive frames.
        size_hw: of the frames.
    """
    shape, rigid = _measure_person(points)
    sample = points[np.linspace(0, len(points) - 1, min(len(points), _FOCAL_FRAMES)).astype(int)]
    height, width = size_hw
    centre = np.array([width / 2, height / 2])
    errors = {ratio: _solve_poses(sample, shape, rigid, ratio * width, centre)[2].mean() for ratio in _FOCAL_RATIOS}
    focal = min(errors, key=lambda ratio: errors[ratio]) * width
    rotation, translation, error = _solve_poses(points, shape, rigid, focal, centre)
    return HeadTrack(
        focal=focal, centre=centre, rotation=rotation, translation=translation, shape=shape, error_px=error
    )


def canonical_points(points: np.ndarray) -> np.ndarray:
    """(N, 468, 3) mesh points in MediaPipe's canonical frame, centimetres, of (N, 468, 3) mesh points in pixels."""
    return np.stack([mesh.Pose.of(frame).to_canonical(frame) for frame in points])


def _measure_person(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean shape in world units, and the vertices that expressions and speech hardly move on this person."""
    canonical = canonical_points(points)
    shape = canonical.mean(0) * UNITS_PER_CM
    movement = canonical.std(0)[:, :2].max(1) + mouth_weights()
    return shape.astype(np.float64), np.flatnonzero(movement <= np.percentile(movement, 45))


def _solve_poses(
    points: np.ndarray, shape: np.ndarray, rigid: np.ndarray, focal: float, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations, translations and errors of every frame; each starts from the one before."""
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    model = np.ascontiguousarray(shape[rigid])
    size = np.linalg.norm(np.ptp(points[0, rigid, :2], axis=0)) / np.linalg.norm(np.ptp(model[:, :2], axis=0))
    turn, shift = np.array([[np.pi], [0.0], [0.0]]), np.array([[0.0], [0.0], [focal / size]])
    poses: list[tuple[np.ndarray, np.ndarray, float]] = []
    for frame in points:
        pixels = np.ascontiguousarray(frame[rigid, :2], np.float64)
        _, turn, shift = cv2.solvePnP(
            model, pixels, intrinsics, None, turn.copy(), shift.copy(), True, cv2.SOLVEPNP_ITERATIVE
        )
        projected = cv2.projectPoints(model, turn, shift, intrinsics, None)[0].reshape(-1, 2)
        error = float(np.sqrt(np.square(projected - pixels).sum(1).mean()))
        poses.append((cv2.Rodrigues(turn)[0], shift[:, 0], error))
    return np.stack([row[0] for row in poses]), np.stack([row[1] for row in poses]), np.array([row[2] for row in poses])


@dataclass(frozen=True, eq=False)
class HeadRelief:
    """A height map of the head."""

    depth: np.ndarray
    """GRID_HW float32: z of the surface, world units."""
    inside: np.ndarray
    """GRID_HW float32 0..1: share of the frames in which the head covers the cell."""


def grid_points(depth: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) world points of a relief's depth."""
    x = np.linspace(*X_RANGE, GRID_HW[1])
    y = np.linspace(*Y_RANGE[::-1], GRID_HW[0])
    return np.stack([*np.meshgrid(x, y), depth], -1)


def estimate_relief(track: HeadTrack, heads: Iterable[tuple[int, np.ndarray]]) -> HeadRelief:
    """The relief of the mesh, continued smoothly to the outline of the head masks.

    Args:
        track: poses and mesh.
        heads: index and (H, W) bool head mask of some frames.
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
    heights, is_mesh = rasterize_mesh(points, points[:, 2:])
    depth = heights[..., 0]
    outside = inside < 0.3
    depth[outside & ~is_mesh] = behind
    fixed = is_mesh | outside
    relief = np.where(fixed, depth, behind).astype(np.float32)
    # a membrane from the face's edge to the outline: Laplace's equation
    for _ in range(_MEMBRANE_STEPS):
        relief = np.where(fixed, relief, cv2.blur(relief, (3, 3), borderType=cv2.BORDER_REPLICATE))
    return HeadRelief(depth=relief.astype(np.float32), inside=cv2.GaussianBlur(inside, (0, 0), 1.0))


def fit_relief(relief: HeadRelief, points: np.ndarray) -> HeadRelief:
    """The relief bent to points on the head, (N, 3) in the world: a Gaussian mean of their distances to it."""
    gaps = points[:, 2] - sample_grid(relief.depth, points)
    grid = grid_points(relief.depth)[..., :2]
    squared = np.square(grid[:, :, None] - points[None, None, :, :2]).sum(-1)
    weights = np.exp(-squared / (2 * _FIT_SIGMA**2))
    depth = relief.depth + (weights * gaps).sum(-1) / (weights.sum(-1) + 1)
    return HeadRelief(depth.astype(np.float32), relief.inside)


def grid_coordinates(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of the grid, float32, of world points (N, 3)."""
    column = (points[:, 0] - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) * (GRID_HW[1] - 1)
    row = (Y_RANGE[1] - points[:, 1]) / (Y_RANGE[1] - Y_RANGE[0]) * (GRID_HW[0] - 1)
    return column.astype(np.float32), row.astype(np.float32)


def sample_grid(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, ...) values (rows, columns, ...) of the grid at world points (N, 3)."""
    column, row = grid_coordinates(points)
    sampled = cv2.remap(values, column[:, None], row[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled[:, 0])


def unproject_pixels(track: HeadTrack, relief: HeadRelief, index: int, pixels: np.ndarray) -> np.ndarray:
    """(N, 3) world points where the rays through (N, 2) pixels of a frame meet the relief."""
    rotation, translation = track.rotation[index], track.translation[index]
    origin = -rotation.T @ translation
    rays = np.concatenate([(pixels - track.centre) / track.focal, np.ones((len(pixels), 1))], 1) @ rotation
    depth = np.full(len(pixels), (float(relief.depth.mean()) - origin[2])) / rays[:, 2]
    for _ in range(5):
        points = origin + depth[:, None] * rays
        depth = (sample_grid(relief.depth, points) - origin[2]) / rays[:, 2]
    return np.asarray(origin + depth[:, None] * rays)


def rasterize_mesh(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of the mesh's vertices on the relief's grid; the frontmost surface wins.

    Args:
        points: (468, 3) world points.
        values: (468, C).

    Returns:
        (rows, columns, C), 0 outside the mesh, and (rows, columns) bool, whether a cell is inside it.
    """
    column, row = grid_coordinates(points)
    depth, image = np.full(GRID_HW, -np.inf), np.zeros((*GRID_HW, values.shape[1]))
    for triangle in mesh.topology().triangles:
        corners = np.stack([column[triangle], row[triangle]], 1).astype(np.float64)
        low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        cells = np.stack(np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1)), -1).reshape(-1, 2)
        edges = np.stack([corners[1] - corners[0], corners[2] - corners[0]], 1)
        if abs(np.linalg.det(edges)) < 1e-9:
            continue
        weights = (cells - corners[0]) @ np.linalg.inv(edges).T
        is_in = (weights >= -1e-6).all(1) & (weights.sum(1) <= 1 + 1e-6)
        barycentric = np.concatenate([1 - weights.sum(1, keepdims=True), weights], 1)[is_in]
        y, x = cells[is_in, 1], cells[is_in, 0]
        height = barycentric @ points[triangle, 2]
        is_front = height > depth[y, x]
        depth[y[is_front], x[is_front]] = height[is_front]
        image[y[is_front], x[is_front]] = (barycentric @ values[triangle])[is_front]
    return image, np.isfinite(depth)
