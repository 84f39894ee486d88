"""Closing upper lids: their skin without the lashes in front of it, and the lashes along their edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.talk.portrait.face_rig import LIDS

Array = np.ndarray

_EYES = (mesh.EYE_LEFT, mesh.EYE_RIGHT)
_REACH = 0.34
"""How far above the edge of an open lid lashes and the fold of the lid are looked for, in widths of the eye."""
_THICK = 0.26
"""Width of lashes and folds that are taken away, in widths of the eye."""
_EDGE = 0.05
"""How far round the edge of the upper lid its lashes are, in widths of the eye."""
_DARKEST = 0.22
_LIGHTEST = 0.62
"""Lashes are no darker and no lighter than this, by the skin of the lid."""
_BARE_AT = 0.45
"""How far an eye is closed from where on its lashes no longer stand before the lid."""
_LINE = 0.075
"""Width of the line of lashes along a closed lid, in widths of the eye."""
_LINE_AT = (0.1, 0.7)
"""How far an eye is closed where that line begins to be drawn, and where all of it is."""
_INNER = 0.3
"""How dark it is at the inner corner, by what it is at the outer one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class UpperLid:
    """One upper lid.

    Attributes:
        corner_xy: pixel of the picture at which `skin_rgb` begins.
        skin_rgb: (h, w, 3) float32: skin of the lid without lashes and fold, 0..255.
        weight: (h, w) float32 0..1: where that shows on a closed lid.
        lashes_rgb: (3,) float32 colour of the lashes, 0..255.
    """

    corner_xy: tuple[int, int]
    skin_rgb: Array
    weight: Array
    lashes_rgb: Array

    @classmethod
    def of(cls, image_rgb: np.ndarray, face: Array, side: int) -> UpperLid:
        """The lid over one eye of (468, 3) points in a picture; the eye on the picture's left is 0."""
        outline = face[list(_EYES[side]), :2]
        line = face[[_EYES[side][0], *LIDS[side][0], _EYES[side][8]], :2]
        width = float(np.hypot(*(line[-1] - line[0])))
        low = np.floor(outline.min(0) - (_REACH + _THICK) * width - 2)
        high = np.ceil(outline.max(0) + 0.2 * width + 2)
        x0, y0 = np.clip(low, 0, np.array(image_rgb.shape[1::-1]) - 2).astype(int).tolist()
        x1, y1 = np.clip(high, [x0 + 2, y0 + 2], image_rgb.shape[1::-1]).astype(int).tolist()
        colours = image_rgb[y0:y1, x0:x1].astype(np.float32)
        origin = np.array([x0, y0], np.float32)
        ball: Array = mesh.polygon_mask(outline - origin, colours.shape[:2]) > 100
        thick = _odd_size(_THICK * width)
        skin = _remove_dark_lines(colours, ball, thick)
        above = _height_above(line - origin, colours.shape[:2]) / width
        # it begins at the lid's edge, and fades out below the brow
        weight = np.clip((above + _EDGE) / 0.02, 0, 1) * np.clip((_REACH - above) / (_REACH / 2), 0, 1)
        edge = (np.abs(above) < _EDGE) & _columns_between(line - origin, colours.shape[:2])
        lid = skin[edge].mean(0) if edge.any() else skin.mean((0, 1))
        dark = np.percentile(colours[edge], 15, axis=0) if edge.any() else lid
        share = np.clip(float(dark.mean()) / max(float(lid.mean()), 1.0), _DARKEST, _LIGHTEST)
        lashes = 0.5 * (dark * (share * lid.mean() / max(float(dark.mean()), 1.0)) + lid * share)
        return cls(
            corner_xy=(x0, y0),
            skin_rgb=skin,
            weight=cv2.GaussianBlur(weight.astype(np.float32), (0, 0), max(0.03 * width, 0.5)),
            lashes_rgb=lashes.astype(np.float32),
        )

    def remove_lashes(self, picture_rgb: np.ndarray, closed: float) -> None:
        """Replaces lashes and fold by skin in the picture that a lid is warped from, in place, as far as it is `closed`, 0..1."""
        (x0, y0), (height, width) = self.corner_xy, self.weight.shape
        region = picture_rgb[y0 : y0 + height, x0 : x0 + width]
        weight = (self.weight * min(closed / _BARE_AT, 1.0))[..., None]
        region[:] = np.clip(region + (self.skin_rgb - region) * weight + 0.5, 0, 255).astype(np.uint8)

    def draw_lashes(self, picture_rgb: np.ndarray, line: Array, closed: float) -> None:
        """Draws the lashes along the edge of the lid, in place.

        Args:
            picture_rgb: (H, W, 3) uint8.
            line: (N, 2) that edge, from the outer corner to the inner one, pixels.
            closed: how far the eye is, 0..1.
        """
        amount = float(np.clip((closed - _LINE_AT[0]) / (_LINE_AT[1] - _LINE_AT[0]), 0, 1))
        width = max(float(np.hypot(*(line[-1] - line[0]))) * _LINE, 1.0)
        low = np.maximum(np.floor(line.min(0) - 3 * width), 0).astype(int)
        high = np.minimum(np.ceil(line.max(0) + 3 * width) + 1, picture_rgb.shape[1::-1]).astype(int)
        if amount == 0 or (high - low).min() < 2:
            return
        region = picture_rgb[low[1] : high[1], low[0] : high[0]]
        weight: Array = np.zeros(region.shape[:2], np.float32)
        # lashes hang down from the edge
        points = np.round((line + np.array([0, 0.25 * width]) - low) * 16).astype(np.int32)
        cv2.polylines(weight, [points], False, 1.0, max(round(width / 2), 1), cv2.LINE_AA, 4)
        weight = cv2.GaussianBlur(weight, (0, 0), max(width / 3.5, 0.6))
        weight = np.clip(weight * (1.15 / max(float(weight.max()), 1e-3)), 0, 1)
        from_inner = (np.arange(weight.shape[1]) + low[0] - line[-1, 0]) / (line[0, 0] - line[-1, 0])
        weight *= (amount * (_INNER + (1 - _INNER) * np.clip(from_inner / 0.5, 0, 1))).astype(np.float32)
        region[:] = np.clip(region + (self.lashes_rgb - region) * weight[..., None] + 0.5, 0, 255).astype(np.uint8)


