"""Black-and-white, sepia and other one-coloured pictures: their colours as a curve over brightness, given to what is drawn into them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facegen.media.frame import Patch

_SIDE = 64
"""Pictures are measured at this size, so that the noise of film and of compression does not count."""
_ONE_COLOURED, _COLOURED = 2.0, 3.0
"""Spread of colour about the curve, of 255, up to which a picture is one-coloured, and from which on it is not at all."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SOLID = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Tint:
    """The colours of a picture that has one for each brightness, such as a black-and-white or a sepia one."""

    curve: np.ndarray
    """(256, 3) float32 RGB minus luma, by luma."""
    strength: float
    """1 for a picture of one colour; less, down to 0, for one in between."""

    def apply(self, image_rgb: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB in 0..255, uint8 or float32, in these colours, its brightness kept."""
        pixels = image_rgb.astype(np.float32)
        luma = pixels @ _LUMA
        toned = luma[..., None] + self.curve[np.clip(np.rint(luma), 0, 255).astype(np.uint8)]
        mixed = np.clip(pixels + (toned - pixels) * np.float32(self.strength), 0, 255)
        return mixed if image_rgb.dtype != np.uint8 else np.rint(mixed).astype(np.uint8)


def measure_tint(image_rgb: np.ndarray, weight: np.ndarray | None = None) -> Tint | None:
    """The one colour of a picture; None for one with several.

    Args:
        image_rgb: (H, W, 3) uint8.
        weight: (H, W) float32 0..1, which pixels count; None counts all.
    """
    spread, curve = measure_spread(image_rgb, weight)
    strength = float(np.clip((_COLOURED - spread) / (_COLOURED - _ONE_COLOURED), 0, 1))
    return Tint(curve=curve, strength=strength) if strength > 0 else None


def measure_spread(image_rgb: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """How far colours lie from a curve over brightness, root mean square of 0..255; and the curve, see `Tint`."""
    scale = min(1.0, _SIDE / max(image_rgb.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in image_rgb.shape[1::-1])
    pixels = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    if weight is not None:
        pixels = pixels[cv2.resize(weight, size, interpolation=cv2.INTER_AREA).ravel() > _SOLID]
    if not len(pixels):
        return np.inf, np.zeros((256, 3), np.float32)
    luma = pixels @ _LUMA
    chroma = pixels - luma[:, None]
    solution = np.linalg.lstsq(_powers(luma), chroma, rcond=None)[0]
    spread = float(np.sqrt(np.square(chroma - _powers(luma) @ solution).mean()))
    low, high = float(luma.min()), float(luma.max())
    return spread, (_powers(np.clip(np.arange(256), low, high)) @ solution).astype(np.float32)


def _powers(luma: np.ndarray) -> np.ndarray:
    """(N, 4) powers of brightness: tints of a print fade towards black and white."""
    x = np.asarray(luma, np.float32) / 255
    return np.stack([x**power for power in range(4)], 1)


def tint_patch(patch: Patch, image_rgb: np.ndarray) -> Patch:
    """A patch in the one colour of what it covers; unchanged where that has several.

    Args:
        patch: to be laid over the picture.
        image_rgb: (H, W, 3) uint8 the picture.
    """
    height, width = patch.alpha.shape
    left, top = max(patch.x, 0), max(patch.y, 0)
    right, bottom = min(patch.x + width, image_rgb.shape[1]), min(patch.y + height, image_rgb.shape[0])
    if right <= left or bottom <= top:
        return patch
    alpha = patch.alpha[top - patch.y : bottom - patch.y, left - patch.x : right - patch.x]
    tint = measure_tint(image_rgb[top:bottom, left:right], alpha)
    return patch if tint is None else replace(patch, image_rgb=tint.apply(patch.image_rgb))
