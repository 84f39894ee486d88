"""Masks of a merge, in the crop of the face."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import Face, align, mesh
from facegen.faces.mask_models import MaskModel
from facegen.facesets import quality
from facegen.facesets.crop import warp_black
from facegen.swap.engines.occlusion import OcclusionDetector
from facegen.swap.merge.options import MergeOptions

if TYPE_CHECKING:
    from facegen.facesets.mask_task import TrainedMask

Array = np.ndarray


class MaskSource:
    """Computes masks; the parser and trained mask models stay loaded. Safe to call from several threads."""

    def __init__(self) -> None:
        self._trained: dict[str, TrainedMask] = {}

    @cached_property
    def _occlusion(self) -> OcclusionDetector:
        return OcclusionDetector()

    def compute(
        self,
        options: MergeOptions,
        predicted: tuple[Array, Array],
        image_rgb: np.ndarray,
        face: Face,
        matrix: Array,
        size: int,
        models: Sequence[MaskModel] = (),
    ) -> Array:
        """The mask that `options.mask` names, (size, size) float32 in [0, 1].

        Args:
            options: of the merge.
            predicted: (size, size) the model's masks of the new face (prd) and of the frame's face (dst).
            image_rgb: (H, W, 3) uint8 frame.
            face: the face in it.
            matrix: (2, 3) from pixels of the frame to those of the crop.
            size: side of the crop, pixels.
            models: mask models of the Hub that the parser's mask is combined with.

        Raises:
            InputError: the mask needs a model that is not there.
        """
        prd, dst = predicted
        if options.mask == "full":
            mask = np.ones((size, size), np.float32)
        elif options.mask == "hull":
            mask = _hull(face, matrix, size)
        elif options.mask == "learned-prd":
            mask = prd
        elif options.mask == "learned-dst":
            mask = dst
        elif options.mask == "learned-prd+dst":
            mask = np.maximum(prd, dst)
        elif options.mask == "learned-prd*dst":
            mask = prd * dst
        elif options.mask == "own":
            mask = self._own(options.own_mask, image_rgb, face, matrix, size)
        else:
            mask = self._parser(image_rgb, face, matrix, size, models)
            if options.mask == "parser*learned":
                mask = mask * prd * dst
        if options.mode == "mesh-guided":
            mask = mask * _hull(face, matrix, size)
        return np.clip(mask, 0, 1).astype(np.float32)

    def _parser(
        self, image_rgb: np.ndarray, face: Face, matrix: Array, size: int, models: Sequence[MaskModel]
    ) -> Array:
        found = self._occlusion.detect(image_rgb, face, is_target=True, models=models)
        if found is None:
            raise InputError("Expected the face parser's weights for this mask, found none; choose another mask.")
        between = (np.vstack([matrix, [0, 0, 1]]) @ np.vstack([align.invert(found.matrix), [0, 0, 1]]))[:2]
        mask = cv2.warpAffine(found.visibility, between.astype(np.float32), (size, size), flags=cv2.INTER_LINEAR)
        return mask.astype(np.float32) / 255

    def _own(self, run: str, image_rgb: np.ndarray, face: Face, matrix: Array, size: int) -> Array:
        if run not in self._trained:
            from facegen.facesets.mask_task import TrainedMask

            self._trained[run] = TrainedMask(Path(run))
        points5 = align.apply(matrix, face.points5)
        found = self._trained[run].inside(points5, warp_black(image_rgb, matrix, size))
        return found.astype(np.float32) / 255


def _hull(face: Face, matrix: Array, size: int) -> Array:
    """(size, size) float32: the convex hull of the face's outline."""
    outline = align.apply(matrix, face.points478[list(mesh.FACE_OVAL), :2])
    return quality.hull_mask(outline.astype(np.float32), (size, size)).astype(np.float32) / 255


def erode_and_blur(mask: Array, options: MergeOptions) -> Array:
    """(S, S) float32: the mask eroded and blurred by the options, fading to zero at the crop's border."""
    side = mask.shape[0]
    erode = round(options.erode * side / 1000)
    if erode:
        size = 2 * abs(erode) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        mask = cv2.erode(mask, kernel) if erode > 0 else cv2.dilate(mask, kernel)
    blur = options.blur * side / 1000
    if blur > 0.5:
        # eroded by what the blur will spread, so that the outline does not grow
        size = 2 * max(1, round(blur / 2)) + 1
        mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        mask = cv2.GaussianBlur(mask, (0, 0), blur / 2)
    border = max(2, side // 32)
    fade = np.clip((np.minimum(np.arange(side), np.arange(side)[::-1]) - 0.5) / border, 0, 1).astype(np.float32)
    return np.clip(mask, 0, 1) * fade[:, None] * fade[None]
