"""`Face`: everything that the analysis knows of one face in one picture.

Frame of reference. Points are in pixels of the displayed image, x to the right, y down; a point's z is in the same
pixels, smaller is nearer to the camera. `matrix` takes the canonical face model (cm, x to the image's right, y up, z
out of the face) to the camera of the *whole image*: a pinhole with a vertical field of view of `CAMERA_FOV_DEG` whose
axis goes through the image's centre, x right, y up, looking along -z. Its translation is the position of the head in front
of that camera. Its rotation is the head *as seen*: relative to the line of sight from the camera to the face, so that a
face that looks into the lens is frontal wherever it is in the frame, and so that scaled-orthographic projection by it
lands on the points. (MediaPipe's own matrix is relative to the camera of the crop it ran on; `landmark.py`
corrects that.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import cached_property
from typing import Any

import numpy as np

CAMERA_FOV_DEG = 63.0
"""Vertical field of view that MediaPipe's face geometry assumes, and that `Face.matrix` is expressed in."""

BLENDSHAPES = (
    "_neutral",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
)
"""Names of `Face.blendshapes`; Left and Right are the person's own."""

BLENDSHAPE_INDEX = {name: index for index, name in enumerate(BLENDSHAPES)}

POINTS68_INDEX = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw, image left to right
    *(70, 63, 105, 66, 107),  # brow on the image's left
    *(336, 296, 334, 293, 300),  # brow on the image's right
    *(168, 197, 5, 4),  # nose bridge
    *(75, 97, 2, 326, 305),  # nostrils
    *(33, 160, 158, 133, 153, 144),  # eye on the image's left
    *(362, 385, 387, 263, 373, 380),  # eye on the image's right
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)
"""Mesh vertex of each of the 68 points of the iBUG order (which DFL, .fsa files, dlib and facexlib users know)."""

_EYE_LEFT, _EYE_RIGHT, _NOSE, _MOUTH_LEFT, _MOUTH_RIGHT = (33, 133), (362, 263), (1,), (61,), (291,)


def points5_of(points478: np.ndarray) -> np.ndarray:
    """The five points of a mesh.

    Args:
        points478: (..., 478, 2 or 3) mesh points.

    Returns:
        (..., 5, 2) float32: eye centres (middle of the corners, so that gaze does not move them), nose tip, mouth
        corners, in image order.
    """
    groups = (_EYE_LEFT, _EYE_RIGHT, _NOSE, _MOUTH_LEFT, _MOUTH_RIGHT)
    return np.stack([points478[..., list(group), :2].mean(axis=-2) for group in groups], axis=-2).astype(np.float32)


def box_of(points478: np.ndarray) -> np.ndarray:
    """(4,) float32 x0, y0, x1, y1: the tight box round the points of a mesh."""
    xy = points478[:, :2]
    return np.concatenate([xy.min(axis=0), xy.max(axis=0)]).astype(np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Face:
    """One face in one image."""

    box_xyxy: np.ndarray
    """(4,) float32, pixels: tight round the mesh; may hang over the image's border."""
    points5: np.ndarray
    """(5, 2) float32, pixels: eye centres, nose tip, mouth corners; left and right as seen in the image."""
    points478: np.ndarray
    """(478, 3) float32: x, y and z in pixels, smaller z is nearer to the camera; MediaPipe's order."""
    matrix: np.ndarray
    """(4, 4) float32: canonical face model (cm) to the camera of the whole image; see the module's docstring."""
    blendshapes: np.ndarray
    """(52,) float32 in 0..1, named by `BLENDSHAPES`."""
    embedding: np.ndarray | None = None
    """(128,) float32 dlib descriptor; None where it was not computed."""
    score: float
    """0..1: how sure the detector is, lowered where mesh and detector disagree or the face was interpolated."""
    track_id: int | None = None
    """Number of the unbroken appearance that this face belongs to, within one clip."""
    person_id: int | None = None
    """Number of the person, within one clip."""
    rest: np.ndarray | None = None
    """(468, 3) float32 canonical cm (`mesh.Pose`): the person's neutral shape; None where no clip was analysed."""
    skin: np.ndarray | None = None
    """(468, 3) float32: the person's usual skin tones over a clip, see `skin.median_tones`; None without a clip."""
    landmarks68: np.ndarray | None = None
    """(68, 2) float32 pixels from a landmark network of its own (facexlib), where the backend has one."""

    def replace(self, **changes: Any) -> Face:
        """This face with some fields changed."""
        return replace_fields(self, **changes)

    def blendshape(self, name: str) -> float:
        """Strength 0..1 of one expression, by its name in `BLENDSHAPES`."""
        return float(self.blendshapes[BLENDSHAPE_INDEX[name]])

    @cached_property
    def points68(self) -> np.ndarray:
        """(68, 2) float32 pixels, iBUG order: the landmark network's where there was one, else picked from the mesh."""
        if self.landmarks68 is not None:
            return self.landmarks68
        return self.points478[list(POINTS68_INDEX), :2]

    @property
    def size_px(self) -> float:
        """Side of the square whose area is the box's."""
        width, height = self.box_xyxy[2:] - self.box_xyxy[:2]
        return math.sqrt(max(0.0, float(width) * float(height)))

    @property
    def yaw_deg(self) -> float:
        """Degrees the head is turned; positive looks to the image's right."""
        return math.degrees(math.atan2(float(self.matrix[0, 2]), float(self.matrix[2, 2])))

    @property
    def pitch_deg(self) -> float:
        """Degrees the head is raised; positive looks up."""
        return math.degrees(math.asin(float(np.clip(self.matrix[1, 2], -1, 1))))

    @property
    def roll_deg(self) -> float:
        """Degrees the head is tilted in the image; positive is clockwise, 180 is upside down."""
        yaw = math.radians(self.yaw_deg)
        right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
        forward = self.matrix[:3, 2]
        up = np.cross(forward, right)
        model_right = self.matrix[:3, 0]
        return -math.degrees(math.atan2(float(model_right @ up), float(model_right @ right)))
