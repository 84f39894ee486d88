"""Recolouring of hair and background, alpha matting of their outline, and the inside of an opened mouth."""

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
"""(7, 3) RGB of hair at these mean luminances, black to blond: means over 260 of faces/generated, extrapolated at the ends."""

_HIGHLIGHTS = 0.5
"""Limit of highlights relative to the mean, where hair is brightened."""
_CONTRASTS = ([0.07, 0.10, 0.20, 0.34, 0.55, 0.70], [0.57, 0.50, 0.45, 0.37, 0.30, 0.25])
"""Mean luminances of hair, and its contrast (deviation over mean) at these, over 260 faces; the last two extrapolated."""
_BRIGHTENED, _BLACK = 3.0, 0.05
"""How many times its luminance hair is brightened at most, and the luminance of the darkest; seen on 9 portraits."""
_POWERS = (0.5, 1.8)
"""Range of the gamma that is applied to relative luminance."""
_SATURATION = np.array([0.87, 1.06, 1.29], np.float32)
"""Gamma of relative luminance by channel: shaded strands are more saturated, highlights less (over 260 faces)."""
_PLAIN, _BUSY = 0.02, 20.0
"""Variance of a background's colours up to which they tell it from hair, and how quickly they tell less beyond it. Chosen by eye."""


def luminance(picture: np.ndarray) -> np.ndarray:
    """(..., H, W) of (..., H, W, 3) RGB, in the same range."""
    return picture @ LUMINANCE


def masked_mean(values: np.ndarray, mask: np.ndarray) -> float:
    """Mean of (H, W) values weighted by a mask."""
    return float((values * mask).sum() / max(float(mask.sum()), 1e-6))


def recolour_hair(picture: np.ndarray, hair: np.ndarray, target: float) -> np.ndarray:
    """Recolours hair to another mean luminance, with the hue and contrast that hair of this luminance has.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        hair: (H, W) alpha 0..1.
        target: mean luminance of the hair, 0..1.
    """
    source = inpaint_outside(picture, hair)
    values = luminance(source)
    mean = masked_mean(values, hair)
    colour = np.array([np.interp(target, HAIR_LUMINANCES, HAIR_COLOURS[:, c]) for c in range(3)], np.float32)
    colour *= target / max(float(colour @ LUMINANCE), 1e-3)
    relative = np.clip(values / max(mean, 0.03), 0.2, 3)
    if target > mean:
        # highlights are specular and do not grow with brightness
        relative = np.where(relative > 1, 1 + _HIGHLIGHTS * np.tanh((relative - 1) / 0.9), relative)
    # contrast of hair of this luminance
    contrast = np.sqrt(masked_mean(np.square(relative - 1), hair))
    power = np.clip(np.interp(target, *_CONTRASTS) / max(contrast, 1e-3), *_POWERS)
    relative = relative ** np.float32(power)
    relative /= max(masked_mean(relative, hair), 1e-3)
    source_tint = np.clip(source / np.maximum(values, 0.02)[..., None], 0.3, 2.0)
    tint = 0.75 * colour / target * relative[..., None] ** (_SATURATION - 1) + 0.25 * source_tint
    tint /= np.maximum(luminance(tint), 1e-3)[..., None]
    painted = tint * (relative * target)[..., None]
    painted /= np.maximum(painted.max(2, keepdims=True), 1)  # clipping per channel would turn highlights green
    return picture + hair[..., None] * (painted - picture)


