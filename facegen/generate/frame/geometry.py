"""Geometry of the face mesh in the generator's frame: lids, lips and yaw, and smooth backward flows between two meshes.

Points are in pixels of a 256-pixel picture, z away from the camera. A *neutral shape* is a mesh with zero yaw, lids at
`NEUTRAL_LID_GAP` and lips closed: the identity alone.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from facegen.faces import align
from facegen.faces.face import Face
from facegen.faces.mesh import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    LIPS_INNER,
    LIPS_OUTER,
    normals,
    rasterise,
    topology,
)
from facegen.generate.frame.alignment import SIZE

NEUTRAL_LID_GAP = 0.32
_UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173), (466, 388, 387, 386, 385, 384, 398)
_LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155), (249, 390, 373, 374, 380, 381, 382)
_CORNERS = (33, 133), (263, 362)
_MIDDLE = (159, 145), (386, 374)
_UPPER_LIP_INNER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
_LOWER_LIP_INNER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
_UPPER_LIP_OUTER = (185, 40, 39, 37, 0, 267, 269, 270, 409)
_LID_FOLDS = (
    *(247, 30, 29, 27, 28, 56, 190, 467, 260, 259, 257, 258, 286, 414),
    *(25, 110, 24, 23, 22, 26, 255, 339, 254, 253, 252, 256),
)
_ELSEWHERE = (
    *(1, 4, 5, 6, 168, 195, 197, 98, 327, 2, 94, 64, 294, 129, 358, 48, 278, 19, 122, 351),
    *(50, 280, 205, 425, 117, 346, 187, 411, 36, 266, 123, 352, 147, 376, 206, 426, 214, 434, 135, 364),
    *(199, 200, 18, 175, 43, 273, 106, 335, 9, 8, 151, 67, 297, 69, 299, 108, 337, 68, 298),
)
CONTROL_POINTS = np.array(
    sorted(
        {*EYE_LEFT, *EYE_RIGHT, *_LID_FOLDS, *BROW_LEFT, *BROW_RIGHT, *LIPS_INNER, *LIPS_OUTER, *FACE_OVAL, *_ELSEWHERE}
    )
)
"""Vertices that are control points of a flow's interpolation."""
_FIVE = ((33, 133), (362, 263), (1,), (61,), (291,))
"""Vertices of the five points of alignment: eyes, nose, corners of the mouth."""
_SMOOTH = 64
"""Largest side at which a flow is computed outside the face; it is upsampled from there."""
_RING = 1.75
"""Radius of the ring around the head that stays fixed, in sizes of the face's outline."""
_INWARD = 0.08
"""Shift of disoccluded vertices towards the middle of the face, as a fraction of their distance."""
_BEHIND = 1.15
"""Distance of the yaw axis behind the eyes, eye distances."""


def eye_distance(points: np.ndarray) -> float:
    """Distance between the middles of the eyes in 3D, pixels; invariant to yaw."""
    left, right = points[[33, 133]].mean(0), points[[362, 263]].mean(0)
    return float(np.linalg.norm(left - right))


def lid_gap(points: np.ndarray) -> float:
    """Opening of the lids in widths of the eye, mean of both."""
    gaps = [
        np.linalg.norm((points[up] - points[low])[:2]) / np.linalg.norm(points[outer] - points[inner])
        for (up, low), (outer, inner) in zip(_MIDDLE, _CORNERS, strict=True)
    ]
    return float(np.mean(gaps))


def lip_gap(points: np.ndarray) -> float:
    """Opening of the lips in eye distances."""
    return float(np.linalg.norm((points[13] - points[14])[:2])) / eye_distance(points)


def rotate_yaw(points: np.ndarray, degrees: float, centre: np.ndarray | None = None) -> np.ndarray:
    """The mesh rotated about the vertical axis behind the eyes; positive is to the picture's right."""
    if centre is None:
        centre = yaw_axis(points)
    angle = np.deg2rad(degrees)
    x, z = points[:, 0] - centre[0], points[:, 2] - centre[1]
    result = points.copy()
    result[:, 0] = centre[0] + np.cos(angle) * x - np.sin(angle) * z
    result[:, 2] = centre[1] + np.sin(angle) * x + np.cos(angle) * z
    return result


def yaw_axis(points: np.ndarray, yaw_deg: float = 0.0) -> np.ndarray:
    """(2,) x and z of the vertical axis of the head."""
    corners = points[[33, 133, 362, 263]].mean(0)
    reach, angle = _BEHIND * eye_distance(points), np.deg2rad(yaw_deg)
    return np.array([corners[0] - np.sin(angle) * reach, corners[2] + np.cos(angle) * reach])


