"""How near drawn frames come to held-back ones."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from facegen.talk.dfrf.layers import HEAD, unpainted
from facegen.talk.dfrf.paint import Painter

_EDGE_PX, _MARGIN_PX = 4, 8


def head_errors(painter: Painter, frames: Iterable[int]) -> np.ndarray:
    """(N,) mean squared error of each frame inside the head (skin, features, hair, ears), colours in [0, 1]."""
    errors = []
    for index in frames:
        drawn, real = painter.held_back(index), painter.scene.folder.picture("com_imgs", index)
        errors.append(head_error(drawn, real, head_mask(painter, index)))
    return np.array(errors)


def head_mask(painter: Painter, index: int) -> np.ndarray:
    """(H, W) bool: the head in one of the video's frames."""
    return np.asarray(unpainted(painter.scene.folder.picture("parsing", index)) == HEAD)


def head_parts(painter: Painter, index: int) -> dict[str, np.ndarray]:
    """Where the head's error may come from: (H, W) bool by name, which together are `head_mask` and do not overlap.

    `edge` is within four pixels of the head's outline; `mouth` and `eyes` (with brows) are rectangles round their
    landmarks; `face` is the rest between the outermost landmarks, and `hair` what is left: hair, forehead and ears.
    """
    mask = head_mask(painter, index)
    points = np.loadtxt(painter.scene.folder.path / "ori_imgs" / f"{index}.lms")
    near = np.ones((2 * _EDGE_PX + 1, 2 * _EDGE_PX + 1), np.uint8)
    outline = cv2.convexHull(points.astype(np.int32))
    wanted = {
        "edge": cv2.erode(mask.astype(np.uint8), near) == 0,
        "mouth": _rectangle(points[48:], mask),
        "eyes": _rectangle(np.concatenate([points[17:27], points[36:48]]), mask),
        "face": cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), outline, 1) > 0,
        "hair": mask,
    }
    parts, left = {}, mask.copy()
    for name, where in wanted.items():
        parts[name] = left & where
        left &= ~where
    return parts


def head_error(drawn: np.ndarray, real: np.ndarray, mask: np.ndarray) -> float:
    """Mean squared error inside a mask of two (H, W, 3) uint8 pictures, colours in [0, 1]."""
    return float(np.square((drawn[mask].astype(np.float32) - real[mask]) / 255).mean()) + 1e-9


def _rectangle(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: within a margin of points (N, 2)."""
    inside = np.zeros_like(mask)
    left, top = np.maximum(points.min(0) - _MARGIN_PX, 0).astype(int)
    right, bottom = (points.max(0) + _MARGIN_PX).astype(int)
    inside[top:bottom, left:right] = True
    return inside