def inpaint_outside(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Inpaints outside a mask with the local mean of what is inside, so that mixed pixels of the rim count as inside.

    Background that shows through loose hair would otherwise be brightened with it, a bright line around the hair.
    """
    scale = len(picture) / 128
    inner = _erode(mask)
    near = _masked_blur(picture, inner, 3 * scale)
    soft = cv2.GaussianBlur(inner, (0, 0), 0.7 * scale)[..., None]
    return near + soft * (picture - near)


def blur_background(picture: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Blurs the background as a lens out of focus does, without bleeding of the foreground.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        background: (H, W) float32 0..1.
    """
    blurred = _masked_blur(picture, _erode(background), len(picture) / 25)
    return picture + background[..., None] * (blurred - picture)


def _erode(mask: np.ndarray) -> np.ndarray:
    """(H, W) the mask without its rim."""
    iterations = max(1, round(len(mask) / 128))
    return cv2.erode(np.clip(2 * mask - 1, 0, 1), np.ones((3, 3), np.uint8), iterations=iterations)


def _masked_blur(picture: np.ndarray, inner: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean over the pixels inside a mask; the picture itself where none is near."""
    weight = cv2.GaussianBlur(inner, (0, 0), sigma)[..., None]
    blurred = cv2.GaussianBlur(picture * inner[..., None], (0, 0), sigma) / np.maximum(weight, 1e-4)
    return picture + np.clip(weight / 0.02, 0, 1) * (blurred - picture)


def refine_matte(
    picture: np.ndarray, hair: np.ndarray, background: np.ndarray, reach: float = 1 / 64
) -> tuple[np.ndarray, np.ndarray]:
    """Refines the alpha mattes of hair and background along the outline, where a parser is only approximate.

    Alpha follows from the position of a pixel's colour between the local mean colours of foreground and background.

    Args:
        picture: (S, S, 3) float32 RGB in [0, 1].
        hair: (S, S) float32 0..1.
        background: (S, S) float32 0..1.
        reach: how far from the outline colours tell more than the parser, as a part of the side.

    Returns:
        The two mattes.
    """
    sigma = len(picture) * reach

    def near(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Weighted local means, per channel."""
        if values.ndim == 3:
            return np.dstack([near(channel, mask) for channel in np.moveaxis(values, 2, 0)])
        weight = cv2.GaussianBlur(mask, (0, 0), sigma)
        return cv2.GaussianBlur(values * mask, (0, 0), sigma) / np.maximum(weight, 1e-3)

    front, ground = (near(picture, mask) for mask in (1 - background, background))
    apart = front - ground
    distance = np.square(apart).sum(2)
    by_colour = ((front - picture) * apart).sum(2) / np.maximum(distance, 1e-3)
    by_colour = np.clip((by_colour - 0.15) / 0.7, 0, 1)  # neither colour is uniform: nearly one of them is that one
    # a background of high variance is not informative
    busy = near(np.square(picture), background) - np.square(ground)
    sure = distance / (distance + _BUSY * np.maximum(busy.sum(2) - _PLAIN, 0) + 0.01)
    ones = np.ones_like(background)
    share = near(background, ones)
    rim = np.clip(8 * share * (1 - share) - 0.2, 0, 1) * sure
    refined = background + rim * (by_colour - background)
    is_hair = np.clip(near(hair, ones) / np.maximum(1 - share, 1e-3), 0, 1)
    return np.clip(hair + is_hair * (background - refined), 0, 1), refined


def lightest_hair(picture: np.ndarray, hair: np.ndarray) -> float:
    """Mean luminance, 0..1, up to which hair can be brightened and still looks like hair: the darker it is, the fewer strands it shows.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        hair: (H, W) alpha 0..1.
    """
    return _BRIGHTENED * max(masked_mean(luminance(picture), hair), _BLACK)


def recolour_background(picture: np.ndarray, background: np.ndarray, target: float) -> np.ndarray:
    """Recolours the background to another mean luminance: multiplies to darken, screens to brighten.

    Args:
        picture: (H, W, 3) float32 RGB in [0, 1].
        background: (H, W) alpha 0..1.
        target: mean luminance, 0..1.
    """
    mean = min(max(masked_mean(luminance(picture), background), 0.03), 0.97)
    if target < mean:
        painted = picture * (target / mean)
    else:
        painted = 1 - (1 - picture) * ((1 - target) / (1 - mean))
    return picture + background[..., None] * (np.clip(painted, 0, 1) - picture)


def paint_mouth(picture: np.ndarray, points: np.ndarray, gap: float, source_gap: float) -> np.ndarray:
    """Paints teeth, tongue and cavity into a mouth that is opened wider than in the picture.

    Args:
        picture: (S, S, 3) float32 RGB in [0, 1], already warped to `points`.
        points: (468, 3) mesh in pixels of the picture.
        gap: opening of the lips in eye distances.
        source_gap: opening in the source picture.
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
    light = 0.35 + 0.65 * float(np.clip(masked_mean(luminance(picture), _cheek_mask(points, size)), 0.15, 0.75)) / 0.6
    cavity = np.array([0.24, 0.09, 0.08], np.float32) * light
    tongue = np.array([0.56, 0.27, 0.26], np.float32) * light
    teeth = np.array([0.86, 0.80, 0.74], np.float32) * light
    inside = cavity + (tongue - cavity) * (_smoothstep(below, 0.55, 0.95) * np.clip(1 - sideways**2, 0, 1))[..., None]
    teeth_end = np.clip(0.035 * size / height, 0.12, 0.42)
    shown = (1 - _smoothstep(below, teeth_end - 0.06, teeth_end + 0.06)) * (1 - _smoothstep(sideways, 0.62, 0.95))
    shade = (1 - 0.35 * sideways) * (0.75 + 0.25 * _smoothstep(below, 0.0, 0.14))
    inside = inside + shown[..., None] * (teeth * shade[..., None] - inside)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.0035 * size, 0.4))[..., None] * strength
    return picture + soft * (np.clip(inside, 0, 1).astype(np.float32) - picture)


def _smoothstep(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """Hermite interpolation: 0 below start, 1 above end."""
    part = np.clip((values - start) / (end - start), 0, 1)
    return part * part * (3 - 2 * part)


def _cheek_mask(points: np.ndarray, size: int) -> np.ndarray:
    return polygon_mask(points[[117, 346, 425, 205], :2], (size, size)).astype(np.float32) / 255
