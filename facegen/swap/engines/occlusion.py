"""Occlusion: which parts of a face are visible behind hair, hands, glasses and microphones, from the face parser.

What the parser has no class for is detected by colour: it disagrees with how the skin there usually looks in the clip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from facegen.faces import Face, align, mesh, parse, skin
from facegen.faces.mask_models import MaskModel, load_mask
from facegen.faces.mesh import Array
from facegen.faces.parse.parser import SIZE as PARSE_SIZE
from facegen.faces.parse.parser import FaceParser, parser_available
from facegen.swap.engines.eyes import SIDES

UNCOVERED = tuple(label for label in parse.FACE if label != parse.GLASSES)
"""Parser classes over which the new face is rendered; of glasses the rims stay in front."""
STILL_DIFFERENCE = 15.0
"""How much a pixel of the thumbnail may change, 0..255, to count as still."""
_MAX_MOVING_PIXELS = 10
_THUMBNAIL_SIZE = 64
MIN_VISIBILITY = 0.75
"""Visibility from which on a point counts as uncovered."""
_ELLIPSE_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class VisibilityMask:
    """How visible each pixel of a face is, in the parser's crop of side S.

    Attributes:
        matrix: (2, 3) from pixels of the frame to those of the crop.
        thumbnail_rgb: (64, 64, 3) uint8 the crop that visibility was measured on.
        visibility: (S, S) uint8, 255 is uncovered face.
    """

    matrix: Array
    thumbnail_rgb: np.ndarray
    visibility: np.ndarray


class OcclusionDetector:
    """Computes visibility masks; safe to call from several threads at once."""

    def __init__(self) -> None:
        self._parser = FaceParser(threads=1) if parser_available() else None

    def detect(
        self,
        image_rgb: np.ndarray,
        face: Face,
        *,
        is_target: bool,
        previous: VisibilityMask | None = None,
        models: Sequence[MaskModel] = (),
    ) -> VisibilityMask | None:
        """The visibility mask of a face; None where there is no parser.

        Args:
            image_rgb: (H, W, 3) uint8.
            face: the face in it.
            is_target: the new face is rendered here, so that its eyes may be seen through clear glasses.
            previous: the mask of the frame before, reused where the face is still since it was measured.
            models: mask models of the Hub; what one of them takes for covered is covered.
        """
        if self._parser is None:
            return None
        matrix = align.parse_matrix(face, PARSE_SIZE)
        picture = align.warp(image_rgb, matrix, PARSE_SIZE)
        thumbnail = cv2.resize(picture, (_THUMBNAIL_SIZE, _THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA)
        if previous is not None and _is_still(thumbnail, previous.thumbnail_rgb):
            return dataclasses.replace(previous, matrix=matrix)
        bare, glasses = self._parser.group_probabilities(picture[None], UNCOVERED, (parse.GLASSES,))[0]
        is_clear = is_target and _is_clear(picture, bare, glasses)
        probability = bare + glasses if is_clear else bare
        points = align.apply(matrix, face.points478[:, :2]).astype(np.float32)
        visibility = np.clip((cv2.GaussianBlur(probability, (0, 0), 1.5) - 0.35) / 0.4, 0, 1)
        visibility = np.maximum(visibility, _eyelids(visibility, points))
        if is_clear:
            rims = _glasses_rims(picture, points)
            visibility *= 1 - rims * np.minimum(cv2.dilate(glasses, np.ones((5, 5), np.uint8)) * 2, 1)
        if is_target and face.skin is not None:
            vertices = np.column_stack([points, face.points478[:, 2] * np.linalg.norm(matrix[0, :2])])
            unlike_skin = skin.occlusion(picture, vertices.astype(np.float32), face.skin)
            if unlike_skin is not None:
                visibility *= 1 - unlike_skin
        for model in models:
            seen, to_seen = load_mask(model).visibility(image_rgb, face.points5)
            visibility = np.minimum(visibility, _between_crops(seen, to_seen, matrix))
        return VisibilityMask(
            matrix=matrix,
            thumbnail_rgb=thumbnail,
            visibility=(visibility * 255 + 0.5).astype(np.uint8),
        )


def temporal_weights(count: int, centre: int, smoothing: float) -> Array:
    """(count,) float32 weights of the frames of a window in a Gaussian mean, which sum to 1; `smoothing` above 0, up to 1."""
    offsets = np.arange(count) - centre
    weights = np.exp(-np.square(offsets / (3 * smoothing)) / 2).astype(np.float32)
    weights /= weights.sum()
    return weights


def smooth_visibility(window: Sequence[np.ndarray | None], centre: int, smoothing: float) -> np.ndarray | None:
    """Averages the visibility of a frame over its nearest neighbours only: what occludes a face may move fast.

    Args:
        window: (S, S) uint8 of consecutive frames; None where it is not known.
        centre: index of the frame in the window.
        smoothing: 0..1, how strongly.
    """
    weights = np.exp(-np.square((np.arange(len(window)) - centre) / max(smoothing, 1e-3)) / 2)
    weights[[mask is None for mask in window]] = 0
    weights[weights < 0.02 * weights.sum()] = 0
    known = [(mask, weight) for mask, weight in zip(window, weights, strict=True) if mask is not None and weight > 0]
    if not known:
        return None
    total = np.zeros(known[0][0].shape, np.float32)
    for mask, weight in known:
        total += mask * np.float32(weight / weights.sum())
    return (total + 0.5).astype(np.uint8)


def _between_crops(mask: Array, its_matrix: Array, matrix: Array) -> Array:
    """(S, S) a mask in the parser's crop, from its own; each matrix (2, 3) from the frame to a crop."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    between = np.vstack([its_matrix, [0, 0, 1]]) @ np.vstack([align.invert(matrix), [0, 0, 1]])
    size = (PARSE_SIZE, PARSE_SIZE)
    moved: Array = cv2.warpAffine(mask, between[:2], size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return moved


def _is_still(thumbnail: np.ndarray, previous: np.ndarray) -> bool:
    """Whether at most a fiftieth of a face's inner part changed."""
    change = cv2.absdiff(thumbnail, previous).max(-1)
    half = _THUMBNAIL_SIZE // 2
    inner = cv2.resize(change, (half, half), interpolation=cv2.INTER_AREA)[6:30, 5:27]
    return bool(np.count_nonzero(inner > STILL_DIFFERENCE) < _MAX_MOVING_PIXELS)


def _is_clear(picture_rgb: np.ndarray, bare: Array, glasses: Array) -> bool:
    """Whether a face wears transparent glasses: not much darker than its skin."""
    lenses, skin = (glasses > 0.5).view(np.uint8), (bare > 0.7).view(np.uint8)
    if cv2.countNonZero(lenses) <= 100 or cv2.countNonZero(skin) <= 100:
        return False
    return sum(cv2.mean(picture_rgb, lenses)) > 0.5 * sum(cv2.mean(picture_rgb, skin))


def _glasses_rims(picture_rgb: np.ndarray, points: Array) -> Array:
    """(S, S) where glasses hide what is behind them, 0..1: thin lines darker or brighter than their surroundings.

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
        around = np.stack([np.cos(_ELLIPSE_ANGLES), np.sin(_ELLIPSE_ANGLES)], 1) * half
        rims[mesh.polygon_mask((middle + around).astype(np.float32), rims.shape) > 127] = 0
    return rims


def _eyelids(visibility: Array, points: Array) -> Array:
    """(S, S) 1 between brows and eyes where the forehead above and the cheek below are visible.

    The parser takes large painted lids for an occluder; hair, hands or a cup there would cover more.
    """
    lids_mask = np.zeros(visibility.shape, np.float32)
    for brow, lids in ((mesh.BROW_LEFT, mesh.EYE_LEFT), (mesh.BROW_RIGHT, mesh.EYE_RIGHT)):
        hairs, eye = points[list(brow)], points[list(lids)]
        upwards = hairs.mean(0) - eye.mean(0)
        # above the inner half of the brow, as beside the outer half there may be hair
        around = [mesh.sample(visibility[..., None], at) for at in (hairs[2:5] + upwards * 0.6, eye - upwards * 0.6)]
        if min(float(np.median(found)) for found in around) > MIN_VISIBILITY:
            # raised brows are higher than their points say
            raised = np.concatenate([hairs + upwards * 0.35, eye]).astype(np.float32)
            hull = cv2.convexHull(raised)[:, 0]
            lids_mask = np.maximum(lids_mask, mesh.polygon_mask(hull, visibility.shape).astype(np.float32) / 255)
    return lids_mask
