"""`FaceMotion`: output of the motion extractor: pose, scale, translation, expression, 21 canonical keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

Array = np.ndarray
POINTS = 21
"""Keypoints of a face, x to the right, y down."""
HEAD_LIMITS_DEG = {"pitch_deg": 30.0, "yaw_deg": 60.0, "roll_deg": 20.0}
"""How far a head may be turned that is not further turned already."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceMotion:
    """One face, in the coordinates of its crop, about -1..1."""

    pitch_deg: float
    """Turn about the axis to the right."""
    yaw_deg: float
    """Turn about the axis downwards."""
    roll_deg: float
    """Turn in the picture's plane, clockwise."""
    scale: float
    """Size of the head."""
    translation: Array
    """(3,) float32."""
    expression: Array
    """(21, 3) float32 offsets of the keypoints, in the pose of the head."""
    points: Array
    """(21, 3) float32 keypoints of the head from the front, without expression."""

    @classmethod
    def of(cls, outputs: list[Array]) -> Self:
        """From the motion extractor's outputs in their order: pitch, yaw, roll, scale, translation, expression, keypoints."""
        pitch, yaw, roll, scale = (float(value.reshape(-1)[0]) for value in outputs[:4])
        translation, expression, points = outputs[4:]
        return cls(
            pitch_deg=pitch,
            yaw_deg=yaw,
            roll_deg=roll,
            scale=scale,
            translation=translation.reshape(3),
            expression=expression.reshape(POINTS, 3),
            points=points.reshape(POINTS, 3),
        )

    @property
    def rotation(self) -> Array:
        """(3, 3) float32: pitch about x, then yaw about y, then roll about z, of column vectors."""
        return make_rotation(self.pitch_deg, self.yaw_deg, self.roll_deg)

    @property
    def keypoints(self) -> Array:
        """(21, 3) float32: the canonical keypoints turned, moved by the expression, scaled and put into place."""
        return self.place(self.rotation)

    def place(self, rotation: Array) -> Array:
        """(21, 3) float32 keypoints with another (3, 3) rotation of the head."""
        placed: Array = self.scale * (self.points @ rotation.T + self.expression) + self.translation
        return placed.astype(np.float32)


def make_rotation(pitch_deg: float, yaw_deg: float, roll_deg: float) -> Array:
    """(3, 3) float32 of Euler angles: x first, then y, then z, about fixed axes."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles := np.radians([pitch_deg, yaw_deg, roll_deg])), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).astype(np.float32)


def limit_turn(name: str, turned_deg: float, own_deg: float) -> float:
    """An angle within `HEAD_LIMITS_DEG`, or no further than the head is turned already."""
    limit = HEAD_LIMITS_DEG[name]
    return float(np.clip(turned_deg, min(-limit, own_deg), max(limit, own_deg)))
