"""Where the camera is as seen from the head, found from the dense mesh, and back.

The head stands still at the origin of the *world*: x to the picture's right, y up, z out of the face, in decimetres,
which is MediaPipe's canonical frame in tenths. The camera moves round it, as in AD-NeRF and DFRF. *Camera* frames are
OpenCV's (x right, y down, z forward) here and OpenGL's (x right, y up, z backward) in the `transforms_*.json`. Pixels
count from the picture's corner: the centre of the first one is at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.talk.rig import mouth_weights

CM = 0.1
"""World units in a centimetre."""
FOCALS = (0.8, 1.1, 1.5, 2.0, 2.7, 3.6, 5.0)
"""Focal lengths that are tried, in widths of the picture."""
_TO_GL = np.diag([1.0, -1.0, -1.0, 1.0])
_TRIED_FRAMES = 40


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadTrack:
    """The camera of every frame, and the head that it looks at."""

    focal: float
    """Pixels."""
    centre: np.ndarray
    """(2,) pixels where the axis meets the picture."""
    rotation: np.ndarray
    """(N, 3, 3) world to OpenCV camera."""
    translation: np.ndarray
    """(N, 3) the same, world units."""
    shape: np.ndarray
    """(468, 3) this person's mesh with the face at rest, world units."""
    error_px: np.ndarray
    """(N,) root mean squared distance of still mesh points to where the pose puts them."""

    def project(self, points: np.ndarray, index: int) -> np.ndarray:
        """(..., 2) pixels of (..., 3) world points in one frame."""
        seen = points @ self.rotation[index].T + self.translation[index]
        return seen[..., :2] / seen[..., 2:] * self.focal + self.centre

    def camera_to_world(self, index: int) -> np.ndarray:
        """(4, 4) OpenGL camera to world: the `transform_matrix` of the reference's files."""
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = self.rotation[index], self.translation[index]
        return np.linalg.inv(_TO_GL @ view)


def track_head(points: np.ndarray, size_hw: tuple[int, int]) -> HeadTrack:
    """Poses from the dense mesh of consecutive frames: the person's mean shape, a search for the focal length, then PnP.

    Args:
        points: (N, 468, 3) mesh points in pixels.
        size_hw: of the frames.
    """
    shape, still = _person(points)
    chosen = np.linspace(0, len(points) - 1, min(len(points), _TRIED_FRAMES)).astype(int)
    height, width = size_hw
    centre = np.array([width / 2, height / 2])
    tried = {share: _poses(points[chosen], shape, still, share * width, centre)[2].mean() for share in FOCALS}
    focal = min(tried, key=lambda share: tried[share]) * width
    rotation, translation, error = _poses(points, shape, still, focal, centre)
    return HeadTrack(
        focal=focal, centre=centre, rotation=rotation, translation=translation, shape=shape, error_px=error
    )


def _person(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean shape in world units, and the vertices that expressions and speech hardly move on this person."""
    canonical = np.stack([mesh.Pose.of(frame).to_canonical(frame) for frame in points])
    shape = canonical.mean(0) * CM
    movement = canonical.std(0)[:, :2].max(1) + mouth_weights()
    return shape.astype(np.float64), np.flatnonzero(movement <= np.percentile(movement, 45))


def _poses(
    points: np.ndarray, shape: np.ndarray, still: np.ndarray, focal: float, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations, translations and errors of every frame; each starts where the one before ended."""
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    model = np.ascontiguousarray(shape[still])
    size = np.linalg.norm(np.ptp(points[0, still, :2], axis=0)) / np.linalg.norm(np.ptp(model[:, :2], axis=0))
    turn, shift = np.array([[np.pi], [0.0], [0.0]]), np.array([[0.0], [0.0], [focal / size]])
    found: list[tuple[np.ndarray, np.ndarray, float]] = []
    for frame in points:
        pixels = np.ascontiguousarray(frame[still, :2], np.float64)
        _, turn, shift = cv2.solvePnP(
            model, pixels, intrinsics, None, turn.copy(), shift.copy(), True, cv2.SOLVEPNP_ITERATIVE
        )
        seen = cv2.projectPoints(model, turn, shift, intrinsics, None)[0].reshape(-1, 2)
        error = float(np.sqrt(np.square(seen - pixels).sum(1).mean()))
        found.append((cv2.Rodrigues(turn)[0], shift[:, 0], error))
    return np.stack([row[0] for row in found]), np.stack([row[1] for row in found]), np.array([row[2] for row in found])
