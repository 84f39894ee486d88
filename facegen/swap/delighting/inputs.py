"""Inputs of the delighting network, and the enlargement of its field to the atlas's size."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from facegen.faces import light
from facegen.faces.mesh import Array
from facegen.swap.delighting.atlas import plain_skin
from facegen.swap.fields.graph import FIELD, SIDE

MAPS = 10
"""Channels of `DelightingInput.maps`."""
LIGHT = 1.6
"""Largest log RGB of light that is predicted."""
_MEAN_TONE = 4.7
"""About the log RGB of skin, subtracted from the tone that the network sees."""
_EDGE_CELLS, _NOISE = 3, 0.15
"""Radius in which light follows the picture's edges, cells of the field; smaller steps than this, log RGB, are no edges."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DelightingInput:
    """One unwrapped face as the network sees it.

    Attributes:
        picture: (SIDE, SIDE, 3) float32 log RGB less the skin's tone, 0 where nothing was seen.
        maps: (FIELD, FIELD, MAPS) float32: normals; how reliably each cell was seen; where plain skin is; the place in the
            atlas, -1..1; the skin's tone.
    """

    picture: Array
    maps: Array

    @classmethod
    def of(cls, log_rgb: Array, normals: Array, weight: Array) -> DelightingInput:
        """What the network sees of an atlas.

        Args:
            log_rgb: (SIDE, SIDE, 3) log RGB.
            normals: (SIDE, SIDE, 3) image frame.
            weight: (SIDE, SIDE) 0..1.
        """
        skin = weight * plain_skin(SIDE) + np.float32(1e-4)
        tone = np.tensordot(skin, log_rgb, 2) / skin.sum()
        plain = np.dstack([normals, weight, plain_skin(SIDE)])
        tone_map = np.broadcast_to((tone - _MEAN_TONE).astype(np.float32), (FIELD, FIELD, 3))
        maps = np.concatenate([cv2.resize(plain, (FIELD, FIELD), interpolation=cv2.INTER_AREA), _grid(), tone_map], 2)
        picture = (log_rgb - tone) * (weight[..., None] > 0.02)
        return cls(picture=picture.astype(np.float32), maps=maps.astype(np.float32))


@functools.cache
def _grid() -> Array:
    """(FIELD, FIELD, 2) row and column, -1..1."""
    steps = np.linspace(-1, 1, FIELD, dtype=np.float32)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), 2)


def enlarge_field(field: Array, log_rgb: Array) -> Array:
    """(S, S, 3) a field at the atlas's size, its edges where the picture has them: a guided filter (He et al. 2010).

    Args:
        field: (FIELD, FIELD, 3).
        log_rgb: (S, S, 3) the atlas's log RGB, whose brightness guides.
    """
    size = log_rgb.shape[0]
    field = cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR)
    guide = log_rgb.mean(2)
    side = 2 * round(_EDGE_CELLS * size / FIELD) + 1

    def mean(values: Array) -> Array:
        return cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)

    guide_mean, field_mean = mean(guide), mean(field)
    variance = mean(guide * guide) - guide_mean * guide_mean
    slope = (mean(field * guide[..., None]) - field_mean * guide_mean[..., None]) / (variance + _NOISE**2)[..., None]
    offset = field_mean - slope * guide_mean[..., None]
    enlarged: Array = mean(slope) * guide[..., None] + mean(offset)
    return enlarged


def shrink(values: np.ndarray, side: int) -> Array:
    """(side, side[, C]) float32 means over an atlas's pixels."""
    return cv2.resize(values.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)


def to_small_log(picture_rgb: np.ndarray) -> Array:
    """(SIDE, SIDE, 3) log RGB of an atlas's picture."""
    return light.to_log(shrink(picture_rgb, SIDE))
