"""Image operations of a merge, all in the crop of the face: (S, S, 3) float32 RGB in [0, 1], masks (S, S) in [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from facegen.swap.merge.colour_transfer import COLOUR_TRANSFERS
from facegen.swap.merge.options import MergeOptions

Array = np.ndarray


def measure_colours(picture: Array, mask: Array) -> Array:
    """(2, 3) float32: mean and standard deviation of the L*a*b* channels inside a mask."""
    weights = mask[..., None] + 1e-4
    lab = cv2.cvtColor(np.clip(picture, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    mean = (lab * weights).sum((0, 1)) / weights.sum()
    deviation = np.sqrt((np.square(lab - mean) * weights).sum((0, 1)) / weights.sum())
    return np.stack([mean, deviation]).astype(np.float32)


def match_colours(picture: Array, source: Array, target: Array) -> Array:
    """Reinhard colour transfer (2001), the merge option `rct`, from statistics that were smoothed over time.

    Args:
        picture: (S, S, 3).
        source: (2, 3) the picture's statistics, see `measure_colours`.
        target: (2, 3) the statistics it gets.
    """
    lab = cv2.cvtColor(np.clip(picture, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    ratio = np.clip(target[1] / np.maximum(source[1], 1e-3), 0.5, 2.0)
    return np.clip(cv2.cvtColor((lab - source[0]) * ratio + target[0], cv2.COLOR_LAB2RGB), 0, 1)


def transfer_colour(picture: Array, reference: Array, mask: Array, reference_mask: Array, method: str) -> Array:
    """One of `COLOUR_TRANSFERS`, each picture's colours measured inside its mask."""

    def tensor(image: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]

    masks = (torch.from_numpy(each)[None, None] for each in (mask, reference_mask))
    result = COLOUR_TRANSFERS[method](tensor(picture), tensor(reference), *masks)
    return result[0].permute(1, 2, 0).numpy()


def match_histograms(picture: Array, reference: Array, mask: Array, threshold: int) -> Array:
    """Matches each channel's histogram inside the mask to the reference's.

    Args:
        picture: (S, S, 3).
        reference: (S, S, 3).
        mask: (S, S).
        threshold: values above it, of 255, are neither matched nor measured.
    """
    inside = mask > 0.5
    if inside.sum() < 64:
        return picture
    out = picture.copy()
    for channel in range(3):
        values, reference_values = picture[..., channel], reference[..., channel]
        limit = threshold / 255
        source_sorted = np.sort(values[inside])
        reference_sorted = np.sort(reference_values[inside & (reference_values <= limit)])
        if len(reference_sorted) < 32:
            continue
        quantiles = np.searchsorted(source_sorted, values) / len(source_sorted)
        matched = np.interp(quantiles, np.linspace(0, 1, len(reference_sorted)), reference_sorted)
        out[..., channel] = np.where(values <= limit, matched, values)
    return out.astype(np.float32)


def blend_poisson(picture: Array, background: Array, mask: Array) -> Array:
    """The picture's gradients inside the mask on the background's colours (Perez et al. 2003), (S, S, 3)."""
    # the border lies on skin: hair and background beyond it would shine into the face
    inside = (mask > 0.5).astype(np.uint8) * 255
    inside[:2] = inside[-2:] = 0
    inside[:, :2] = inside[:, -2:] = 0
    x, y, width, height = cv2.boundingRect(inside)
    if width < 4 or height < 4:
        return picture
    centre = (x + width // 2, y + height // 2)
    both = [np.clip(image * 255, 0, 255).astype(np.uint8) for image in (picture, background)]
    return cv2.seamlessClone(both[0], both[1], inside, centre, cv2.NORMAL_CLONE).astype(np.float32) / 255


def filter_face(picture: Array, options: MergeOptions, velocity: Array) -> Array:
    """Sharpens, degrades and motion-blurs the new face.

    Args:
        picture: (S, S, 3).
        options: `sharpen`, `degrade`, `colour_degrade` and `motion_blur`.
        velocity: (2,) pixels of the crop that the face moves per frame.
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
        kernel = _motion_kernel(velocity / max(float(np.hypot(*velocity)), 1e-6), length)
        picture = cv2.filter2D(picture.astype(np.float32), -1, kernel)
    return np.clip(picture, 0, 1).astype(np.float32)


def denoise(picture: Array, strength: float) -> Array:
    """Bilateral filter (Tomasi and Manduchi 1998), strength 0 to 1, (S, S, 3)."""
    smooth = cv2.bilateralFilter(picture, 0, 0.1 * strength + 1e-3, picture.shape[0] / 128)
    return picture + (smooth - picture) * min(1.0, 4 * strength)


def _motion_kernel(direction: Array, length: float) -> Array:
    """Convolution kernel of a line, `length` pixels along the unit vector `direction`."""
    half = max(1, int(np.ceil(length / 2)))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    end = direction * length / 2
    first = (round((half - end[0]) * 16), round((half - end[1]) * 16))
    last = (round((half + end[0]) * 16), round((half + end[1]) * 16))
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA, 4)
    return kernel / max(float(kernel.sum()), 1e-6)