def set_lid_gap(points: np.ndarray, gap: float) -> np.ndarray:
    """The frontal mesh with its lids at a gap (in eye widths); the skin around the eyes follows smoothly."""
    result = points.copy()
    sigma = 0.085 * eye_distance(points)
    for uppers, lowers, corners, middle in zip(_UPPER_LIDS, _LOWER_LIDS, _CORNERS, _MIDDLE, strict=True):
        width = np.linalg.norm(points[corners[0]] - points[corners[1]])
        factor = gap / max(float(np.linalg.norm((points[middle[0]] - points[middle[1]])[:2]) / width), 0.02)
        upper, lower = points[list(uppers)], points[list(lowers)]
        meeting = lower + 0.15 * (upper - lower)
        moving = np.concatenate([upper, lower, points[list(corners)]])
        shift = np.concatenate([(upper - meeting) * (factor - 1), (lower - meeting) * (factor - 1), np.zeros((2, 3))])
        shift[:, 2] = 0
        squared = np.square(points[:, None, :2] - moving[None, :, :2]).sum(-1)
        nearest = squared.argmin(1)
        result += shift[nearest] * np.exp(-squared.min(1) / (2 * sigma**2))[:, None]
    return result


def set_lip_gap(points: np.ndarray, gap: float) -> np.ndarray:
    """The frontal mesh with its lips at a gap (in eye distances); jaw and chin follow."""
    unit = eye_distance(points)
    delta = (gap - lip_gap(points)) * unit
    upper, lower = points[list(_UPPER_LIP_INNER)], points[list(_LOWER_LIP_INNER)]
    middle, half_width = points[[78, 308], 0].mean(), abs(points[308, 0] - points[78, 0]) / 2
    line = np.interp(points[:, 0], *_sort_by_x((upper + lower)[:, 0] / 2, (upper + lower)[:, 1] / 2))
    across = (points[:, 0] - middle) / half_width
    lips = np.clip(1 - across**2, 0, 1) ** 0.6
    jaw = 0.8 * np.exp(-np.square(across / 2.0) / 2)
    below = points[:, 1] - line
    depth = np.clip(below / max(float(points[152, 1] - points[14, 1]), 1.0), 0, 1)
    down = 0.88 * (lips * (1 - depth) + jaw * depth)
    up = -0.12 * lips * np.exp(np.minimum(below, 0) / (0.15 * unit))
    is_lower = below > 0
    is_lower[list(_LOWER_LIP_INNER)] = True
    is_lower[[*_UPPER_LIP_INNER, *_UPPER_LIP_OUTER]] = False
    result = points.copy()
    result[:, 1] += delta * np.where(is_lower, down, up)
    return result


def _sort_by_x(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x)
    return x[order], y[order]


def neutral_shape(face: Face) -> np.ndarray:
    """(468, 3) float32 neutral shape of an aligned face."""
    points = face.points478[:468].astype(np.float64)
    points[:, 2] -= points[[33, 263], 2].mean()
    frontal = rotate_yaw(points, -face.yaw_deg, yaw_axis(points, face.yaw_deg))
    return set_lip_gap(set_lid_gap(frontal, NEUTRAL_LID_GAP), 0.0).astype(np.float32)


def align_shape(shape: np.ndarray, mean_shape: np.ndarray) -> np.ndarray:
    """(468, 3) float32 the shape aligned to the mean shape by the five points, as photographs are."""
    own, wanted = (np.stack([points[list(part), :2].mean(0) for part in _FIVE]) for points in (shape, mean_shape))
    matrix = align.similarity(own.astype(np.float32), wanted.astype(np.float32) / SIZE, SIZE)
    depth = shape[:, 2:] * np.hypot(matrix[0, 0], matrix[0, 1])
    return np.concatenate([align.apply(matrix, shape[:, :2]), depth], 1).astype(np.float32)


def mirror_shapes(shapes: np.ndarray) -> np.ndarray:
    """(N, 468, 3) shapes of the mirrored pictures."""
    mirrored = shapes[:, topology().mirror].copy()
    mirrored[..., 0] = SIZE - 1 - mirrored[..., 0]
    return mirrored


def symmetric_mean(shapes: np.ndarray) -> np.ndarray:
    """(468, 3) float32 mean of (N, 468, 3) shapes and their mirror images."""
    return np.concatenate([shapes, mirror_shapes(shapes)]).mean(0).astype(np.float32)


