"""The pixels of a merge: masks shaped, colours matched, faces blended. Everything happens in the crop of the face."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from facegen.swap.autoencoder.colours import TRANSFERS
from facegen.swap.autoencoder.merge import MergeOptions

Array = np.ndarray


def shaped_mask(mask: Array, options: MergeOptions) -> Array:
    """(S, S) float32: a mask eroded and softened, and nothing at the crop's own border."""
    side = mask.shape[0]
    erode = round(options.erode * side / 1000)
    if erode:
        size = 2 * abs(erode) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        mask = cv2.erode(mask, kernel) if erode > 0 else cv2.dilate(mask, kernel)
    blur = options.blur * side / 1000
    if blur > 0.5:
        # eroded by what the blur will spread, so that the outline does not grow
        size = 2 * max(1, round(blur / 2)) + 1
        mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        mask = cv2.GaussianBlur(mask, (0, 0), blur / 2)
    border = max(2, side // 32)
    fade = np.clip((np.minimum(np.arange(side), np.arange(side)[::-1]) - 0.5) / border, 0, 1).astype(np.float32)
    return np.clip(mask, 0, 1) * fade[:, None] * fade[None]


def moments(picture: Array, mask: Array) -> Array:
    """(2, 3) float32: mean and deviation of the L*a*b* colours inside a mask."""
    weights = mask[..., None] + 1e-4
    lab = cv2.cvtColor(np.clip(picture, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    mean = (lab * weights).sum((0, 1)) / weights.sum()
    deviation = np.sqrt((np.square(lab - mean) * weights).sum((0, 1)) / weights.sum())
    return np.stack([mean, deviation]).astype(np.float32)


def with_moments(picture: Array, own: Array, wanted: Array) -> Array:
    """(S, S, 3): the picture with another mean and deviation in L*a*b* (Reinhard et al. 2001)."""
    lab = cv2.cvtColor(np.clip(picture, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    ratio = np.clip(wanted[1] / np.maximum(own[1], 1e-3), 0.5, 2.0)
    return np.clip(cv2.cvtColor((lab - own[0]) * ratio + wanted[0], cv2.COLOR_LAB2RGB), 0, 1)


def transferred(picture: Array, like: Array, mask: Array, like_mask: Array, method: str) -> Array:
    """(S, S, 3): the picture with the colours of another, each measured inside its mask."""

    def tensor(image: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]

    weights, like_weights = (torch.from_numpy(one)[None, None] for one in (mask, like_mask))
    made = TRANSFERS[method](tensor(picture), tensor(like), weights, like_weights)
    return made[0].permute(1, 2, 0).numpy()


def histogram_matched(picture: Array, like: Array, mask: Array, threshold: int) -> Array:
    """(S, S, 3): each channel's distribution inside the mask made that of another picture, up to a threshold."""
    inside = mask > 0.5
    if inside.sum() < 64:
        return picture
    out = picture.copy()
    for channel in range(3):
        values, wanted = picture[..., channel], like[..., channel]
        limit = threshold / 255
        own_sorted, new_sorted = np.sort(values[inside]), np.sort(wanted[inside & (wanted <= limit)])
        if len(new_sorted) < 32:
            continue
        places = np.searchsorted(own_sorted, values) / len(own_sorted)
        matched = np.interp(places, np.linspace(0, 1, len(new_sorted)), new_sorted)
        out[..., channel] = np.where(values <= limit, matched, values)
    return out.astype(np.float32)


def poisson(picture: Array, like: Array, mask: Array) -> Array:
    """(S, S, 3): the picture's gradients inside the mask on the other's colours (Perez et al. 2003)."""
    # the border lies on skin: hair and background beyond it would shine into the face
    inside = (mask > 0.5).astype(np.uint8) * 255
    inside[:2] = inside[-2:] = 0
    inside[:, :2] = inside[:, -2:] = 0
    x, y, width, height = cv2.boundingRect(inside)
    if width < 4 or height < 4:
        return picture
    centre = (x + width // 2, y + height // 2)
    both = [np.clip(image * 255, 0, 255).astype(np.uint8) for image in (picture, like)]
    return cv2.seamlessClone(both[0], both[1], inside, centre, cv2.NORMAL_CLONE).astype(np.float32) / 255


def refined(picture: Array, options: MergeOptions, velocity: Array) -> Array:
    """(S, S, 3): the new face sharpened, coarsened and blurred as asked.

    Args:
        picture: in 0..1.
        options: how much.
        velocity: (2,) pixels of the crop that the face moves from frame to frame.
    """
    side = picture.shape[0]
    if options.sharpen > 0:
        soft = cv2.GaussianBlur(picture, (0, 0), side / 128)
        picture = picture + (picture - soft) * options.sharpen / 50
    elif options.sharpen < 0:
        picture = cv2.GaussianBlur(picture, (0, 0), -options.sharpen / 100 * side / 64 + 0.01)
    if options.degrade:
        small = max(8, round(side * (1 - 0.9 * options.degrade / 100)))
        picture = cv2.resize(
            cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA),
            (side, side),
            interpolation=cv2.INTER_CUBIC,
        )
    if options.colour_degrade:
        levels = max(2, round(256 * (1 - options.colour_degrade / 100) ** 2))
        picture = np.round(np.clip(picture, 0, 1) * (levels - 1)) / (levels - 1)
    length = float(np.hypot(*velocity)) * options.motion_blur / 100
    if length >= 1:
        picture = cv2.filter2D(
            picture.astype(np.float32), -1, _streak(velocity / max(float(np.hypot(*velocity)), 1e-6), length)
        )
    return np.clip(picture, 0, 1).astype(np.float32)


def _streak(direction: Array, length: float) -> Array:
    half = max(1, int(np.ceil(length / 2)))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    end = direction * length / 2
    first = (round((half - end[0]) * 16), round((half - end[1]) * 16))
    last = (round((half + end[0]) * 16), round((half + end[1]) * 16))
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA, 4)
    return kernel / max(float(kernel.sum()), 1e-6)
