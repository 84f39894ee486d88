"""Crops a face, moves it by LivePortrait and pastes it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from facegen.errors import NoFaceError
from facegen.faces import Face, FaceAnalyser, align, blend
from facegen.reenact import live_portrait
from facegen.reenact.editing import EYES_OPEN, LIPS_OPEN, change_expression, parse_sliders, turn_head
from facegen.reenact.live_portrait import INPUT_PX, OUTPUT_PX
from facegen.reenact.motion import FaceMotion

Array = np.ndarray
WIDER = 1.5
"""How much wider than an FFHQ crop the crop is in which a head is turned."""
EDGE = 0.15
"""Share of the crop over which the drawing fades into the picture."""
_CLOSED, _EYES_WIDE, _LIPS_WIDE = 0.0, 0.6, 1.0
"""Openings, by width, at the ends of the sliders."""
_NOSE = 2
_UPPER_POINTS, _LOWER_POINTS = (1, 2, 6, 10, 11, 12, 13, 15, 16), (3, 7, 14, 17, 18, 19, 20)
"""Keypoints of eyes and brows, and of the mouth: the expression; the rest are the head."""
MOST_RESTORED = 1.2
"""Share of the target's expression at a strength of 1."""


def wide_matrix(points5: Array) -> Array:
    """(2, 3) float32 matrix from a picture to the 512 pixels of the crop in which a head is turned.

    Args:
        points5: (5, 2) `Face.points5`.
    """
    wide = points5[_NOSE] + (points5 - points5[_NOSE]) * WIDER
    return align.similarity(wide, align.TEMPLATES["ffhq-512"], OUTPUT_PX)


