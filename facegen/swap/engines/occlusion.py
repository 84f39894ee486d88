"""What stands before a face: hair, hands, glasses, microphones, as the parser sees them.

What the parser does not know is told by its colours: they disagree with how the skin there usually looks in the clip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from facegen.faces import Face, align, mesh, parse, skin
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import SIDES

UNCOVERED = tuple(label for label in parse.FACE if label != parse.GLASSES)
"""What the parser may see where the new face is drawn; of glasses the rims stay in front."""
STILL = 15.0
"""How far a place may change, 0..255, to count as still."""
_MOVED_PLACES = 10
_LOOK_SIZE = 64
BARE = 0.75
"""Share from which on a place counts as uncovered."""
_ROUND = np.linspace(0, 2 * np.pi, 16, endpoint=False)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Mask:
    """How far the parts of a face are uncovered, in the parser's crop of side S.

    Attributes:
        matrix: (2, 3) frame pixels to those of the crop.
        look: (64, 64, 3) uint8 the crop in small.
        share: (S, S) uint8, 0..255.
        is_own: whether it was seen in this frame, and not in the one before.
    """

    matrix: Array
    look: np.ndarray
    share: np.ndarray
    is_own: bool


class Occlusion:
    """Finds what stands before faces; may be called from several threads at once."""

    def __init__(self) -> None:
        self._parser = parse.FaceParser(threads=1) if parse.parser_available() else None

    def mask(self, image_rgb: np.ndarray, face: Face, *, is_worn: bool, before: Mask | None = None) -> Mask | None:
        """The mask of a face, None where there is no parser.

        Args:
            image_rgb: (H, W, 3) uint8.
            face: the face in it.
            is_worn: a new face is drawn here, so that its eyes may be seen through clear glasses.
            before: the mask in the frame before, which is taken over where the face is still.
        """
        if self._parser is None:
            return None
        matrix = align.parse_matrix(face, parse.SIZE)
        picture = align.warp(image_rgb, matrix, parse.SIZE)
        look = cv2.resize(picture, (_LOOK_SIZE, _LOOK_SIZE), interpolation=cv2.INTER_AREA)
        if before is not None and _is_still(look, before.look):
            return Mask(matrix=matrix, look=look, share=before.share, is_own=False)
        bare, behind = self._parser.shares(picture[None], UNCOVERED, (parse.GLASSES,))[0]
        is_clear = is_worn and _is_clear(picture, bare, behind)
        found = bare + behind if is_clear else bare
        points = align.apply(matrix, face.points478[:, :2]).astype(np.float32)
        share = np.clip((cv2.GaussianBlur(found, (0, 0), 1.5) - 0.35) / 0.4, 0, 1)
        share = np.maximum(share, _lids(share, points))
        if is_clear:
            rims = _rims(picture, points)
            share *= 1 - rims * np.minimum(cv2.dilate(behind, np.ones((5, 5), np.uint8)) * 2, 1)
        if is_worn and face.skin is not None:
            corners = np.column_stack([points, face.points478[:, 2] * np.linalg.norm(matrix[0, :2])])
            before_it = skin.covered(picture, corners.astype(np.float32), face.skin)
            if before_it is not None:
                share *= 1 - before_it
        return Mask(matrix=matrix, look=look, share=(share * 255 + 0.5).astype(np.uint8), is_own=True)


def calm(window: Sequence[np.ndarray | None], centre: int, smoothing: float) -> np.ndarray | None:
    """The share of the middle frame, averaged over its nearest neighbours: what covers a face may move fast.

    Args:
        window: shares of consecutive frames; a frame without one has the mean of those beside it.
        centre: the middle frame's place in it.
        smoothing: 0..1, how calm.
    """
    weights = np.exp(-np.square((np.arange(len(window)) - centre) / max(smoothing, 1e-3)) / 2)
    for place, share in enumerate(window):
        if share is None:
            beside = [near for near in (place - 1, place + 1) if 0 <= near < len(window) and window[near] is not None]
            weights[beside] += weights[place] / max(len(beside), 1)
            weights[place] = 0
    known = [(share, weight) for share, weight in zip(window, weights, strict=True) if share is not None]
    if not known:
        return None
    total = np.zeros(known[0][0].shape, np.float32)
    for share, weight in known:
        if weight > 0.02 * weights.sum():
            total += share * np.float32(weight / weights.sum())
    return (total + 0.5).astype(np.uint8)


def _is_still(now: np.ndarray, before: np.ndarray) -> bool:
    """Whether at most a fiftieth of a face's inner part changed."""
    change = cv2.absdiff(now, before).max(-1)
    places = cv2.resize(change, (_LOOK_SIZE // 2, _LOOK_SIZE // 2), interpolation=cv2.INTER_AREA)[6:30, 5:27]
    return bool(np.count_nonzero(places > STILL) < _MOVED_PLACES)


def _is_clear(picture_rgb: np.ndarray, bare: Array, glasses: Array) -> bool:
    """Whether a face wears glasses that one can look through: not much darker than its skin."""
    lenses, skin = (glasses > 0.5).view(np.uint8), (bare > 0.7).view(np.uint8)
    if cv2.countNonZero(lenses) <= 100 or cv2.countNonZero(skin) <= 100:
        return False
    return sum(cv2.mean(picture_rgb, lenses)) > 0.5 * sum(cv2.mean(picture_rgb, skin))


def _rims(picture_rgb: np.ndarray, points: Array) -> Array:
    """(S, S) where glasses hide what is behind them, 0..1: thin lines darker or brighter than what they lie on.

    Args:
        picture_rgb: (S, S, 3) uint8 crop of a face.
        points: (478, 2) in its pixels.
    """
    luma = cv2.cvtColor(picture_rgb, cv2.COLOR_RGB2GRAY)
    width = max(round(float(np.ptp(points[:, 0])) / 14) | 1, 3)
    line = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    contrast = cv2.max(cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, line), cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, line))
    contrast = contrast / (cv2.blur(luma, (width, width)) + 20.0)
    rims = cv2.dilate(np.clip((contrast - 0.04) / 0.06, 0, 1).astype(np.float32), np.ones((3, 3), np.uint8))
    for lids, _ in SIDES:
        eye = points[list(lids)]
        middle = eye.mean(0)
        # lashes and lids are lines too, those of a shut eye as well
        half = np.maximum(np.ptp(eye, 0) / 2 * [1.3, 1.9], float(np.ptp(eye[:, 0])) * 0.3)
        around = np.stack([np.cos(_ROUND), np.sin(_ROUND)], 1) * half
        rims[mesh.polygon_mask((middle + around).astype(np.float32), rims.shape) > 127] = 0
    return rims


def _lids(share: Array, points: Array) -> Array:
    """(S, S) 1 between brows and eyes where the forehead above and the cheek below are bare.

    Large painted lids look like something held before the face; hair, hands or a cup there would cover more.
    """
    bare = np.zeros(share.shape, np.float32)
    for brow, lids in ((mesh.BROW_LEFT, mesh.EYE_LEFT), (mesh.BROW_RIGHT, mesh.EYE_RIGHT)):
        hairs, eye = points[list(brow)], points[list(lids)]
        upwards = hairs.mean(0) - eye.mean(0)
        # above the inner half of the brow, as beside the outer half there may be hair
        around = [mesh.sample(share[..., None], at) for at in (hairs[2:5] + upwards * 0.6, eye - upwards * 0.6)]
        if min(float(np.median(found)) for found in around) > BARE:
            # raised brows are higher than their points say
            raised = np.concatenate([hairs + upwards * 0.35, eye]).astype(np.float32)
            hull = cv2.convexHull(raised)[:, 0]
            bare = np.maximum(bare, mesh.polygon_mask(hull, share.shape).astype(np.float32) / 255)
    return bare
