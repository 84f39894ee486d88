"""`FaceSample`, and pictures made of it by warping and recolouring: variants of other sliders, and canonical pictures.

Most photographs of a dataset are frontal with open eyes. Variants cover the range of each slider independently, so that
the generator sees what one slider changes in one face.
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
"""Luminance of hair and background in canonical pictures, 0..1."""
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
class FaceSample:
    """An aligned picture with its alpha maps, mesh and pose."""

    picture: np.ndarray
    """(S, S, 3) float32 RGB in [0, 1], in the generator's frame."""
    hair: np.ndarray
    """(S, S) float32 0..1, alpha of the hair."""
    background: np.ndarray
    """(S, S) float32 0..1, alpha of the background."""
    points: np.ndarray
    """(468, 3) pixels of the 256-pixel frame."""
    shape: np.ndarray
    """(468, 3) `geometry.neutral_shape` of the face."""
    lids: float
    lips: float
    yaw_deg: float

    @classmethod
    def from_face(
        cls, picture_rgb: np.ndarray, face: Face, hair: np.ndarray, background: np.ndarray, size: int
    ) -> FaceSample:
        """From a (256, 256, 3) uint8 picture and (256, 256) class probabilities, resized to `size`."""
        small = cv2.resize(picture_rgb, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        maps = [
            class_alpha(cv2.resize(m.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA))
            for m in (hair, background)
        ]
        return cls(
            picture=small,
            hair=maps[0],
            background=maps[1],
            points=face.points478[:468],
            shape=geometry.neutral_shape(face),
            lids=geometry.lid_gap(face.points478),
            lips=geometry.lip_gap(face.points478),
            yaw_deg=face.yaw_deg,
        )

    def sliders(self) -> np.ndarray:
        """(5,) float32: the controls (`sliders.DRAWN`) that describe the picture as it is, clipped to 0..1."""
        light = repaint.luminance(self.picture)
        # a warped picture measures less yaw than the geometry was set to
        yaw = self.yaw_deg * DRAWN["head"].at1 / 26
        hair = repaint.masked_mean(light, self.hair) if self.hair.mean() > 0.01 else DRAWN["hair"].quantity(0.7)
        quantities = (self.lids, self.lips, hair, repaint.masked_mean(light, self.background), yaw)
        values = [DRAWN[name].value(quantity) for name, quantity in zip(NAMES, quantities, strict=True)]
        return np.clip(values, 0, 1).astype(np.float32)


def class_alpha(probabilities: np.ndarray) -> np.ndarray:
    """Alpha 0..1 of a class from its probabilities: a linear ramp between 0.25 and 0.75."""
    return np.clip((probabilities - 0.25) * 2, 0, 1)


def warp_image(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """(S, S, C) float32 image sampled through a backward flow of any side (pixels of the 256-pixel frame)."""
    size = len(image)
    offsets = cv2.resize(flow, (size, size), interpolation=cv2.INTER_LINEAR) * (size / SIZE)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    positions = x + offsets[..., 0], y + offsets[..., 1]
    # OpenCV's cubic kernel takes four channels at most; linear is enough for maps
    warped = [cv2.remap(image[..., :3], *positions, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)]
    if image.shape[2] > 3:
        warped.append(cv2.remap(image[..., 3:], *positions, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.dstack(warped)


def variant(source: FaceSample, sliders: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture with other values of some sliders.

    Args:
        source: the picture.
        sliders: (5,) controls.
        changed: (5,) bool, the sliders to change.

    Returns:
        (S, S, 3) float32 picture, and its (S, S) hair and background alpha.
    """
    _, lips, hair, background, _ = (DRAWN[n].quantity(float(v)) for n, v in zip(NAMES, sliders, strict=True))
    stacked = np.dstack([source.picture, source.hair, source.background])
    if changed[[0, 1, 4]].any():
        target = target_mesh(source, sliders, changed)
        ring = geometry.static_ring(source.shape)
        flow = geometry.backward_flow(target, source.points, ring, ring)
        stacked = np.clip(warp_image(stacked, flow), 0, 1)
        if changed[1]:
            scaled = (target + 0.5) * (len(stacked) / SIZE) - 0.5
            mouth = repaint.paint_mouth(stacked[..., :3], scaled, lips, source.lips)
            stacked[..., :3] = mouth
    picture, hair_map, background_map = stacked[..., :3], stacked[..., 3], stacked[..., 4]
    if changed[2] and hair_map.mean() > 0.01:
        picture = repaint.recolour_hair(picture, hair_map, hair)
    if changed[3]:
        picture = repaint.recolour_background(picture, background_map, background)
    return np.clip(picture, 0, 1), hair_map, background_map


def target_mesh(source: FaceSample, sliders: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """(468, 3) the posed mesh of a variant."""
    lids = DRAWN["eyes"].quantity(float(sliders[0])) if changed[0] else source.lids
    lips = DRAWN["mouth"].quantity(float(sliders[1])) if changed[1] else source.lips
    yaw = DRAWN["head"].quantity(float(sliders[4])) if changed[4] else source.yaw_deg
    return geometry.pose_shape(source.shape, lids, lips, yaw)


def canonical(source: FaceSample, mean_shape: np.ndarray) -> np.ndarray:
    """The picture warped to the mean shape, frontal, lips closed, with hair and background of fixed luminance.

    Returns:
        (S, S, 5) float32 0..1: RGB, hair alpha, background alpha.
    """
    stacked = warp_to_canonical(source, mean_shape)
    picture, hair, background = stacked[..., :3], stacked[..., 3], stacked[..., 4]
    if hair.mean() > 0.01:
        picture = repaint.recolour_hair(picture, hair, CANONICAL_HAIR)
    picture = repaint.recolour_background(picture, background, CANONICAL_BACKGROUND)
    return np.dstack([np.clip(picture, 0, 1), hair, background])


def warp_to_canonical(source: FaceSample, mean_shape: np.ndarray) -> np.ndarray:
    """(S, S, 5) float32 0..1: RGB, hair alpha and background alpha warped to the mean shape, frontal, lips closed."""
    flow = flow_to_canonical(source, mean_shape)
    return np.clip(warp_image(np.dstack([source.picture, source.hair, source.background]), flow), 0, 1)


def flow_to_canonical(source: FaceSample, mean_shape: np.ndarray) -> np.ndarray:
    """(128, 128, 2) float32 backward flow from the canonical frame to a picture, pixels of the 256-pixel frame."""
    rings = geometry.static_ring(mean_shape), geometry.static_ring(source.shape)
    return geometry.backward_flow(mean_shape, source.points, *rings)


def flow_from_canonical(
    points: np.ndarray, shape: np.ndarray, mean_shape: np.ndarray, size: int = _FLOW_SIZE
) -> np.ndarray:
    """(size, size, 2) float32 backward flow from a posed mesh to the canonical frame, pixels of the 256-pixel frame."""
    rings = geometry.static_ring(shape), geometry.static_ring(mean_shape)
    return geometry.backward_flow(points, mean_shape, *rings, size=size)