def crop_input(image_rgb: np.ndarray, matrix: Array) -> Array:
    """(3, 256, 256) float32 RGB in 0..1: a picture's crop of 512 pixels, resized to the networks' input."""
    crop = cv2.resize(align.warp(image_rgb, matrix, OUTPUT_PX), (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(crop.transpose(2, 0, 1).astype(np.float32) / 255)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReenactmentCrop:
    """A face of a picture, ready to be moved.

    Attributes:
        image_rgb: (H, W, 3) uint8 the picture.
        matrix: (2, 3) from it to the crop.
        features: of `live_portrait.extract_features`.
        motion: pose and expression as they are.
        eyes_open: how widely the eyes on the picture's left and right are open, height by width.
        lips_open: the same of the mouth.
    """

    image_rgb: np.ndarray
    matrix: Array
    features: Array
    motion: FaceMotion
    eyes_open: tuple[float, float]
    lips_open: float

    @classmethod
    def of(cls, image_rgb: np.ndarray, face: Face) -> Self:
        """From a picture and a face in it.

        Raises:
            WeightsError: a file of LivePortrait is not on this machine.
        """
        matrix = wide_matrix(face.points5)
        crop_rgb, points68 = crop_input(image_rgb, matrix), face.points68
        return cls(
            image_rgb=image_rgb,
            matrix=matrix,
            features=live_portrait.extract_features(crop_rgb),
            motion=live_portrait.extract_motion(crop_rgb),
            eyes_open=(_ratio(points68, 37, 40, 39, 36), _ratio(points68, 43, 46, 45, 42)),
            lips_open=_ratio(points68, 62, 66, 54, 48),
        )

    def edit(self, sliders: Mapping[str, float]) -> Array:
        """(21, 3) keypoints moved as sliders of `editing.SLIDERS` say, each -1..1; unstitched."""
        source, motion = self.motion.keypoints, self.motion
        expression = change_expression(motion.expression, sliders)
        turned = motion.points @ turn_head(motion, sliders).T
        driving: Array = motion.scale * (turned + expression) + motion.translation
        if eyes := sliders.get(EYES_OPEN, 0.0):
            driving += abs(eyes) * self.open_eyes(_EYES_WIDE if eyes > 0 else _CLOSED)
        if lips := sliders.get(LIPS_OPEN, 0.0):
            driving += abs(lips) * live_portrait.retarget_lips(
                source, self.lips_open, _LIPS_WIDE if lips > 0 else _CLOSED
            )
        return driving.astype(np.float32)

    def open_eyes(self, wanted: float) -> Array:
        """(21, 3) by which keypoints move so that the eyes are open by `wanted` of their width."""
        return live_portrait.retarget_eyes(self.motion.keypoints, self.eyes_open, wanted)

    def draw(self, driving: Array) -> Array:
        """(512, 512, 3) float32 RGB in 0..255: the crop with its (21, 3) keypoints moved, stitched to what is round it."""
        source = self.motion.keypoints
        return live_portrait.draw(self.features, live_portrait.stitch(driving, source), source)

    def render(self, driving: Array) -> np.ndarray:
        """(H, W, 3) uint8: the picture with the face's (21, 3) keypoints moved."""
        return paste_crop(self.image_rgb, self.draw(driving), self.matrix)


def edit_largest(image_rgb: np.ndarray, analyser: FaceAnalyser, expression: str, name: str) -> np.ndarray:
    """(H, W, 3) uint8: a picture whose largest face is changed as a text of sliders says; nothing changes nothing.

    Args:
        image_rgb: (H, W, 3) uint8.
        analyser: finds the face.
        expression: as `editing.parse_sliders` reads it.
        name: what an error calls the picture.

    Raises:
        NoFaceError: there is no face in it.
        WeightsError: a file of LivePortrait is not on this machine.
    """
    if not (sliders := parse_sliders(expression)):
        return image_rgb
    faces = analyser.detect(image_rgb, max_faces=1)
    if not faces:
        raise NoFaceError(f"Expected a face in {name}, found none; choose another picture.")
    return edit_picture(image_rgb, faces[0], sliders)


def edit_picture(image_rgb: np.ndarray, face: Face, sliders: Mapping[str, float]) -> np.ndarray:
    """(H, W, 3) uint8: a picture whose face is changed as sliders of `editing.SLIDERS` say, each -1..1.

    Raises:
        WeightsError: a file of LivePortrait is not on this machine.
    """
    if not any(sliders.values()):
        return image_rgb
    crop = ReenactmentCrop.of(image_rgb, face)
    return crop.render(crop.edit(sliders))


def restore_expression(swapped_rgb: np.ndarray, target_rgb: np.ndarray, points5: Array, strength: float) -> np.ndarray:
    """(H, W, 3) uint8: a swapped face with the expression that the target has.

    Args:
        swapped_rgb: (H, W, 3) uint8 the frame with the new face.
        target_rgb: (H, W, 3) uint8 the frame as it was.
        points5: (5, 2) `Face.points5` of the target.
        strength: 0..1; 1 exaggerates it by a fifth.

    Raises:
        WeightsError: a file of LivePortrait is not on this machine.
    """
    matrix = align.similarity(points5, align.TEMPLATES["arcface-128"], OUTPUT_PX)
    crop_rgb, share = crop_input(swapped_rgb, matrix), MOST_RESTORED * strength
    motion, wanted = (
        live_portrait.extract_motion(crop_rgb),
        live_portrait.extract_motion(crop_input(target_rgb, matrix)).expression,
    )
    expression, of_face = motion.expression.copy(), [*_UPPER_POINTS, *_LOWER_POINTS]
    expression[of_face] += share * (wanted[of_face] - expression[of_face])
    driving = motion.scale * (motion.points @ motion.rotation.T + expression) + motion.translation
    drawn = live_portrait.draw(live_portrait.extract_features(crop_rgb), driving.astype(np.float32), motion.keypoints)
    return paste_crop(swapped_rgb, drawn, matrix)


def paste_crop(image_rgb: np.ndarray, drawn: Array, matrix: Array) -> np.ndarray:
    """(H, W, 3) uint8: a picture with a (512, 512, 3) drawing of its crop, which fades at the crop's border."""
    low, back, share = warp_crop(drawn, matrix, image_rgb.shape[:2])
    result = image_rgb.copy()
    under = result[low[1] : low[1] + share.shape[0], low[0] : low[0] + share.shape[1]]
    under[:] = np.clip(under + (back - under) * share[..., None] + 0.5, 0, 255)
    return result


def warp_crop(drawn: Array, matrix: Array, size_hw: tuple[int, ...]) -> tuple[np.ndarray, Array, Array]:
    """A (512, 512, 3) drawing of a crop in the pixels of its picture.

    Args:
        drawn: RGB in 0..255.
        matrix: (2, 3) from the picture to the crop.
        size_hw: of the picture.

    Returns:
        The first column and row that it covers; (h, w, 3) float32 RGB; (h, w) opacity, which fades at the crop's border.
    """
    edge = np.clip(np.minimum(np.arange(OUTPUT_PX), np.arange(OUTPUT_PX)[::-1]) / np.float32(EDGE * OUTPUT_PX), 0, 1)
    share = np.minimum(edge[:, None], edge[None]).astype(np.float32)
    corners = align.apply(
        align.invert(matrix), np.array([[0, 0], [OUTPUT_PX, 0], [0, OUTPUT_PX], [OUTPUT_PX, OUTPUT_PX]], np.float32)
    )
    size = np.array(size_hw[1::-1])
    low = np.clip(np.floor(corners.min(axis=0)), 0, size - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, low + 1, size).astype(int)
    return low, *blend.warp_back(drawn, share, matrix, low, high)


def _ratio(points68: Array, top: int, bottom: int, right: int, left: int) -> float:
    height = float(np.linalg.norm(points68[top] - points68[bottom]))
    return height / (float(np.linalg.norm(points68[right] - points68[left])) + 1e-6)
