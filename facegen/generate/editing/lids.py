"""Closes the eyes of a photograph at its own size: the lids come down over an eyeball that stays where it is.

Each eye is seen along its own axis, from corner to corner. The edge of the upper lid with its lashes moves down as a piece, and the
skin between it and the brow is stretched after it; over that, in part, lies the skin below the eye, mirrored, in the tone of the
skin above: under a low brow or a hood there is nothing to stretch. The lower lid comes up a little to meet it. What shows through
between them is the photograph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.faces.mesh import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

_EYES = ((EYE_LEFT, BROW_LEFT), (EYE_RIGHT, BROW_RIGHT))
_UPPER = 9
"""Points of an eye's outline from its outer corner over the upper lid to the inner corner."""
_LOWER_SHARE = 0.15
"""How much of the opening the lower lid closes."""
_LASHES = 0.07
"""Height of the lid's edge that moves as a piece, in widths of the eye."""
_BELOW_BROW = 0.85
"""How far the upper lid's skin reaches towards the brow."""
_CHEEK = 0.5
"""How far below the eye the lower lid's skin gives way, in widths of the eye."""
_NARROWEST_PX = 4
"""Width of an eye below which nothing is drawn: it is turned away, or too small to be seen."""
_MIRRORED = 0.6
"""Share of mirrored skin in a lid: alone, it leaves the edge of the open lid around itself, and stretched skin alone is torn where
the fold of a hood ends beside the eye."""
_FOLD = 0.02, 0.06
"""Where the mirrored skin begins above the upper lid's edge, and over which height it fades in, in widths of the eye."""
_FULL = 0.1
"""How far a lid has come down, in widths of the eye, before its mirrored skin has its whole share."""
_WET_EDGE = 0.08
"""How far below the eye the mirrored skin begins, past lashes and the lid's wet edge, in widths of the eye."""
_GAIN = 0.75, 1.25
"""Bounds of what brings mirrored skin to the tone of the skin above."""
_LASH_LINE = 0.45, 0.025
"""How dark the line is where mirrored lids meet, and how wide, in widths of the eye."""
_SHADOW = 0.3, 0.1
"""How dark the eye is right below the upper lid, and how far that reaches, in widths of the eye."""


