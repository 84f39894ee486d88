"""Patches: pieces of picture with alpha, and how they are blended into pictures and YUV planes."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.media import hdr
from facegen.media.color import VideoColor


@dataclass(frozen=True, eq=False, kw_only=True)
class Patch:
    """A piece of picture with its own transparency, to be laid over a frame; it may hang over the border."""

    x: int
    """Column of the patch's left edge in the displayed frame, in pixels; may be negative."""
    y: int
    """Row of the patch's upper edge in the displayed frame, in pixels; may be negative."""
    image_rgb: np.ndarray
    """(h, w, 3) RGB, uint8 or float32 in 0..255."""
    alpha: np.ndarray
    """(h, w) float32 in 0..1; where it is 0 the frame is left exactly as it was."""

    def __post_init__(self) -> None:
        if self.image_rgb.ndim != 3 or self.image_rgb.shape[2] != 3 or self.alpha.shape != self.image_rgb.shape[:2]:
            raise ValueError(
                f"Expected a patch of image (h, w, 3) and alpha (h, w), found {self.image_rgb.shape} and {self.alpha.shape}."
            )


def paste_picture(image_rgb: np.ndarray, patches: Iterable[Patch]) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8 RGB with `patches` laid over it; alpha 0 leaves pixels exactly as they were."""
    result = image_rgb.copy()
    for patch in patches:
        clip = _clip_patch(patch, *result.shape[:2])
        if clip is None:
            continue
        x, y, image, alpha = clip
        region = result[y : y + alpha.shape[0], x : x + alpha.shape[1]]
        region[:] = _blend(region, image, cv2.merge([alpha] * 3), 255)
    return result


def _clip_patch(patch: Patch, height: int, width: int) -> tuple[int, int, np.ndarray, np.ndarray] | None:
    h, w = patch.alpha.shape
    left, top = max(patch.x, 0), max(patch.y, 0)
    right, bottom = min(patch.x + w, width), min(patch.y + h, height)
    if right <= left or bottom <= top:
        return None
    rows, columns = slice(top - patch.y, bottom - patch.y), slice(left - patch.x, right - patch.x)
    return left, top, patch.image_rgb[rows, columns], patch.alpha[rows, columns].astype(np.float32, copy=False)


def _blend(below: np.ndarray, above: np.ndarray, alpha: np.ndarray, peak: int) -> np.ndarray:
    base = below.astype(np.float32)
    mixed = base + (above - base) * alpha
    return np.clip(np.rint(mixed), 0, peak).astype(below.dtype)


def paste_planes(planes: list[np.ndarray], patch: Patch, matrix: np.ndarray, bit_depth: int) -> None:
    """Lays a patch over YUV planes, in place.

    Args:
        planes: Y, U and V, chroma subsampled or not.
        patch: in stored pixels.
        matrix: (3, 4) from RGB in 0..255 to their samples.
        bit_depth: of a sample.
    """
    clip = _clip_patch(patch, *planes[0].shape)
    if clip is None:
        return
    x, y, image, alpha = clip
    peak = (1 << bit_depth) - 1
    yuv = cv2.split(cv2.transform(np.ascontiguousarray(image, np.float32), matrix))
    height, width = planes[0].shape
    for plane, values in zip(planes, yuv, strict=True):
        step_y, step_x = -(-height // plane.shape[0]), -(-width // plane.shape[1])
        cover = _sample_means(alpha, (x, y), (step_x, step_y), (height, width))
        color = _sample_means(alpha * values, (x, y), (step_x, step_y), (height, width))
        top, left = y // step_y, x // step_x
        region = plane[top : top + cover.shape[0], left : left + cover.shape[1]]
        base = region.astype(np.float32)
        region[:] = np.clip(np.rint(base + color - base * cover), 0, peak)


def paste_hdr_planes(
    planes: list[np.ndarray], patch: Patch, matrix: np.ndarray, bit_depth: int, color: VideoColor
) -> None:
    """`paste_planes` for PQ and HLG (`color`): blended as displayed, then back into the signal.

    What is added to the planes is the difference between the pixels after and before, 0 where alpha is.
    """
    clip = _clip_patch(patch, *planes[0].shape)
    if clip is None:
        return
    x, y, image, alpha = clip
    height, width = planes[0].shape
    steps = [(-(-width // plane.shape[1]), -(-height // plane.shape[0])) for plane in planes]
    rows, columns = np.arange(y, y + alpha.shape[0]), np.arange(x, x + alpha.shape[1])
    yuv = np.dstack(
        [
            plane[np.ix_(rows // step_y, columns // step_x)]
            for plane, (step_x, step_y) in zip(planes, steps, strict=True)
        ]
    )
    before = np.clip((yuv - matrix[:, 3]) @ np.linalg.inv(matrix[:, :3]).T / 255.0, 0.0, 1.0)
    displayed = hdr.to_display(before, color)
    after = hdr.from_display(displayed + (image - displayed) * alpha[..., None], color)
    change = ((after - before) @ (255.0 * matrix[:, :3].T) * (alpha > 0)[..., None]).astype(np.float32)
    for plane, values, step_xy in zip(planes, cv2.split(change), steps, strict=True):
        mean = _sample_means(values, (x, y), step_xy, (height, width))
        top, left = y // step_xy[1], x // step_xy[0]
        region = plane[top : top + mean.shape[0], left : left + mean.shape[1]]
        region[:] = np.clip(np.rint(region + mean), 0, (1 << bit_depth) - 1)


def _sample_means(
    values: np.ndarray, xy: tuple[int, int], step_xy: tuple[int, int], size_hw: tuple[int, int]
) -> np.ndarray:
    """Means of a piece of picture, 0 outside, over the `step_xy` pixels that each plane sample covers."""
    (x, y), (step_x, step_y), (h, w) = xy, step_xy, values.shape
    if step_x == step_y == 1:
        return values
    before_x, before_y = x % step_x, y % step_y
    after_x, after_y = -(x + w) % step_x, -(y + h) % step_y
    if before_x or before_y or after_x or after_y:
        values = cv2.copyMakeBorder(values, before_y, after_y, before_x, after_x, cv2.BORDER_CONSTANT, value=0.0)
    means: np.ndarray = cv2.resize(
        values, (values.shape[1] // step_x, values.shape[0] // step_y), interpolation=cv2.INTER_AREA
    )
    # A last odd row or column colours fewer pixels: there the mean is over those that exist.
    if size_hw[0] % step_y and y + h == size_hw[0]:
        means[-1] *= np.float32(step_y / (size_hw[0] % step_y))
    if size_hw[1] % step_x and x + w == size_hw[1]:
        means[:, -1] *= np.float32(step_x / (size_hw[1] % step_x))
    return means
