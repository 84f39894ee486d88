"""Strands for drawn hair, which the deep latents draw as blots: noise smeared along the way the hair lies.

The way is that of the drawn hair's broad light and shade, and, where they say little, what photographs of the data have in
common there. Smeared along it (line integral convolution), noise becomes strands and locks. They are drawn in the canonical
frame and move with the head; hair keeps its place, its colour and its broad light.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.generate.packed import PackedFaces
from facegen.generate.repaint import luminance

SIDE = 256
_FIELD = 32
"""Side of the learnt field."""
_BROAD = 9.0
"""Sigma over which a way is the same, and which leaves the broad light and shade, pixels of 256."""
_USUAL = 1.2
"""How much the usual way counts beside the drawn one."""
_BEND, _WAVE = 0.16, 7.0
"""How far strands stray from the way, radians, and over what distance, pixels."""
_STEPS, _STEP = 16, 1.3
"""How far noise is smeared to either side, steps of so many pixels."""
_LOCK, _LOCKS = 2.2, 0.75
"""Breadth of locks, sigma in pixels, and how much they count beside single strands."""
_STRENGTH = 0.17
"""Deviation of the logarithm of hair's brightness; photographs of the data have 0.14 to 0.24."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Strands:
    """How hair usually lies."""

    field: np.ndarray
    """(32, 32, 2) float32 in the canonical frame: cosine and sine of twice the angle, longer the surer."""

    def drawn(self, canonical_rgb: np.ndarray, hair: np.ndarray, person: int) -> np.ndarray:
        """(256, 256) float32 strands for a face in the canonical frame: logarithm of brightness over the neighbourhood.

        Args:
            canonical_rgb: (S, S, 3) uint8.
            hair: (S, S) 0..1 where hair is.
            person: a seed.
        """
        random = np.random.default_rng(person)
        large = [cv2.resize(a, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for a in (canonical_rgb, hair)]
        solid = (large[1] > 0.7).astype(np.float32)
        usual = cv2.resize(self.field, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        way = _ways(cv2.GaussianBlur(_logarithm(large[0]), (0, 0), 1.5), solid, _BROAD) + _USUAL * usual
        angle = np.arctan2(way[..., 1], way[..., 0]) / 2 + _BEND * _noise(random, _WAVE)
        made = _smeared(np.dstack([_noise(random, 0), _LOCKS * _noise(random, _LOCK)]), angle.astype(np.float32))
        fine = made / made.std((0, 1)) @ np.array([1.0, _LOCKS], np.float32)
        fine -= cv2.GaussianBlur(fine, (0, 0), _BROAD)
        return _STRENGTH * np.clip(fine / fine.std(), -2.5, 2.0)


def learn_strands(pack: PackedFaces) -> Strands:
    """How hair lies in a dataset's photographs and their mirror images; held-back faces are left out."""
    total = np.zeros((_FIELD, _FIELD, 3))
    for place in np.flatnonzero(~pack.held_back()):
        picture, hair = pack.canonical[place][..., :3], pack.canonical[place][..., 3]
        solid = cv2.erode((hair > 230).astype(np.float32), np.ones((5, 5), np.uint8))
        total += cv2.resize(_tensor(_logarithm(picture), solid), (_FIELD, _FIELD), interpolation=cv2.INTER_AREA)
    total += total[:, ::-1] * (1, -1, 1)
    return Strands(field=(total[..., :2] / (total[..., 2:] + 1e-3)).astype(np.float32))


def _logarithm(picture_rgb: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(luminance(picture_rgb.astype(np.float32) / 255), 0.03)).astype(np.float32)


def _tensor(light: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(H, W, 3) cosine and sine of twice the angle across which light changes least, times its change; and the change."""
    x, y = (cv2.Sobel(light, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.dstack([y * y - x * x, -2 * x * y, x * x + y * y]) * where[..., None]


def _ways(light: np.ndarray, where: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, 2) cosine and sine of twice the angle along which light changes least, longer the surer."""
    broad = cv2.GaussianBlur(_tensor(light, where), (0, 0), sigma)
    return broad[..., :2] / (broad[..., 2:] + 1e-4)


def _noise(random: np.random.Generator, sigma: float) -> np.ndarray:
    """(256, 256) float32 of deviation 1, smooth over a distance."""
    values: np.ndarray = random.standard_normal((SIDE, SIDE), np.float32)
    if sigma > 0:
        values = cv2.GaussianBlur(values, (0, 0), sigma)
    return values / values.std()


def _smeared(noise: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Noise summed along the lines of a field of angles, less the further away."""
    way = np.dstack([np.cos(angle), np.sin(angle)])
    y, x = np.mgrid[: len(noise), : len(noise)].astype(np.float32)
    total = noise.copy()
    for sign in (1.0, -1.0):
        ahead, at_x, at_y = sign * way, x, y
        for step in range(_STEPS):
            here = cv2.remap(way, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            # an angle has two directions: go on as before
            here *= np.where((here * ahead).sum(2, keepdims=True) < 0, -1, 1)
            ahead = here / np.maximum(np.linalg.norm(here, axis=2, keepdims=True), 1e-3)
            at_x, at_y = at_x + _STEP * ahead[..., 0], at_y + _STEP * ahead[..., 1]
            found = cv2.remap(noise, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            total += (1 - step / _STEPS) * found
    return total
