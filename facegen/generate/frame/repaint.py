"""Hair, background and the inside of the mouth repainted: how pictures of other attributes are made from photographs."""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces.mesh import LIPS_INNER, polygon_mask

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
HAIR_LUMINANCES = np.array([0.06, 0.12, 0.20, 0.30, 0.42, 0.55, 0.68], np.float32)
HAIR_COLOURS = (
    np.array(
        [[18, 15, 13], [37, 29, 24], [65, 46, 34], [97, 71, 52], [129, 100, 76], [174, 138, 100], [211, 172, 132]],
        np.float32,
    )
    / 255
)
"""(7, 3) RGB of hair of these mean luminances, black to blond: means over 260 of faces/generated, ends extended."""

_LIGHTS = 0.5
"""How much brighter than in the mean lights of hair are at most, where it is painted brighter."""
_CONTRASTS = ([0.07, 0.10, 0.20, 0.34, 0.55, 0.70], [0.57, 0.50, 0.45, 0.37, 0.30, 0.25])
"""Mean luminances of hair, and deviations over them (over 260 faces, the last two extended)."""
_POWERS = (0.5, 1.8)
"""Least and largest power of the contrast that hair had."""
_SATURATION = np.array([0.87, 1.06, 1.29], np.float32)
"""Powers of the contrast by channel: strands in the shade are of a deeper colour, lights paler (over 260 faces)."""


def luminance(picture: np.ndarray) -> np.ndarray:
    """(..., H, W) of (..., H, W, 3) RGB, in the same range."""
    return picture @ LUMINANCE


def mean_inside(values: np.ndarray, mask: np.ndarray) -> float:
    """Weighted mean of (H, W) values."""
    return float((values * mask).sum() / max(float(mask.sum()), 1e-6))


def with_hair(picture: np.ndarray, hair: np.ndarray, wanted: float) -> np.ndarray:
    """The picture with hair of another luminance.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        hair: (H, W) 0..1.
        wanted: mean luminance of the hair, 0..1.
    """
    own = carried_on(picture, hair)
    values = luminance(own)
    mean = mean_inside(values, hair)
    colour = np.array([np.interp(wanted, HAIR_LUMINANCES, HAIR_COLOURS[:, c]) for c in range(3)], np.float32)
    colour *= wanted / max(float(colour @ LUMINANCE), 1e-3)
    relative = np.clip(values / max(mean, 0.03), 0.2, 3)
    if wanted > mean:
        # lights are shine, which brighter hair has no more of
        relative = np.where(relative > 1, 1 + _LIGHTS * np.tanh((relative - 1) / 0.9), relative)
    # strands get the contrast that hair of this luminance has
    contrast = np.sqrt(mean_inside(np.square(relative - 1), hair))
    power = np.clip(np.interp(wanted, *_CONTRASTS) / max(contrast, 1e-3), *_POWERS)
    relative = relative ** np.float32(power)
    relative /= max(mean_inside(relative, hair), 1e-3)
    own_tint = np.clip(own / np.maximum(values, 0.02)[..., None], 0.3, 2.0)
    tint = 0.75 * colour / wanted * relative[..., None] ** (_SATURATION - 1) + 0.25 * own_tint
    tint /= np.maximum(luminance(tint), 1e-3)[..., None]
    painted = tint * (relative * wanted)[..., None]
    painted /= np.maximum(painted.max(2, keepdims=True), 1)  # cut off by channel, lights would turn green
    return picture + hair[..., None] * (painted - picture)