@dataclass(frozen=True, eq=False)
class _Eye:
    """One eye along its own axes, in the photograph's pixels; u from the outer corner to the inner one, v towards the cheek.

    Attributes:
        origin: (2,) the outer corner.
        axes: (2, 2) unit vectors of u and v, as rows.
        width: from corner to corner.
        upper: v of the upper lid's edge by u.
        lower: v of the lower lid's.
        brow: v of the brow's lower edge.
    """

    origin: np.ndarray
    axes: np.ndarray
    width: float
    upper: PchipInterpolator
    lower: PchipInterpolator
    brow: float

    @classmethod
    def of(cls, outline: np.ndarray, brow: np.ndarray) -> _Eye:
        """The eye of an outline (16, 2) and a brow (10, 2)."""
        outer, inner = outline[0], outline[_UPPER - 1]
        width = float(np.linalg.norm(inner - outer))
        along = (inner - outer) / width
        down = np.array([-along[1], along[0]])
        if (outline[_UPPER:].mean(0) - outer) @ down < (outline[1 : _UPPER - 1].mean(0) - outer) @ down:
            down = -down
        axes = np.stack([along, down])
        edge, brow_edge = (outline - outer) @ axes.T, (brow - outer) @ axes.T
        upper, lower = edge[:_UPPER], np.vstack([edge[:1], edge[: _UPPER - 2 : -1]])
        return cls(outer, axes, width, _curve(upper), _curve(lower), float(np.percentile(brow_edge[:, 1], 75)))

    def close(self, picture: np.ndarray, openness: float) -> None:
        """Draw the lids over a picture, (H, W, 3) float32, in place."""
        reach = self.width * 0.15
        far = [self.brow - reach, self.width * (_CHEEK + 0.3)]
        corners = np.array([[u, v] for u in (-reach, self.width + reach) for v in far]) @ self.axes + self.origin
        height, width = picture.shape[:2]
        x0, y0 = np.clip(np.floor(corners.min(0)), 0, [width, height]).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(0)) + 1, 0, [width, height]).astype(int)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        crop = picture[y0:y1, x0:x1]
        origin = self.origin - [x0, y0]
        x, y = np.meshgrid(np.arange(x1 - x0), np.arange(y1 - y0))
        u, v = np.moveaxis((np.dstack([x, y]) - origin) @ self.axes.T, 2, 0)

        def sample(rows: np.ndarray) -> np.ndarray:
            x, y = np.moveaxis(np.dstack([u, rows]) @ self.axes + origin, 2, 0).astype(np.float32)
            sampled: np.ndarray = cv2.remap(crop, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            return sampled

        along = np.clip(u, 0, self.width)
        upper = self.upper(along)
        opening = np.maximum(self.lower(along) - upper, 0)
        closed = 1 - openness
        edge = upper + closed * (1 - _LOWER_SHARE) * opening
        low_edge = upper + (1 - closed * _LOWER_SHARE) * opening
        lid = sample(self._from_upper_lid(v, upper, edge))
        lid += _MIRRORED * (self._mirrored_lid(sample, v, upper, opening, edge) - lid)
        eye = sample(np.where(v > low_edge, self._from_lower_lid(v, upper + opening, low_edge), v))
        strength, depth = _SHADOW
        shade = np.clip(1 - (v - edge) / (depth * self.width), 0, 1) * (v < low_edge) * strength * min(1.0, 3 * closed)
        eye *= (1 - shade * np.clip(opening / (depth * self.width), 0, 1))[..., None]
        crop[:] = eye + np.clip(edge - v + 0.5, 0, 1)[..., None] * (lid - eye)

    def _from_upper_lid(self, v: np.ndarray, upper: np.ndarray, edge: np.ndarray) -> np.ndarray:
        """Where the skin of the upper lid comes from, when its edge has moved from `upper` down to `edge`."""
        top = np.minimum(upper + (self.brow - upper) * _BELOW_BROW, upper - 0.05 * self.width)
        lashes = np.minimum(_LASHES * self.width, (upper - top) / 2)
        stretched = top + (v - top) * (upper - lashes - top) / (edge - lashes - top)
        return np.where(v > edge - lashes, v - (edge - upper), np.where(v > top, stretched, v))

    def _mirrored_lid(
        self,
        sample: Callable[[np.ndarray], np.ndarray],
        v: np.ndarray,
        upper: np.ndarray,
        opening: np.ndarray,
        edge: np.ndarray,
    ) -> np.ndarray:
        """The photograph with a lid of the skin below the eye over its opening, down to `edge`."""
        begin, fade = (share * self.width for share in _FOLD)
        within = np.clip((edge - upper) / (_FULL * self.width), 0, 1)
        below = upper + opening + _WET_EDGE * self.width
        mirrored, photograph = sample(below + np.maximum(edge - v, 0)), sample(v)
        above = photograph[(np.abs(v - upper + begin + 2 * fade) < fade / 2) & (within == 1)]
        skin = mirrored[(v > upper) & (v < edge) & (within == 1)]
        if len(above) and len(skin):
            mirrored *= np.clip(np.median(above, 0) / np.maximum(np.median(skin, 0), 1), *_GAIN)
        darkness, height = _LASH_LINE
        line = np.exp(-(((v - edge) / (height * self.width)) ** 2))
        mirrored *= 1 - darkness * (line * within)[..., None]
        return photograph + (within * np.clip((v - upper + begin * within + fade) / fade, 0, 1))[..., None] * (
            mirrored - photograph
        )

    def _from_lower_lid(self, v: np.ndarray, lower: np.ndarray, edge: np.ndarray) -> np.ndarray:
        """Where the skin below the eye comes from, when the lower lid's edge has moved from `lower` up to `edge`."""
        cheek = lower + _CHEEK * self.width
        return np.where(v < cheek, cheek - (cheek - v) * (cheek - lower) / (cheek - edge), v)


def close_lids(image_rgb: np.ndarray, points: np.ndarray, openness: float) -> np.ndarray:
    """(H, W, 3) uint8: a photograph whose eyes are less open.

    Args:
        image_rgb: (H, W, 3) uint8.
        points: (478, 2) or (478, 3) landmarks of the face, pixels.
        openness: 1 leaves the eyes as they are, 0 shuts them.
    """
    picture = image_rgb.astype(np.float32)
    for eye, brow in _EYES:
        outline, edge = (points[list(part), :2].astype(np.float64) for part in (eye, brow))
        if np.linalg.norm(outline[_UPPER - 1] - outline[0]) >= _NARROWEST_PX:
            _Eye.of(outline, edge).close(picture, openness)
    return np.rint(picture.clip(0, 255)).astype(np.uint8)


def _curve(points: np.ndarray) -> PchipInterpolator:
    """v by u of points (N, 2) in the order of u, as far as they are in order."""
    from scipy.interpolate import PchipInterpolator

    u = np.maximum.accumulate(points[:, 0] + np.arange(len(points)) * 1e-6)
    keep = np.diff(u, prepend=u[0] - 1) > 0
    return PchipInterpolator(u[keep], points[keep, 1], extrapolate=True)
