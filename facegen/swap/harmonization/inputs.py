"""Inputs of the harmonization network, and the application of its output fields to a drawing.

All pictures are logarithms (`faces.light.to_log`). The crop of a face is scaled to a square of `SIDE` pixels, its shorter
side padded by its edge; the network's fields are a third as large.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from facegen.faces import light, mesh
from facegen.faces.mesh import Array
from facegen.swap.fields.graph import FIELD, SIDE

COARSE = 12
"""Side of the grid on which the target's own face is known."""
MAPS = 15
"""Channels of `HarmonizationInput.maps`."""
FINE = 0.015
"""Detail that is scaled is finer than this standard deviation, as a share of the face's width."""
LIGHT = 1.0
"""Largest change of log RGB by the network."""
SOFTER, FINER = -1.8, 0.4
"""Least and largest log factor on fine detail."""
FEATURE_CELLS, LIGHT_CELLS = 6.0, 4.0
"""Standard deviations of the blurs that tell slow light from features, and by which slow light is compared with the target's,
cells of the fields."""
BRIGHTENED, DARKENED, FOLLOWED, DETAIL = 0.0, 0.3, 0.4, 0.6
"""How far smaller brightening and darkening are used, how far slow light follows the target's own, and how much fine detail
there may be by its own: chosen by eye and by the distance to the source, see `benchmarks.swap_tone`."""
_QUIET = 0.004
"""Added to the energy of fine detail before its logarithm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square:
    """Where a crop lies in the square of `SIDE` pixels."""

    size_hw: tuple[int, int]
    """Of the crop in the square, before it is padded."""

    @classmethod
    def of(cls, size_hw: tuple[int, int]) -> Square:
        """The square of a crop of this size."""
        scale = SIDE / max(size_hw)
        return cls(size_hw=(max(round(size_hw[0] * scale), 1), max(round(size_hw[1] * scale), 1)))

    def shrink(self, picture: np.ndarray) -> np.ndarray:
        """(h, w) or (h, w, C) of the crop to the square."""
        height, width = self.size_hw
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.copyMakeBorder(small, 0, SIDE - height, 0, SIDE - width, cv2.BORDER_REPLICATE)

    def enlarge(self, field: Array, size_hw: tuple[int, int]) -> Array:
        """(F, F, C) fields over the square to (h, w, C) over the crop."""
        scale = SIDE / field.shape[0]
        factor = np.array([self.size_hw[1] / size_hw[1], self.size_hw[0] / size_hw[0]]) / scale
        matrix = np.array([[factor[0], 0, factor[0] / 2 - 0.5], [0, factor[1], factor[1] / 2 - 0.5]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(field, matrix, size_hw[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class HarmonizationInput:
    """One face as the network sees it.

    Attributes:
        drawn: (SIDE, SIDE, 3) float32 the engine's drawing, log RGB less the target's tone.
        maps: (FIELD, FIELD, MAPS) float32: the frame without its face, and the target's skin on the coarse grid (log RGB
            less its tone); how well that is known; the drawing's coverage; the normals; fine detail of the target's skin
            and of the drawing; brightness of the target's skin.
        plain: (FIELD, FIELD) 0..1 where the drawing is plain skin: no brow, eye, lip or nostril.
        tone: (3,) log RGB, the mean of the target's skin.
        square: where the crop lies.
        fine_px: standard deviation of the blur above `FINE`, pixels of the square.
    """

    drawn: Array
    maps: Array
    plain: Array
    tone: Array
    square: Square
    fine_px: float

    @classmethod
    def of(
        cls,
        drawn: Array,
        covered: np.ndarray,
        target_rgb: np.ndarray,
        points: Array,
        shape: Array,
        visible: Array | None,
    ) -> HarmonizationInput:
        """Prepares the input.

        Args:
            drawn: (h, w, 3) log RGB of the drawing, over the whole crop.
            covered: (h, w) bool, where the drawing lies.
            target_rgb: (h, w, 3) uint8 the frame's crop.
            points: (468, 3) the target's mesh, pixels of the crop.
            shape: (468, 3) the drawing's mesh.
            visible: (h, w) 0..1, what nothing occludes; all of it where that is not known.
        """
        square = Square.of(target_rgb.shape[:2])
        scale = np.array([square.size_hw[1] / drawn.shape[1], square.size_hw[0] / drawn.shape[0]])
        scale = np.append(scale, scale.mean()).astype(np.float32)
        fine_px = FINE * float(np.ptp(points[:, 0] * scale[0]))
        small_drawn, target = square.shrink(drawn), light.to_log(square.shrink(target_rgb))
        inside = square.shrink(covered.astype(np.float32))
        seen = np.ones_like(inside) if visible is None else square.shrink(visible)
        # normals of the new shape; skin and coverage of the target's own
        fold = np.float32(FIELD / SIDE)
        normals, _ = mesh.rasterise(shape * scale * fold, mesh.normals(shape), (FIELD, FIELD))
        plain, _ = mesh.rasterise(shape * scale * fold, np.repeat(light.skin_vertices()[:, None], 3, 1), (FIELD, FIELD))
        skin = np.repeat((light.skin_vertices() * light.facing(mesh.normals(points)))[:, None], 3, 1)
        skin_map, hidden = mesh.rasterise(points * scale * fold, skin, (FIELD, FIELD))
        weight = _to_side(np.ascontiguousarray(skin_map[..., 0])) * seen
        energy = np.log(np.abs(fine_detail(brightness(target), fine_px)) + np.float32(_QUIET))
        known, confidence = _coarse(cv2.merge([target, energy]), weight)
        drawn_energy = np.log(np.abs(fine_detail(brightness(small_drawn), fine_px)) + np.float32(_QUIET))
        drawn_coarse, _ = _coarse(drawn_energy[..., None], inside * seen)
        tone = np.average(known[..., :3].reshape(-1, 3), axis=0, weights=confidence.ravel() + 1e-4).astype(np.float32)
        covers = _to_field(inside)
        outside = (1 - np.maximum(covers, hidden.astype(np.float32)))[..., None]
        maps = np.concatenate(
            [
                (_to_field(target) - tone) * outside,
                _to_field(known[..., :3]) - tone,
                _to_field(confidence)[..., None],
                (covers * _to_field(seen))[..., None],
                normals,
                _to_field(known[..., 3])[..., None] + 4,
                _to_field(drawn_coarse)[..., None] + 4,
                np.full((FIELD, FIELD, 1), tone.mean() - 4.7),
                outside,
            ],
            2,
        )
        return cls(
            drawn=small_drawn - tone,
            maps=maps.astype(np.float32),
            plain=np.ascontiguousarray(plain[..., 0]),
            tone=tone,
            square=square,
            fine_px=fine_px,
        )


def fine_detail(log_rgb: Array, sigma_px: float) -> Array:
    """The part of a picture that a blur of this standard deviation takes away, same shape."""
    return log_rgb - cv2.GaussianBlur(log_rgb, (0, 0), max(sigma_px, 0.5))


def brightness(log_rgb: Array) -> Array:
    """(h, w) mean of the channels."""
    return cv2.transform(log_rgb, np.full((1, 3), 1 / 3, np.float32))


def restrain_fields(fields: Array, inputs: HarmonizationInput) -> Array:
    """What of the predicted fields is used, so that the person stays: slow light, less of what is as small as features.

    Brows, lids, lips and nostrils change as slowly as the skin around them. On plain skin smaller brightening, which would
    fill folds, is used less than darkening, which takes shine away. Slow light is brought nearer to the target's own, and
    fine detail to no more than its own.

    Args:
        fields: (FIELD, FIELD, 4) from the network.
        inputs: what it saw.
    """
    plain = inputs.plain
    slow = _blur_where(fields, plain, FEATURE_CELLS)
    small = (fields - slow) * plain[..., None]
    small[..., :3] *= np.where(small[..., :3] > 0, BRIGHTENED, DARKENED)
    used = slow + small
    known, confidence, seen, target_detail, own_detail = (
        inputs.maps[..., channels] for channels in (slice(3, 6), slice(6, 7), 7, 11, 12)
    )
    harmonized = _to_field(inputs.drawn) + used[..., :3]
    missing = _blur_where(known - harmonized, plain * np.clip(seen, 0, 1), LIGHT_CELLS)
    used[..., :3] += FOLLOWED * missing * np.clip(confidence, 0, 1)
    most = np.log(DETAIL) + target_detail - own_detail
    used[..., 3] = np.where(plain > 0.5, np.minimum(used[..., 3], most), used[..., 3])
    return used.astype(np.float32)


def apply_fields(drawn: Array, fields: Array, square: Square, face_width: float) -> Array:
    """Harmonizes a drawing.

    Args:
        drawn: (h, w, 3) log RGB, over the whole crop.
        fields: (FIELD, FIELD, 4) float32: change of log RGB, and the log of the factor on fine detail.
        square: where the crop lies.
        face_width: pixels of the crop.

    Returns:
        (h, w, 3) log RGB.
    """
    *change, energy = cv2.split(square.enlarge(fields, (drawn.shape[0], drawn.shape[1])))
    factor = cv2.merge([cv2.exp(energy) - 1] * 3)
    return drawn + cv2.merge(change) + fine_detail(drawn, FINE * face_width) * factor


def _coarse(values: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted means of (SIDE, SIDE, C) on the coarse grid, (COARSE, COARSE, C), and how well each is known, 0..1."""
    size = (COARSE, COARSE)
    sums = cv2.resize(
        np.concatenate([values * weight[..., None], weight[..., None]], 2), size, interpolation=cv2.INTER_AREA
    )
    sums = cv2.GaussianBlur(sums, (0, 0), 0.6)
    everywhere = sums.mean((0, 1)) * np.float32(0.05) + np.float32(1e-6)
    total = sums + everywhere
    return total[..., :-1] / total[..., -1:], np.minimum(sums[..., -1] * 2, 1)


def _blur_where(values: Array, weight: Array, sigma: float) -> Array:
    """Weighted Gaussian means of (FIELD, FIELD, C)."""
    counted = (weight + np.float32(1e-3))[..., None]
    sums, total = (cv2.GaussianBlur(part, (0, 0), sigma) for part in (values * counted, counted))
    return sums / (total[..., None] + np.float32(1e-6))


def _to_field(values: Array) -> Array:
    way = cv2.INTER_AREA if values.shape[0] > FIELD else cv2.INTER_CUBIC
    return cv2.resize(values, (FIELD, FIELD), interpolation=way)


def _to_side(values: Array) -> Array:
    return cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
