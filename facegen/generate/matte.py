"""A picture taken apart and put together again: ground, body, and head with hair, each with a clean edge.

What the parser calls background is painted anew from its own colours; what it calls head is carried on to its edge from a
little further inside, so that no haze, halo or ghost is left round it. Hair gets strands, and below lie neck and shoulders.
"""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces.parse import BACKGROUND, CLOTH, HAIR, NECK, NECKLACE, SKIN
from facegen.generate.repaint import luminance

_EDGE = (0.5, 0.88)
"""Share of head between which its edge goes from none of it to all."""
_FRAYED = 0.5
"""How much strands fray the edge of hair, of a strand's logarithm."""
_ROUND = 1.5
"""Sigma that rounds the outline off, pixels of 256."""
_RIM, _CLEAR = 7, 15
"""How wide a rim is drawn from further inside, and how far the ground is left from the person to see its colours."""
_THIN = 17
"""Parts of a head thinner than this are taken for haze."""
_NEAR, _WIDE = 2.0, 20.0
"""Sigmas over which colours are carried: of the head to its edge, and of the ground behind it."""
_BROAD = 7.0
"""Sigma of the light and shade of hair that stay."""
_LIGHTER = (0.75, 1.33)
"""Bounds of the factor that brings hair back to its brightness."""
_USUAL = 0.7
"""How far colours of hair lie from their median, sums of three logarithms."""
_FEW = 50
"""Pixels that are too few to tell colours from."""


def skin_of(picture_rgb: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(3,) median levels of the skin of a (256, 256, 3) picture's face."""
    skin = classes[SKIN] > 0.9
    return np.median(picture_rgb[skin], 0) if skin.sum() > _FEW else np.median(picture_rgb.reshape(-1, 3), 0)


def put_together(
    picture_rgb: np.ndarray,
    classes: np.ndarray,
    strands: np.ndarray,
    body: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """One picture, put together anew.

    Args:
        picture_rgb: (256, 256, 3) uint8.
        classes: (19, 256, 256) probabilities of the parser.
        strands: (256, 256) float32 logarithm of their brightness over the neighbourhood.
        body: (256, 256, 3) levels and (256, 256) 0..1 of neck and shoulders.

    Returns:
        (256, 256, 3) uint8; where no ground can be told from a head, the picture itself.
    """
    classes = classes.astype(np.float32)
    picture = picture_rgb.astype(np.float32)
    behind = classes[BACKGROUND] + classes[[CLOTH, NECK, NECKLACE]].sum(0)
    head = _without_wisps(cv2.GaussianBlur(1 - behind, (0, 0), _ROUND))
    solid = cv2.erode((head > 0.9).astype(np.float32), disc(_RIM))
    plain = cv2.erode((cv2.GaussianBlur(classes[BACKGROUND], (0, 0), 1) > 0.95).astype(np.float32), disc(_CLEAR))
    if solid.sum() < _FEW or plain.sum() < _FEW:
        return picture_rgb
    ground = carried(picture, plain, _WIDE)
    inner = carried(picture, solid, _NEAR)
    # a jaw against its neck keeps its own edge: nothing bright shines through there
    against = cv2.GaussianBlur(classes[BACKGROUND] + classes[CLOTH], (0, 0), 4.0)
    kept = np.maximum(cv2.GaussianBlur(solid, (0, 0), 1.0), 1 - np.clip(8 * against, 0, 1))[..., None]
    front = inner + kept * (picture - inner)
    hair = carried(classes[HAIR][..., None], solid, _NEAR)[..., 0]
    hair = hair + kept[..., 0] * (classes[HAIR] - hair)
    firm = _without_haze(picture, solid * (classes[HAIR] > 0.7))
    if firm.sum() > _FEW:
        share = cv2.GaussianBlur(hair, (0, 0), 1.0)[..., None]
        laid = carried(picture, firm, _BROAD) * np.exp(strands)[..., None]
        # hair stays as dark as it was asked for
        levels = [float((classes[HAIR] * luminance(part)).sum()) for part in (picture, laid)]
        front += share * (laid * float(np.clip(levels[0] / max(levels[1], 1.0), *_LIGHTER)) - front)
        head = head + _FRAYED * share[..., 0] * strands
    alpha = np.maximum(ramp(head, *_EDGE), cv2.GaussianBlur(solid, (0, 0), 1.0))[..., None]
    lower = ramp(body[1], 0.4, 0.6)[..., None]
    ground += lower * (body[0] - ground)
    return (ground + alpha * (front - ground)).round().clip(0, 255).astype(np.uint8)


def _without_wisps(head: np.ndarray) -> np.ndarray:
    """(H, W) 0..1 the head without parts that are thinner than a strand of hair is drawn well."""
    broad = cv2.morphologyEx((head > 0.5).astype(np.float32), cv2.MORPH_OPEN, disc(_THIN))
    return np.minimum(head, cv2.GaussianBlur(cv2.dilate(broad, disc(5)), (0, 0), _ROUND))


def _without_haze(picture: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(H, W) 0..1 the places of hair that have its usual colours: where the ground shines through they are others."""
    if hair.sum() < _FEW:
        return hair
    colours = np.log(cv2.GaussianBlur(picture, (0, 0), _BROAD) + 16)
    gaps = np.abs(colours - np.median(colours[hair > 0], 0)).sum(2)
    return hair * np.exp(-np.square(gaps / _USUAL))


def carried(values: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, C) values of the known places, carried on over the others from near where there are any."""
    weight, found = np.zeros_like(known), np.zeros_like(values)
    # each wider blur counts a hundredth of the one before: it speaks only where that one knows nothing
    for step in range(4):
        wide, share = sigma * 2.0**step, 0.01**step
        weight += share * _blurred(known, wide)
        found += share * _blurred(values * known[..., None], wide).reshape(values.shape)
    mean = values[known > 0.5].mean(0)
    return (found + 1e-9 * mean) / (weight + 1e-9)[..., None]


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; a wide one of a quarter of the size, which shows no difference."""
    if sigma < 8:
        return cv2.GaussianBlur(values, (0, 0), sigma)
    small = cv2.resize(values, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), values.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below start, 1 above end, smooth between."""
    part = np.clip((values - start) / (end - start), 0, 1)
    return part * part * (3 - 2 * part)


def disc(size: int) -> np.ndarray:
    """A round window of so many pixels."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
