"""Eyes: the source's own, looking where the target looks.

Inside the lids' opening the source's eye is drawn through a thin-plate spline (Bookstein 1989) that takes the target's
lid line and iris ring to the source's, so that the colour of the eyes is the source's and gaze, blink and lids are the
target's. Brightness follows the white of the target's eye.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.faces.mesh import Array

SIDES = ((mesh.EYE_LEFT, (468, 469, 470, 471, 472)), (mesh.EYE_RIGHT, (473, 474, 475, 476, 477)))
MIN_OPENING = 0.16
"""Lid gap by eye width below which a source eye is not used: too little of it is seen."""
SHUT, OPEN = 0.12, 0.25
"""Lid gaps by eye width between which a source eye takes over from the target's own."""
INNER = 0.8
"""How much of a source eye's height is drawn: its lids' edges are not part of the eye."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class EyePicture:
    """Where a source's eyes can be seen.

    Attributes:
        image_rgb: (h, w, 3) uint8 picture of the face.
        points: (478, 2) in its pixels.
    """

    image_rgb: np.ndarray
    points: Array


def opening(points: Array, lids: tuple[int, ...]) -> float:
    """Lid gap by eye width."""
    corner_a, corner_b = points[lids[0], :2], points[lids[8], :2]
    gap = np.linalg.norm(points[lids[4], :2] - points[lids[12], :2])
    return float(gap / (np.linalg.norm(corner_a - corner_b) + 1e-6))


def draw_eyes(canvas: Array, source: EyePicture, target_rgb: Array, target: Array) -> Array:
    """Draw the source's eyes into a picture of the target.

    Args:
        canvas: (h, w, 3) float32 RGB 0..255 that already holds the target's own eyes; not changed.
        source: where to take them from.
        target_rgb: (h, w, 3) float32 of the target, moved to the new shape.
        target: (478, 3) points of the new shape.

    Returns:
        A new canvas; an eye that the source does not show well keeps the target's.
    """
    canvas = canvas.copy()
    for lids, iris in SIDES:
        share = float(np.clip((opening(target, lids) - SHUT) / (OPEN - SHUT), 0, 1))
        if opening(source.points, lids) < MIN_OPENING or share == 0:
            continue
        outline = target[list(lids), :2]
        x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - 2, 0).tolist()
        x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + 3, canvas.shape[1::-1]).tolist()
        if x1 - x0 < 5 or y1 - y0 < 3:
            continue
        region = np.s_[y0:y1, x0:x1]
        anchors = list(lids) + list(iris)
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32) + 0.5
        eye = np.concatenate([_flattened(source.points[list(lids)]), source.points[list(iris)]])
        where = _spline(target[anchors, :2], eye, np.stack([x, y], -1).reshape(-1, 2))
        where = where.reshape(y1 - y0, x1 - x0, 2)
        drawn = cv2.remap(source.image_rgb, where[..., 0] - 0.5, where[..., 1] - 0.5, cv2.INTER_LINEAR).astype(
            np.float32
        )
        mask = mesh.polygon_mask(outline - np.array([x0, y0], np.float32), (y1 - y0, x1 - x0))
        own = target_rgb[region]
        canvas[region] = own + (_matched(drawn, own, mask > 127) - own) * share
    return canvas


def _flattened(lids: Array) -> Array:
    """The (16, 2) line of the lids, brought nearer to the line between the corners by `INNER`."""
    corner, other = lids[0], lids[8]
    along = (other - corner) / (np.linalg.norm(other - corner) + 1e-6)
    across = np.array([-along[1], along[0]], np.float32)
    return lids - np.outer((lids - corner) @ across * (1 - INNER), across)


def _spline(from_xy: Array, to_xy: Array, at_xy: Array) -> Array:
    """Thin-plate spline that takes `from_xy` (N, 2) to `to_xy`, evaluated at (M, 2)."""
    centre, size = from_xy.mean(0), float(np.ptp(from_xy[:, 0]) + 1e-6)
    anchors, places = (from_xy - centre) / size, (at_xy - centre) / size
    count = len(anchors)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _radial(anchors, anchors) + np.eye(count) * 1e-3
    system[:count, count:] = np.column_stack([np.ones(count), anchors])
    system[count:, :count] = system[:count, count:].T
    values = np.concatenate([to_xy, np.zeros((3, 2))])
    weights = np.linalg.solve(system + np.eye(count + 3) * 1e-9, values).astype(np.float32)
    return _radial(places, anchors) @ weights[:count] + places @ weights[count + 1 :] + weights[count]


def _radial(a: Array, b: Array) -> Array:
    squares = np.square(a[:, :1] - b[:, 0]) + np.square(a[:, 1:] - b[:, 1])
    return squares * cv2.log(squares + np.float32(1e-9))


def _matched(drawn: Array, target: Array, inside: np.ndarray) -> Array:
    """The drawn eye with the brightness and tint of the white of the target's eye."""
    if inside.sum() < 12:
        return target
    whites = []
    for picture in (drawn, target):
        pixels = picture[inside]
        brightness = pixels.sum(1)
        rank = len(brightness) * 3 // 4
        whites.append(pixels[brightness >= np.partition(brightness, rank)[rank]].mean(0) + 4)
    gain = whites[1] / whites[0]
    brightness = float(gain.mean())
    # half-closed eyes show little white, whose tint is then the lids'
    return drawn * np.clip(brightness, 0.4, 2.2) * np.clip(gain / brightness, 0.9, 1.1)