def carried_on(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture in which what the mask covers goes on past its rim, where other things shine through.

    What shines through loose hair is no strand: brightened like one it would draw a glowing line round the hair.
    """
    scale = len(picture) / 128
    inner = _inner(mask)
    near = _blurred_inside(picture, inner, 3 * scale)
    soft = cv2.GaussianBlur(inner, (0, 0), 0.7 * scale)[..., None]
    return near + soft * (picture - near)


def out_of_focus(picture: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The picture with its background blurred, as behind a face near the camera; nothing of the face gets into it.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        background: (H, W) float32 0..1.
    """
    blurred = _blurred_inside(picture, _inner(background), len(picture) / 25)
    return picture + background[..., None] * (blurred - picture)


def _inner(mask: np.ndarray) -> np.ndarray:
    """(H, W) a mask without its rim."""
    iterations = max(1, round(len(mask) / 128))
    return cv2.erode(np.clip(2 * mask - 1, 0, 1), np.ones((3, 3), np.uint8), iterations=iterations)


def _blurred_inside(picture: np.ndarray, inner: np.ndarray, sigma: float) -> np.ndarray:
    """Means over what of the neighbourhood is inside; far from all of it the picture itself."""
    weight = cv2.GaussianBlur(inner, (0, 0), sigma)[..., None]
    blurred = cv2.GaussianBlur(picture * inner[..., None], (0, 0), sigma) / np.maximum(weight, 1e-4)
    return picture + np.clip(weight / 0.02, 0, 1) * (blurred - picture)


def matted(picture: np.ndarray, hair: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hair and background strand by strand along the outline, where a parser only says about where it runs.

    How much of each shines through follows from colour: where the pixel lies between the colours that both have near by.

    Args:
        picture: (S, S, 3) float32 RGB in [0, 1].
        hair: (S, S) float32 0..1.
        background: (S, S) float32 0..1.

    Returns:
        The two maps.
    """
    sigma = len(picture) / 64

    def near(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Weighted means over the neighbourhood, by channel."""
        if values.ndim == 3:
            return np.dstack([near(channel, mask) for channel in np.moveaxis(values, 2, 0)])
        weight = cv2.GaussianBlur(mask, (0, 0), sigma)
        return cv2.GaussianBlur(values * mask, (0, 0), sigma) / np.maximum(weight, 1e-3)

    front, ground = (near(picture, mask) for mask in (1 - background, background))
    apart = front - ground
    distance = np.square(apart).sum(2)
    by_colour = ((front - picture) * apart).sum(2) / np.maximum(distance, 1e-3)
    by_colour = np.clip((by_colour - 0.15) / 0.7, 0, 1)  # neither colour is even: what is nearly one is that one
    # a ground of many colours tells nothing
    busy = near(np.square(picture), background) - np.square(ground)
    sure = distance / (distance + np.maximum(busy, 0).sum(2) + 0.01)
    ones = np.ones_like(background)
    share = near(background, ones)
    rim = np.clip(8 * share * (1 - share) - 0.2, 0, 1) * sure
    refined = background + rim * (by_colour - background)
    is_hair = np.clip(near(hair, ones) / np.maximum(1 - share, 1e-3), 0, 1)
    return np.clip(hair + is_hair * (background - refined), 0, 1), refined


def with_background(picture: np.ndarray, background: np.ndarray, wanted: float) -> np.ndarray:
    """The picture with a background of another mean luminance.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        background: (H, W) 0..1.
        wanted: mean luminance, 0..1.
    """
    mean = min(max(mean_inside(luminance(picture), background), 0.03), 0.97)
    if wanted < mean:
        painted = picture * (wanted / mean)
    else:
        painted = 1 - (1 - picture) * ((1 - wanted) / (1 - mean))
    return picture + background[..., None] * (np.clip(painted, 0, 1) - picture)


def with_mouth_inside(picture: np.ndarray, points: np.ndarray, gap: float, source_gap: float) -> np.ndarray:
    """The inside of a mouth that is opened wider than it was in the picture: teeth above, dark below.

    Args:
        picture: (S, S, 3) float32 RGB in [0, 1], already warped to `points`.
        points: (468, 3) mesh in pixels of the picture.
        gap: opening of the lips in eye distances.
        source_gap: what it was before.
    """
    strength = float(np.clip((gap - 1.25 * source_gap - 0.015) / 0.06, 0, 1))
    if strength == 0:
        return picture
    ring = points[list(LIPS_INNER), :2]
    size = len(picture)
    mask = polygon_mask(ring + 0.5, (size, size)).astype(np.float32) / 255
    top, bottom = ring[:, 1].min(), ring[:, 1].max()
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    upper_x, upper_y = ring[:11, 0], ring[:11, 1]
    order = np.argsort(upper_x)
    upper = np.interp(x[0], upper_x[order], upper_y[order]).astype(np.float32)[None]
    height = max(float(bottom - top), 1.0)
    below = (y - upper) / height
    middle, half = ring[:, 0].mean(), max(float(np.ptp(ring[:, 0])) / 2, 1.0)
    sideways = np.abs(x - middle) / half
    light = 0.35 + 0.65 * float(np.clip(mean_inside(luminance(picture), _cheeks(points, size)), 0.15, 0.75)) / 0.6
    cavity = np.array([0.24, 0.09, 0.08], np.float32) * light
    tongue = np.array([0.56, 0.27, 0.26], np.float32) * light
    teeth = np.array([0.86, 0.80, 0.74], np.float32) * light
    inside = cavity + (tongue - cavity) * (_rise(below, 0.55, 0.95) * np.clip(1 - sideways**2, 0, 1))[..., None]
    teeth_end = np.clip(0.035 * size / height, 0.12, 0.42)
    shown = (1 - _rise(below, teeth_end - 0.06, teeth_end + 0.06)) * (1 - _rise(sideways, 0.62, 0.95))
    shade = (1 - 0.35 * sideways) * (0.75 + 0.25 * _rise(below, 0.0, 0.14))
    inside = inside + shown[..., None] * (teeth * shade[..., None] - inside)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.0035 * size, 0.4))[..., None] * strength
    return picture + soft * (np.clip(inside, 0, 1).astype(np.float32) - picture)


def _rise(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below start, 1 above end, smooth between."""
    part = np.clip((values - start) / (end - start), 0, 1)
    return part * part * (3 - 2 * part)


def _cheeks(points: np.ndarray, size: int) -> np.ndarray:
    return polygon_mask(points[[117, 346, 425, 205], :2], (size, size)).astype(np.float32) / 255
