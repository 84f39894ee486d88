"""The head in a picture as one elastic mesh: the dense face mesh, rings around it, and a camera.

Around the face's outline lie rings of vertices over ears, hair, neck and shoulders. They follow the head less and less,
down to nothing in the background, and share the outline's vertices, so that nothing tears.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import mesh

Array = np.ndarray

RINGS = (1.12, 1.3, 1.55, 1.95, 2.6)
"""Distance of each ring from the face's middle, by that of the outline."""
RING_WEIGHTS = (1.0, 0.97, 0.75, 0.3, 0.0)
"""Weight with which each ring follows the head, from the ears upwards."""
NECK_WEIGHTS = (0.86, 0.6, 0.32, 0.1, 0.0)
"""The same below the chin, where neck and shoulders are."""
RING_DEPTH_CM = (-1.5, -3.0, -4.0, -4.0, -4.0)
"""Depth of each ring in the canonical frame: the outline of a head lies beside its axis."""
PIVOT_CM = np.array([0.0, -5.0, -3.5], np.float32)
"""Where a head turns, in the canonical frame: the top of the neck."""
CAMERA_CM = 60.0
"""Distance of the camera from the head's middle, at which portraits are taken."""

_OVAL = np.array(mesh.FACE_OVAL)


@functools.cache
def ring_triangles() -> Array:
    """(T, 3) int32: the face's triangles and those of the rings, whose vertices come after the face's."""
    count = len(_OVAL)
    layers = [_OVAL, *(mesh.VERTEX_COUNT + number * count + np.arange(count) for number in range(len(RINGS)))]
    strips = []
    for inner, outer in zip(layers, layers[1:], strict=False):
        following = np.roll(np.arange(count), -1)
        strips.append(np.stack([inner, outer, inner[following]], 1))
        strips.append(np.stack([inner[following], outer, outer[following]], 1))
    return np.concatenate([mesh.topology().triangles, *strips]).astype(np.int32)


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadMesh:
    """Mesh and pose of the head in a picture.

    Attributes:
        pose: of the face as pictured.
        face: (468, 3) vertices as pictured, pixels.
        rings: (R * 36, 3) vertices around it as pictured, pixels.
        head_weights: (R * 36,) weight 0..1 with which each of them follows the head.
        jaw_weights: (R * 36,) weight 0..1 with which each of them follows jaw and cheeks at the outline beside it.
    """

    pose: mesh.Pose
    face: Array
    rings: Array
    head_weights: Array
    jaw_weights: Array

    @classmethod
    def of(cls, points: Array) -> HeadMesh:
        """From (468, 3) points of a face in pixels."""
        pose = mesh.Pose.of(points)
        canonical = pose.to_canonical(points)
        oval = canonical[_OVAL]
        centre = np.array([oval[:, 0].mean(), oval[:, 1].mean(), 0], np.float32)
        rings, head_weights, jaw_weights = [], [], []
        # 1 below the chin, 0 from the ears upwards
        direction = oval - centre
        below = np.clip((-direction[:, 1] / np.linalg.norm(direction[:, :2], axis=1) - 0.25) / 0.5, 0, 1)
        for number, factor in enumerate(RINGS):
            # the top of the head is further above the brow than the mesh's outline says
            lift = 1 + 0.35 * np.clip(direction[:, 1:2] / 8, 0, 1)
            ring = centre + direction * (1 + (factor - 1) * lift)
            ring[:, 2] = np.minimum(oval[:, 2], RING_DEPTH_CM[number])
            rings.append(ring)
            head_weights.append(RING_WEIGHTS[number] * (1 - below) + NECK_WEIGHTS[number] * below)
            jaw_weights.append(np.full(len(_OVAL), (0.7, 0.3, 0.08, 0, 0)[number]))
        flat = np.concatenate(rings).astype(np.float32)
        return cls(
            pose=pose,
            face=np.asarray(points, np.float32),
            rings=(pose.turn(flat) + pose.origin).astype(np.float32),
            head_weights=np.concatenate(head_weights).astype(np.float32),
            jaw_weights=np.concatenate(jaw_weights).astype(np.float32),
        )

    @property
    def width_px(self) -> float:
        """Width of the face."""
        return float(np.ptp(self.face[:, 0]))

    def deform(self, offsets: Array, turn_deg: Array, shift_cm: Array) -> Array:
        """Moves the mesh.

        Args:
            offsets: (468, 3) canonical offsets of the face, cm (`FaceRig`).
            turn_deg: (3,) yaw (to the picture's right), pitch (up) and roll (clockwise) of the head.
            shift_cm: (3,) to the right, up, towards the camera.

        Returns:
            (468 + R * 36, 3) pixels.
        """
        deformed = self.face + self.pose.turn(offsets)
        face = self._rigid(deformed, turn_deg, shift_cm)
        stretched = self.rings + np.tile((deformed - self.face)[_OVAL], (len(RINGS), 1)) * self.jaw_weights[:, None]
        turned = self._rigid(stretched, turn_deg, shift_cm)
        rings = self.rings + (turned - self.rings) * self.head_weights[:, None]
        return np.concatenate([face, rings]).astype(np.float32)

    def project(self, canonical: Array, turn_deg: Array, shift_cm: Array) -> Array:
        """(N, 3) pixels of canonical points that are fixed to the skull, after a movement of the head."""
        return self._rigid(self.pose.turn(canonical) + self.pose.origin, turn_deg, shift_cm)

    def _rigid(self, points: Array, turn_deg: Array, shift_cm: Array) -> Array:
        """Turns points about the neck in perspective; no movement leaves them exactly where they are."""
        distance = CAMERA_CM * self.pose.scale
        centre, depth = self.pose.origin[:2], self.pose.origin[2]
        far = (points[:, 2:] - depth + distance) / distance
        space = np.concatenate([(points[:, :2] - centre) * far, points[:, 2:] - depth], 1)
        pivot = self.pose.turn(PIVOT_CM[None])[0]
        turned = (space - pivot) @ self._turn(turn_deg).T + pivot
        turned = turned + np.asarray(shift_cm, np.float32) * np.array([1, -1, -1], np.float32) * self.pose.scale
        near = distance / np.maximum(turned[:, 2:] + distance, distance * 0.2)
        return np.concatenate([turned[:, :2] * near + centre, turned[:, 2:] + depth], 1)

    def _turn(self, turn_deg: Array) -> Array:
        """(3, 3) rotation in the picture's axes, about the head's own axes as pictured."""
        yaw, pitch, roll = np.radians(turn_deg)
        about_y = cv2.Rodrigues(np.array([0, -yaw, 0.0]))[0]
        about_x = cv2.Rodrigues(np.array([-pitch, 0, 0.0]))[0]
        about_z = cv2.Rodrigues(np.array([0, 0, roll]))[0]
        rotation = self.pose.rotation
        return (rotation @ about_z @ about_y @ about_x @ rotation.T).astype(np.float32)