def pose_shape(shape: np.ndarray, lids: float, lips: float, yaw_deg: float) -> np.ndarray:
    """(468, 3) float32 the shape with a lid gap, a lip gap and a yaw."""
    frontal = set_lip_gap(set_lid_gap(shape.astype(np.float64), lids), lips)
    return rotate_yaw(frontal, yaw_deg, yaw_axis(shape)).astype(np.float32)


def static_ring(shape: np.ndarray) -> np.ndarray:
    """(36, 2) points around the head that no expression or yaw moves."""
    oval = shape[list(FACE_OVAL), :2]
    centre = oval.mean(0)
    return centre + _RING * (oval - centre)


@functools.cache
def _border_points() -> np.ndarray:
    steps = np.linspace(0, SIZE - 1, 9)
    sides = [(x, y) for x in steps for y in steps if x in (0, SIZE - 1) or y in (0, SIZE - 1)]
    return np.array(sides)


@functools.cache
def _grid(size: int) -> np.ndarray:
    centres = (np.arange(size) + 0.5) * (SIZE / size) - 0.5
    x, y = np.meshgrid(centres, centres)
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


def backward_flow(
    target: np.ndarray, source: np.ndarray, target_ring: np.ndarray, source_ring: np.ndarray, size: int = 128
) -> np.ndarray:
    """A smooth backward flow from a target mesh to a source mesh.

    Inside the face it is interpolated on the mesh; around it by radial basis functions (kernel |r|) through the visible
    control points and the ring, with no offset at the border.

    Args:
        target: (468, 3) mesh of the result.
        source: (468, 3) mesh of the picture that is sampled.
        target_ring: (36, 2) `static_ring` of the target's shape.
        source_ring: that of the source's.
        size: side of the flow.

    Returns:
        (size, size, 2) float32 offsets in pixels of the 256-pixel frame.
    """
    source = _move_inward(source, target)
    visible = CONTROL_POINTS[normals(target)[CONTROL_POINTS, 2] < -0.12]
    inside = ((target_ring > 14) & (target_ring < SIZE - 15)).all(1)
    points = np.concatenate([target[visible, :2], target_ring[inside], _border_points()]).astype(np.float32)
    values = np.concatenate([source[visible, :2], source_ring[inside], _border_points()]).astype(np.float32)
    count = len(points)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = -np.sqrt(np.square(points[:, None] - points[None]).sum(-1))
    system[:count, :count] += 0.4 * np.eye(count)  # regularised where control points coincide
    system[:count, count:] = np.concatenate([np.ones((count, 1)), points], 1)
    system[count:, :count] = system[:count, count:].T
    right = np.zeros((count + 3, 2))
    right[:count] = values - points
    weights = np.linalg.solve(system, right).astype(np.float32)
    side = min(size // 2, _SMOOTH)  # smooth, so a low resolution is enough
    grid = _grid(side)
    squared = (grid**2).sum(1)[:, None] + (points**2).sum(1)[None] - 2 * grid @ points.T
    kernel = -np.sqrt(np.maximum(squared, 0))
    flow = (kernel @ weights[:count] + weights[count] + grid @ weights[count + 1 :]).reshape(side, side, 2)
    flow = cv2.resize(flow, (size, size), interpolation=cv2.INTER_LINEAR)
    return _overlay_mesh_flow(flow, target, source)


def _move_inward(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The source mesh with disoccluded vertices moved towards the middle of the face.

    The source's rim shows background as well, which would be smeared over the cheek.
    """
    opened = disocclusion(source, target)
    centre = source[list(FACE_OVAL), :2].mean(0)
    result = source.copy()
    result[:, :2] += (_INWARD * opened)[:, None] * (centre - source[:, :2])
    return result


def disocclusion(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(468,) 0..1: how far each vertex, seen at a grazing angle or not at all in the source, turns towards the camera."""
    before, after = (-normals(points)[:, 2] for points in (source, target))
    return np.clip(after - before, 0, 1) * np.clip(1 - before / 0.7, 0, 1)


def _overlay_mesh_flow(flow: np.ndarray, target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The flow, inside the outline replaced by that of the rasterised mesh, with self-occlusion."""
    size = len(flow)
    scale = size / SIZE
    offsets = np.concatenate([(source - target)[:, :2], np.zeros((len(target), 1), np.float32)], 1).astype(np.float32)
    placed = ((target + np.array([0.5, 0.5, 0])) * scale).astype(np.float32)
    drawn, covered = rasterise(placed, offsets, (size, size))
    soft = cv2.GaussianBlur(cv2.erode(covered.astype(np.float32), np.ones((5, 5), np.uint8)), (0, 0), 1.5)[..., None]
    soft = soft * covered[..., None]
    return (flow + soft * (drawn[..., :2] - flow)).astype(np.float32)
