"""Offsets of a face's vertices in the canonical frame for its mouth, lids and brows."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from facegen.faces import mesh
from facegen.talk.rig import LOWER_LIP, MOUTH_CM, UPPER_LIP, MouthRig, lip_gap, mouth_weights, mouth_width

Array = np.ndarray

INNER_UPPER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
INNER_LOWER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
"""Vertices of the inner lips that meet when the mouth closes, from the picture's left to its right."""
LIDS = (
    ((246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)),
    ((466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382)),
)
"""Vertices of upper and lower lids that meet when an eye closes; the eye on the picture's left first."""

_CLOSED_CM = 0.1
_UPPER_SHARE = 0.3
_LID_REACH_CM = 0.75
_BROW_CM = 0.45


@functools.cache
def _anchor_weights(anchors: tuple[int, ...], reach_cm: float) -> Array:
    """(468, n) weights that spread offsets of `anchors` over the vertices around them.

    An anchor keeps its own offset; elsewhere it is a mean of the nearest ones that fades with distance.
    """
    distances = mesh.topology().distances[:, list(anchors)]
    kernel = np.exp(-np.square(distances / 0.35) / 2) + 1e-9
    weights = kernel / kernel.sum(1, keepdims=True)
    fade = np.exp(-np.square(distances.min(1) / reach_cm))
    weights = weights * fade[:, None]
    weights[list(anchors)] = np.eye(len(anchors))
    return weights.astype(np.float32)


@functools.cache
def _lip_weights(is_upper: bool, reach_cm: float) -> Array:
    """(468, 9) `_anchor_weights` of the upper or the lower inner lip that leaves the other lip alone."""
    weights = _anchor_weights(INNER_UPPER if is_upper else INNER_LOWER, reach_cm).copy()
    heights = mesh.topology().xyz[:, 1]
    seam = (heights[UPPER_LIP] + heights[LOWER_LIP]) / 2
    weights[(heights < seam) if is_upper else (heights > seam)] = 0
    weights[list(INNER_LOWER if is_upper else INNER_UPPER)] = 0
    return weights


@functools.cache
def _lid_weights(side: int) -> Array:
    """(468, 7) how the skin above an eye follows its upper lid: up to the brow, and never below the lid."""
    upper, lower = LIDS[side]
    weights = _anchor_weights(upper, _LID_REACH_CM).copy()
    topology = mesh.topology()
    corners = mesh.EYE_LEFT if side == 0 else mesh.EYE_RIGHT
    weights[list(lower)] = 0
    weights[corners[0]] = weights[corners[8]] = 0
    below = topology.xyz[:, 1] < topology.xyz[list(lower), 1].max() - 0.05
    weights[below] = 0
    weights[list(mesh.BROW_LEFT + mesh.BROW_RIGHT)] *= 0.3
    weights[list(upper)] = np.eye(len(upper))
    return weights


@functools.cache
def _brow_weights() -> Array:
    """(468,) how far each vertex follows the brows up."""
    distances = mesh.topology().distances[:, list(mesh.BROW_LEFT + mesh.BROW_RIGHT)].min(1)
    eyes = mesh.topology().distances[:, list(mesh.EYE_LEFT + mesh.EYE_RIGHT)].min(1)
    return (np.exp(-np.square(distances / 1.1)) * np.clip(eyes / 1.0, 0, 1)).astype(np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceRig:
    """The movements of one face.

    Attributes:
        mouth_rig: basis of mouth movements.
        canonical: (468, 3) the face as pictured, cm.
        mouth_scale: width of this mouth by that of the rig's.
        closing: (468, 3) offsets that close the mouth as pictured.
        gap_cm: lip gap as pictured, cm for a mouth of `MOUTH_CM`.
    """

    mouth_rig: MouthRig
    canonical: Array
    mouth_scale: float
    closing: Array
    gap_cm: float

    @classmethod
    def of(cls, canonical: Array, mouth_rig: MouthRig, mouth_scale: float | None = None) -> FaceRig:
        """From (468, 3) canonical points of the face as pictured; `mouth_scale` where it is known better than from them."""
        mouth_scale = mouth_scale or float(np.clip(mouth_width(canonical) / MOUTH_CM, 0.6, 1.5))
        return cls(
            mouth_rig=mouth_rig,
            canonical=canonical,
            mouth_scale=mouth_scale,
            closing=_close_mouth(canonical, mouth_scale),
            gap_cm=float(lip_gap(canonical)) / mouth_scale,
        )

    def mouth_offsets(self, coefficients: Array) -> Array:
        """(468, 3) offsets from the face as pictured to (K,) coefficients of the rig; lips never cross."""
        offsets = self.closing + self.mouth_rig.offsets(coefficients) * self.mouth_scale
        moved = self.canonical + offsets
        upper, lower = list(INNER_UPPER), list(INNER_LOWER)
        crossed = np.minimum(moved[upper, 1] - moved[lower, 1] - 0.02, 0)[:, None]
        if crossed.any():
            apart = np.zeros((len(upper), 3), np.float32)
            apart[:, 1:2] = -crossed / 2
            offsets = offsets + _lip_weights(True, 0.6) @ apart - _lip_weights(False, 0.6) @ apart
        return offsets

    def lid_offsets(self, closed: Array) -> Array:
        """(468, 3) offsets of the lids, (2,) closed 0..1, the eye on the picture's left first."""
        offsets = np.zeros((mesh.VERTEX_COUNT, 3), np.float32)
        for side, (upper, lower) in enumerate(LIDS):
            if closed[side] <= 0:
                continue
            gap = self.canonical[list(lower)] - self.canonical[list(upper)]
            down = gap * (0.93 * float(closed[side]))
            # the lid slides over the eyeball, which bulges between where it is open and where it is closed
            down[:, 2] += 0.08 * np.sin(np.pi * float(closed[side]))
            offsets += _lid_weights(side) @ down
            offsets[list(lower)] -= gap * (0.07 * float(closed[side]))
        return offsets

    def brow_offsets(self, raised: float) -> Array:
        """(468, 3) offsets of the brows, raised -1..1."""
        offsets = np.zeros((mesh.VERTEX_COUNT, 3), np.float32)
        offsets[:, 1] = _brow_weights() * (_BROW_CM * raised)
        return offsets


def _close_mouth(canonical: Array, mouth_scale: float) -> Array:
    """(468, 3) offsets that bring the lips of a pictured face together; the jaw gives more than the upper lip."""
    upper, lower = list(INNER_UPPER), list(INNER_LOWER)
    gap = canonical[upper] - canonical[lower]
    excess = np.clip(gap[:, 1:2] - _CLOSED_CM * 0.3 * mouth_scale, 0, None) / np.maximum(gap[:, 1:2], 1e-3)
    if float(lip_gap(canonical)) < _CLOSED_CM * mouth_scale:
        return np.zeros((mesh.VERTEX_COUNT, 3), np.float32)
    gap = gap * excess
    lips = list(mesh.LIPS_OUTER + mesh.LIPS_INNER)
    offsets = _lip_weights(False, 1.0) @ (gap * (1 - _UPPER_SHARE)) - _lip_weights(True, 0.8) @ (gap * _UPPER_SHARE)
    # a lower lip that comes up takes part of the chin with it
    chin = np.clip((canonical[lower, 1].min() - canonical[:, 1]) / 2.5, 0, 1) * mouth_weights()
    chin[lips] = 0
    offsets[:, 1] += chin * float(gap[:, 1].max()) * 0.45
    return offsets.astype(np.float32)