def _remove_dark_lines(colours: Array, ball: Array, thick: int) -> Array:
    """(h, w, 3) skin without dark lines up to `thick` pixels; (h, w) bool tells where there is none."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thick, thick))
    beyond: Array = cv2.dilate(ball.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    calm = cv2.GaussianBlur(colours, (0, 0), max(thick / 12, 0.5))
    # what is no skin is neither the lightest nor the darkest near
    grown = cv2.dilate(np.where(beyond[..., None], 0, calm), kernel)
    closed = cv2.erode(np.where(beyond[..., None], 255, grown), kernel)
    closed = np.where(beyond[..., None], np.minimum(grown, closed), closed)
    known = np.where(beyond, 0.05, 1).astype(np.float32)
    soft: Array = cv2.GaussianBlur(closed * known[..., None], (0, 0), max(thick / 4, 0.8))
    soft = soft / cv2.GaussianBlur(known, (0, 0), max(thick / 4, 0.8))[..., None]
    return np.asarray(np.where(beyond[..., None], soft, np.maximum(soft, calm)), np.float32)


def _height_above(line: Array, size_hw: tuple[int, int]) -> Array:
    """(h, w) how many pixels each place lies above (N, 2) points of a line across the picture."""
    order = np.argsort(line[:, 0])
    heights = np.interp(np.arange(size_hw[1]) + 0.5, line[order, 0], line[order, 1])
    return (heights[None] - (np.arange(size_hw[0])[:, None] + 0.5)).astype(np.float32)


def _columns_between(line: Array, size_hw: tuple[int, int]) -> Array:
    """(1, w) bool: columns between the ends of a line."""
    x = np.arange(size_hw[1])[None] + 0.5
    low, high = line[:, 0].min(), line[:, 0].max()
    inset = 0.15 * (high - low)
    return np.asarray((x > low + inset) & (x < high - inset)) & np.ones(size_hw, bool)


def _odd_size(size: float) -> int:
    return 2 * max(1, round(size / 2)) + 1
