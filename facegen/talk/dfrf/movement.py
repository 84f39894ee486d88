"""How a person's face moves with mouth and eyes: a linear basis over the head's relief, measured on their own video.

It tells where a point that is seen now lies in a picture with another expression. The fields' learned offsets start from
there, so that lips move before anything is learned.
"""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.talk.dfrf.camera import CM
from facegen.talk.dfrf.head_prior import GRID_HW, on_grid

_RIDGE = 20.0
_FADE_CELLS = 5.0
_FARTHEST = 4.0


def standard_eyes(values: np.ndarray, trained: int) -> np.ndarray:
    """(N, M) numbers of the eyes, brought to mean 0 and deviation 1 over the trained frames."""
    mean, deviation = values[:trained].mean(0), values[:trained].std(0) + 0.01
    return np.clip((values - mean) / deviation, -_FARTHEST, _FARTHEST).astype(np.float32)


def movement_basis(points: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(M, rows, columns, 3) float32: how each place of the relief moves, world units, by one of each number.

    Args:
        points: (N, 468, 3) mesh points in pixels.
        numbers: (N, M) of mouth and eyes in the same frames.
    """
    canonical = np.stack([mesh.Pose.of(frame).to_canonical(frame) for frame in points]) * CM
    rows = np.concatenate([numbers, np.ones((len(numbers), 1))], 1)
    held = _RIDGE * np.diag([1.0] * numbers.shape[1] + [0.0])
    weights = np.linalg.solve(rows.T @ rows + held, rows.T @ canonical.reshape(len(rows), -1))
    count = numbers.shape[1]
    moves = weights[:count].reshape(count, mesh.VERTEX_COUNT, 3).transpose(1, 0, 2).reshape(mesh.VERTEX_COUNT, -1)
    values, known = on_grid(canonical.mean(0), moves)
    # beyond the face its edge's movement fades out
    away, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(nearest.max() + 1, np.int64)
    place[nearest[known]] = np.flatnonzero(known)
    spread = values.reshape(-1, values.shape[-1])[place[nearest]] * np.exp(-np.square(away / _FADE_CELLS))[..., None]
    return spread.reshape(*GRID_HW, count, 3).transpose(2, 0, 1, 3).astype(np.float32)