def backward_flow(
    vertices: Array, texture_xy: Array, triangles: Array, origin_xy: Array, step: float, size_hw: tuple[int, int]
) -> Array:
    """Rasterises the backward flow of a moved mesh.

    Args:
        vertices: (N, 3) after the movement, pixels.
        texture_xy: (N, 2 or 3) where the picture shows what they carry, pixels.
        triangles: (T, 3) of the mesh.
        origin_xy: middle of the first cell, pixels.
        step: pixels from cell to cell.
        size_hw: cells.

    Returns:
        (h, w, 2) float32 from each cell to where the picture shows its content, pixels; 0 outside the mesh.
    """
    height, width = size_hw
    cells = np.empty((len(vertices), 3), np.float32)
    cells[:, :2] = (vertices[:, :2] - origin_xy) / step + 0.5
    # a nearly parallel view: colours are then interpolated evenly, and the nearest surface wins
    span = float(np.ptp(vertices[:, 2])) + 1e-3
    depth = 100 + (vertices[:, 2] - vertices[:, 2].min()) / span
    camera = np.stack(
        [(cells[:, 0] - width / 2) / (height / 2) * depth, -(cells[:, 1] - height / 2) / (height / 2) * depth, -depth],
        1,
    ).astype(np.float32)
    shifts = (texture_xy[:, :2] - vertices[:, :2]).astype(np.float32)
    low = shifts.min(0)
    scale = np.maximum(shifts.max(0) - low, 1e-3)
    colours = np.zeros((len(vertices), 3), np.float32)
    colours[:, :2] = (shifts - low) / scale
    colours[:, 2] = 1
    values = np.zeros((height, width, 3), np.float32)
    buffer = np.full((height, width), 200, np.float32)
    cv2.triangleRasterize(
        np.ascontiguousarray(camera.reshape(-1, 1, 3)),
        np.ascontiguousarray(triangles.reshape(-1, 1, 3)),
        np.ascontiguousarray(colours.reshape(-1, 1, 3)),
        values,
        buffer,
        np.eye(4, dtype=np.float32),
        np.pi / 2,
        50.0,
        200.0,
        _settings(),
    )
    return np.where(values[..., 2:] > 0.5, values[..., :2] * scale + low, 0).astype(np.float32)


def _settings() -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    return settings
