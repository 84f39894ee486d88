"""Other pictures of the same person: lids, lips, turn, hair and background changed by warping and repainting.

The photographs of a dataset mostly look ahead with open eyes. Their variants cover the whole range of each slider,
independently of each other, and show the generator what one slider does to one face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import Face
from facegen.generate.frame import geometry, repaint
from facegen.generate.frame.alignment import SIZE
from facegen.generate.sliders import DRAWN, NAMES, Sliders

CANONICAL_HAIR, CANONICAL_BACKGROUND = 0.30, 0.60
"""Luminance of hair and background in canonical pictures."""
CANONICAL = Sliders(
    eyes=DRAWN["eyes"].value(geometry.NEUTRAL_LID_GAP),
    mouth=0.0,
    hair=DRAWN["hair"].value(CANONICAL_HAIR),
    background=DRAWN["background"].value(CANONICAL_BACKGROUND),
    head=0.5,
)
"""The sliders of canonical pictures."""
_FLOW_SIZE = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """A picture of the dataset with everything that variants need."""

    picture: np.ndarray
    """(S, S, 3) float32 RGB in [0, 1], in the generator's frame."""
    hair: np.ndarray
    """(S, S) float32 0..1."""
    background: np.ndarray
    """(S, S) float32 0..1."""
    points: np.ndarray
    """(468, 3) pixels of the 256-pixel frame."""
    shape: np.ndarray
    """(468, 3) `geometry.shape_of` the face."""
    lids: float
    lips: float
    yaw_deg: float

    @classmethod
    def of(cls, picture_rgb: np.ndarray, face: Face, hair: np.ndarray, background: np.ndarray, size: int) -> Measured:
        """From (256, 256, 3) uint8 with (256, 256) maps 0..1, brought to `size`."""
        small = cv2.resize(picture_rgb, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        maps = [
            solid(cv2.resize(m.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA))
            for m in (hair, background)
        ]
        return cls(
            picture=small,
            hair=maps[0],
            background=maps[1],
            points=face.points478[:468],
            shape=geometry.shape_of(face),
            lids=geometry.lid_gap(face.points478),
            lips=geometry.lip_gap(face.points478),
            yaw_deg=face.yaw_deg,
        )

    def sliders(self) -> np.ndarray:
        """(5,) float32: the drawn sliders' values that describe the picture as it is, clipped to 0..1."""
        light = repaint.luminance(self.picture)
        # a head that is drawn turned measures less than it was asked for
        yaw = self.yaw_deg * DRAWN["head"].at1 / 26
        hair = repaint.mean_inside(light, self.hair) if self.hair.mean() > 0.01 else DRAWN["hair"].quantity(0.7)
        quantities = (self.lids, self.lips, hair, repaint.mean_inside(light, self.background), yaw)
        values = [DRAWN[name].value(quantity) for name, quantity in zip(NAMES, quantities, strict=True)]
        return np.clip(values, 0, 1).astype(np.float32)


def solid(probabilities: np.ndarray) -> np.ndarray:
    """How much of a class is in each pixel, 0..1, from its probability."""
    return np.clip((probabilities - 0.25) * 2, 0, 1)


def warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """(S, S, C) float32 drawn through a flow of the 256-pixel frame, of any side."""
    size = len(image)
    offsets = cv2.resize(flow, (size, size), interpolation=cv2.INTER_LINEAR) * (size / SIZE)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    places = x + offsets[..., 0], y + offsets[..., 1]
    # OpenCV's cubic kernel takes four channels at most; maps need no more than the linear one
    drawn = [cv2.remap(image[..., :3], *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)]
    if image.shape[2] > 3:
        drawn.append(cv2.remap(image[..., 3:], *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.dstack(drawn)


def variant(source: Measured, sliders: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The person of a picture with other values of some sliders.

    Args:
        source: the picture.
        sliders: (5,) drawn values.
        changed: (5,) bool; the others stay as they are in the picture.

    Returns:
        (S, S, 3) float32 picture, and the maps of its (S, S) hair and background.
    """
    _, lips, hair, background, _ = (DRAWN[n].quantity(float(v)) for n, v in zip(NAMES, sliders, strict=True))
    stacked = np.dstack([source.picture, source.hair, source.background])
    if changed[[0, 1, 4]].any():
        target = target_points(source, sliders, changed)
        ring = geometry.ring_of(source.shape)
        flow = geometry.flow_between(target, source.points, ring, ring)
        stacked = np.clip(warped(stacked, flow), 0, 1)
        if changed[1]:
            scaled = (target + 0.5) * (len(stacked) / SIZE) - 0.5
            mouth = repaint.with_mouth_inside(stacked[..., :3], scaled, lips, source.lips)
            stacked[..., :3] = mouth
    picture, hair_map, background_map = stacked[..., :3], stacked[..., 3], stacked[..., 4]
    if changed[2] and hair_map.mean() > 0.01:
        picture = repaint.with_hair(picture, hair_map, hair)
    if changed[3]:
        picture = repaint.with_background(picture, background_map, background)
    return np.clip(picture, 0, 1), hair_map, background_map


def target_points(source: Measured, sliders: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """(468, 3) where the mesh lies in a variant."""
    lids = DRAWN["eyes"].quantity(float(sliders[0])) if changed[0] else source.lids
    lips = DRAWN["mouth"].quantity(float(sliders[1])) if changed[1] else source.lips
    yaw = DRAWN["head"].quantity(float(sliders[4])) if changed[4] else source.yaw_deg
    return geometry.posed(source.shape, lids, lips, yaw)


def canonical(source: Measured, mean_shape: np.ndarray) -> np.ndarray:
    """The picture drawn with the mean shape, looking ahead, lips closed, hair and background of one luminance.

    Returns:
        (S, S, 5) float32: RGB, hair, background.
    """
    flow = flow_to_canonical(source, mean_shape)
    stacked = np.clip(warped(np.dstack([source.picture, source.hair, source.background]), flow), 0, 1)
    picture, hair, background = stacked[..., :3], stacked[..., 3], stacked[..., 4]
    if hair.mean() > 0.01:
        picture = repaint.with_hair(picture, hair, CANONICAL_HAIR)
    picture = repaint.with_background(picture, background, CANONICAL_BACKGROUND)
    return np.dstack([np.clip(picture, 0, 1), hair, background])


def flow_to_canonical(source: Measured, mean_shape: np.ndarray) -> np.ndarray:
    """(128, 128, 2) float32 flow that draws the canonical picture from a measured one, pixels of the 256-pixel frame."""
    rings = geometry.ring_of(mean_shape), geometry.ring_of(source.shape)
    return geometry.flow_between(mean_shape, source.points, *rings)


def flow_from_canonical(
    points: np.ndarray, shape: np.ndarray, mean_shape: np.ndarray, size: int = _FLOW_SIZE
) -> np.ndarray:
    """(size, size, 2) float32 flow that draws a mesh from the canonical picture, pixels of the 256-pixel frame."""
    rings = geometry.ring_of(shape), geometry.ring_of(mean_shape)
    return geometry.flow_between(points, mean_shape, *rings, size=size)
