"""The inside of an open mouth: teeth, tongue and the dark behind them.

Everything is laid out on the mouth's own plane: u in centimetres to the picture's right from the middle of the mouth, v
upwards from the line in which the lips close, both fixed to the skull. Upper teeth are fixed to it, lower teeth and the
tongue go with the jaw. Where the picture itself shows teeth, these are used.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray

CELLS_PER_CM = 48
_HALF_WIDTH_CM = 2.8
_HEIGHT_CM = 1.3
_UPPER_WIDTHS = (0.86, 0.64, 0.66, 0.52, 0.4, 0.3, 0.2)
_LOWER_WIDTHS = (0.52, 0.56, 0.6, 0.5, 0.4, 0.3, 0.2)
_UPPER_SHORTER = (0.0, 0.07, 0.02, 0.1, 0.16, 0.22, 0.3)
_LOWER_SHORTER = (0.0, 0.01, 0.03, 0.08, 0.14, 0.2, 0.26)
_UPPER_EDGE_CM = -0.12
"""Where the upper incisors end: a little below the closed lips."""
_UPPER_SHOWN_CM = (0.1, 0.36)
"""How much of the upper teeth is seen below the upper lip, at the least and at the most open."""
_LOWER_SHOWN_CM = (0.08, 0.38)
"""How much of the lower teeth stands above the lower lip, at the least and at the most open."""

_IVORY = np.array([1.0, 0.965, 0.885], np.float32)
_WARMTH = np.array([1.0, 1.12, 1.18], np.float32)
"""Teeth that little light reaches are lit by the mouth around them, which is red."""
_LIP_SHADOW = np.array([0.16, 0.36, 0.36], np.float32)
"""How much of red, green and blue is missing close to a lip."""
_TONGUE = np.array([0.78, 0.43, 0.42], np.float32)
_CAVITY = np.array([0.3, 0.14, 0.13], np.float32)
_GUM = np.array([0.62, 0.33, 0.32], np.float32)


@functools.cache
def _teeth(is_upper: bool) -> tuple[Array, Array]:
    """One row of teeth: (h, w) brightness 0..1 and (h, w) opacity; the row index grows from the edge to the gum."""
    widths = _UPPER_WIDTHS if is_upper else _LOWER_WIDTHS
    shorter = _UPPER_SHORTER if is_upper else _LOWER_SHORTER
    columns, rows = round(2 * _HALF_WIDTH_CM * CELLS_PER_CM), round(_HEIGHT_CM * CELLS_PER_CM)
    u = (np.arange(columns) + 0.5) / CELLS_PER_CM - _HALF_WIDTH_CM
    v = ((np.arange(rows) + 0.5) / CELLS_PER_CM)[:, None]
    borders = np.concatenate([[0], np.cumsum(widths)])
    tooth = np.clip(np.searchsorted(borders, np.abs(u), side="right") - 1, 0, len(widths) - 1)
    middle = (borders[tooth] + borders[np.minimum(tooth + 1, len(widths))]) / 2
    across = np.clip((np.abs(u) - middle) / (np.array(widths)[tooth] / 2), -1, 1)
    edge = np.array(shorter)[tooth] + 0.09 * np.abs(across) ** 3.5 + 0.012 * u**2
    opacity = np.clip((v - edge) * CELLS_PER_CM * 0.5 + 0.5, 0, 1)
    seam = 1 - 0.42 * np.exp(-np.square((1 - np.abs(across)) / 0.1)) * np.clip(v / 0.12, 0.3, 1)
    bulge = 1 - 0.1 * across**2
    glassy = 0.86 + 0.14 * np.clip((v - edge) / 0.14, 0, 1)
    to_gum = 1 - 0.25 * np.clip((v - 0.55) / 0.5, 0, 1)
    far = np.exp(-np.square(u / (1.75 if is_upper else 1.5)))
    brightness = seam * bulge * glassy * to_gum * (0.28 + 0.72 * far)
    brightness = cv2.GaussianBlur(brightness.astype(np.float32), (0, 0), 1.0)
    return brightness, cv2.GaussianBlur(opacity.astype(np.float32), (0, 0), 0.8)


def _look_up(table: Array, u: Array, height: Array) -> Array:
    """Values of a row of teeth at (h, w) places, `height` measured from the edge to the gum; 0 outside."""
    x = ((u + _HALF_WIDTH_CM) * CELLS_PER_CM - 0.5).astype(np.float32)
    y = (height * CELLS_PER_CM - 0.5).astype(np.float32)
    y = np.where(y > table.shape[0] - 1, np.float32(table.shape[0] - 1), y)
    return cv2.remap(table, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureTeeth:
    """Teeth that the picture itself shows, fixed to the skull."""

    image_rgb: Array
    """(h, w, 3) float32 of the mouth's plane, `CELLS_PER_CM` cells a centimetre."""
    opacity: Array
    """(h, w) float32 0..1."""
    corner_uv: tuple[float, float]
    """u and v of the middle of the first row and column, cm."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MouthInterior:
    """The inside of one person's mouth.

    Attributes:
        white: (3,) what is white in the picture's light, 0..255.
        teeth: those that the picture shows, if any.
        softness_cm: blur of the picture, so that what is drawn is no sharper.
    """

    white: Array
    teeth: PictureTeeth | None
    softness_cm: float

    def draw(self, u: Array, v: Array, upper: Array, lower: Array, half_width_cm: float) -> Array:
        """Colours between the lips.

        Args:
            u: (h, w) places on the mouth's plane, cm.
            v: (h, w)
            upper: (h, w) v of the upper lip's border above each place.
            lower: (h, w) v of the lower lip's border below it.
            half_width_cm: half the width of the mouth.

        Returns:
            (h, w, 3) float32 0..255.
        """
        inside = np.clip(np.abs(u) / max(half_width_cm, 0.5), 0, 1)
        result = np.empty((*u.shape, 3), np.float32)
        result[:] = _CAVITY
        result *= (1 - 0.5 * inside**2)[..., None]
        middle = np.abs(u) < 0.6
        gap = float((upper - lower)[middle].max()) if middle.any() else float((upper - lower).max())
        floor = float(lower[middle].mean()) if middle.any() else float(lower.min())
        ceiling = float(upper[middle].mean()) if middle.any() else float(upper.max())
        wide = float(np.clip((gap - 0.4) / 0.9, 0, 1))
        lower_edge = floor + float(np.interp(wide, (0, 1), _LOWER_SHOWN_CM))
        upper_edge = min(_UPPER_EDGE_CM, ceiling - float(np.interp(wide, (0, 1), _UPPER_SHOWN_CM)))
        result = self._composite_tongue(result, u, v, lower_edge, gap)
        result = _composite_teeth(result, False, u, lower_edge - v, np.clip((v - lower) / 0.16, 0.5, 1) * 0.85)
        light = np.clip((upper - v) / 0.32, 0, 1)
        # the upper lip keeps the light from what is close behind it
        result = _composite_teeth(result, True, u, v - upper_edge, 0.95 + 0.2 * light)
        result = result * self.white
        if self.teeth is not None:
            result = self._composite_picture_teeth(result, u, v, 0.8 + 0.2 * light)
        opening = np.clip((upper - lower) / 0.35, 0, 1)
        near_lips = np.clip(np.minimum(upper - v, (v - lower) * 1.6) / 0.07, 0, 1)
        lips = 1 - (1 - near_lips)[..., None] * _LIP_SHADOW
        return result * lips * ((0.75 + 0.25 * opening) * (1 - 0.3 * inside**4))[..., None]

    def _composite_tongue(self, below: Array, u: Array, v: Array, lower_edge: float, gap: float) -> Array:
        top = lower_edge + 0.1 + min(0.22 * gap, 0.32) - 0.16 * np.square(u)
        opacity = np.clip((top - v) / 0.22 + 0.5, 0, 1) * np.clip(1.9 - np.abs(u), 0, 1)
        shade = np.clip(0.5 + (top - v) * 0.55, 0.42, 0.9) * (1 - 0.1 * np.exp(-np.square(u / 0.12)))
        return below + ((_TONGUE * shade[..., None]) - below) * opacity[..., None]

    def _composite_picture_teeth(self, below: Array, u: Array, v: Array, light: Array) -> Array:
        teeth = self.teeth
        assert teeth is not None
        x = ((u - teeth.corner_uv[0]) * CELLS_PER_CM).astype(np.float32)
        y = ((teeth.corner_uv[1] - v) * CELLS_PER_CM).astype(np.float32)
        colours = cv2.remap(teeth.image_rgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        opacity = cv2.remap(teeth.opacity, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[..., None]
        return below + (colours * light[..., None] - below) * opacity


def _composite_teeth(below: Array, is_upper: bool, u: Array, height: Array, light: Array) -> Array:
    brightness, opacity = _teeth(is_upper)
    alpha = _look_up(opacity, u, height)[..., None]
    colour = (_look_up(brightness, u, height) * light)[..., None] ** _WARMTH * _IVORY
    gum = np.clip((height - 0.95) / 0.1, 0, 1)[..., None]
    colour = colour + (_GUM * 0.6 * light[..., None] - colour) * gum
    return below + (colour - below) * alpha
