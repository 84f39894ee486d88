"""Black-and-white, sepia and other one-coloured pictures: their colours as a curve over brightness, given to what is drawn into them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facegen.media.patch import Patch

_SIDE, _COARSE_SIDE = 128, 24
"""The curve is measured at the first size, distances from it at the second: noise of film and compression does not count."""
_ONE_COLOURED, _COLOURED = 0.95, 1.3
"""Distance of colours from the curve, of 255, up to which a picture is one-coloured, and from which on it is not at all.
Grey with noise measures 0.3, a sepia JPEG 0.9, the palest of coloured clips 1.5."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


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


def measure_tint(image_rgb: np.ndarray) -> Tint | None:
    """The one colour of a picture, (H, W, 3) uint8; None for one with several."""
    spread, curve = measure_spread(image_rgb)
    strength = float(np.clip((_COLOURED - spread) / (_COLOURED - _ONE_COLOURED), 0, 1))
    return Tint(curve=curve, strength=strength) if strength > 0 else None


def measure_spread(image_rgb: np.ndarray) -> tuple[float, np.ndarray]:
    """How far colours lie from a curve over brightness, root mean square of 0..255; and the curve, see `Tint`."""
    pixels = _shrink(image_rgb, _SIDE).astype(np.float32)
    luma = pixels @ _LUMA
    chroma = pixels - luma[..., None]
    level = np.rint(luma).astype(np.int64).ravel()
    sums = np.stack([np.bincount(level, part.ravel(), 256) for part in (*cv2.split(chroma), np.ones_like(luma))], 1)
    # the wide mean carries the curve on to brightnesses that the picture does not have
    smooth = cv2.GaussianBlur(sums, (1, 0), 1, sigmaY=6) + 1e-6 * cv2.GaussianBlur(sums, (1, 511), 1, sigmaY=80)
    curve = (smooth[:, :3] / smooth[:, 3:]).astype(np.float32)
    rest = _shrink(chroma - curve[level].reshape(chroma.shape), _COARSE_SIDE)
    return float(np.sqrt(np.square(rest).mean())), curve


def _shrink(image: np.ndarray, side: int) -> np.ndarray:
    """An image whose longer side is `side` pixels at most."""
    scale = min(1.0, side / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def tint_patch(patch: Patch, image_rgb: np.ndarray) -> Patch:
    """A patch in the one colour of what it covers and what is around; unchanged where that has several.

    A face alone will not do: skin in dim light has hardly more than one colour.

    Args:
        patch: to be laid over the picture.
        image_rgb: (H, W, 3) uint8 the picture.
    """
    height, width = patch.alpha.shape
    rows, columns = (slice(max(at - side, 0), at + 2 * side) for at, side in ((patch.y, height), (patch.x, width)))
    tint = measure_tint(image_rgb[rows, columns])
    return patch if tint is None else replace(patch, image_rgb=tint.apply(patch.image_rgb))
